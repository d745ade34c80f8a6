import { type Texts } from "./texts.js";
/** Define a property for each attribute; objects are written as JSON, those in `json` are read as objects. */
export declare function reflect(type: {
    prototype: HTMLElement;
}, attributes: string[], json: string[]): void;
/** What was set as a property before the element was defined is set again, as a property. */
export declare function upgrade(element: HTMLElement, attributes: string[]): void;
/** JSON where the text is some, else the text itself. */
export declare function parsed(text: string | null): unknown;
/** Say on the console, once, that a value means nothing. */
export declare function warn(name: string, value: string, taken: string): void;
/** The texts with these words in place of their own. */
export declare function worded(words: Partial<Texts>): Texts;
/** Warn of an attribute whose value means nothing. */
export declare function check(name: string, text: string | null): void;
/** A number of the attribute above zero; null for none. */
export declare function positive(text: string | null): number | null;
/** The language of the attribute, of the page, or of the browser. */
export declare function localeOf(element: HTMLElement): string;
/** Calls at a pace, with a jitter of a tenth; not while the page is hidden, but when it is seen again. */
export declare class Pacer {
    #private;
    private readonly call;
    constructor(call: () => void);
    /**
     * Call again after so many seconds. Without them, where a failure may pass by itself `after` so many: in
     * ever longer ones, and when the browser is online again.
     */
    next(seconds: number | null, after: number | null): void;
    start(seconds: number | null): void;
    stop(): void;
}
