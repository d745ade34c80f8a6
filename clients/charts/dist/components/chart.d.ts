import { type Changes, type Json } from "./question.js";
import { type Texts } from "./texts.js";
export declare class AcumenChart extends HTMLElement {
    #private;
    static readonly observedAttributes: string[];
    connectedCallback(): void;
    disconnectedCallback(): void;
    attributeChangedCallback(name: string, before: string | null, after: string | null): void;
    /** An answer to draw as it is, without a request. */
    get data(): unknown;
    set data(answer: unknown);
    /** Texts of the component in another language. */
    set words(words: Partial<Texts>);
    get words(): Partial<Texts>;
    /** What is asked differently from the saved question: timeframe, interval, filters. */
    get changes(): Changes;
    set changes(changes: Changes);
    /** Settings of how it is drawn that give way where they do not fit the answer. */
    set soft(settings: Json);
    /** Ask again, whatever is kept. */
    reload(): Promise<void>;
    /** What is shown as CSV, with all that the drawing has no room for. */
    toCSV(): string;
    /** What is shown as a picture. */
    toSVG(size?: {
        width?: number;
        height?: number;
    }): string;
    toPNG(size?: {
        width?: number;
        height?: number;
        scale?: number;
    }): Promise<Blob>;
}
