import { type Changes, type Filter, type Json, type Timeframe } from "./question.js";
import { type Texts } from "./texts.js";
export interface Controls {
    timeframe: boolean;
    interval: boolean;
    filters: string[];
}
/** From `timeframe interval filter:country`, or an object like the condition `viewer` of embed tokens. */
export declare function controlsOf(value: unknown): Controls;
export declare function anyControl({ timeframe, interval, filters }: Controls): boolean;
/** Those of them that an answer lets its viewer use; all where it says nothing. */
export declare function permitted({ timeframe, interval, filters }: Controls, answer: unknown): Controls;
/** A timeframe as people say it. */
export declare function timeframeName(timeframe: unknown, texts: Texts, locale: string, timezone?: string | null): string;
export declare function intervalName(interval: string, texts: Texts): string;
/** A filter of what was typed: values apart by commas; what looks like a number is looked for as text too. */
export declare function filterOf(property: string, text: string, known: unknown[]): Filter | null;
export interface BarState {
    controls: Controls;
    texts: Texts;
    locale: string;
    /** What the last answer says of its question. */
    query: Json;
    timezone: string | null;
    /** Values seen of properties, to choose from. */
    known: Map<string, Set<unknown>>;
}
/** The controls in a row; each change is told as all that differs from the saved question. */
export declare class ControlBar {
    #private;
    private readonly changed;
    readonly element: HTMLDivElement;
    changes: Changes;
    constructor(changed: (changes: Changes) => void);
    update(state: BarState): void;
    reset(): void;
}
/** Add the values of groups in an answer to what is known of their properties. */
export declare function learn(known: Map<string, Set<unknown>>, result: unknown, properties: string[]): void;
export type { Timeframe };
