import type { Texts } from "./texts.js";
/** What an `error` event tells. */
export interface ChartProblem {
    message: string;
    status: number;
    code: string | null;
}
/** Seconds after which it may be over by itself; null where it will not be. */
export declare function passes(error: unknown): number | null;
/** A button to try again, where that may help. */
export declare function retryButton(error: unknown, texts: Texts, onclick: () => void): HTMLElement | null;
/** A sentence on it in the language of the texts. */
export declare function sentence(error: unknown, texts: Texts): string;
/** The server's own words where it sent some. */
export declare function problemOf(error: unknown, texts: Texts): ChartProblem;
/** The sentence, and below it what the server says, which helps whoever makes the page. */
export declare function problemLines(error: unknown, texts: Texts): HTMLElement[];
