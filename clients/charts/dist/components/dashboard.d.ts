import type { Changes } from "./question.js";
import { type Texts } from "./texts.js";
export declare class AcumenDashboard extends HTMLElement {
    #private;
    static readonly observedAttributes: string[];
    connectedCallback(): void;
    disconnectedCallback(): void;
    attributeChangedCallback(name: string, before: string | null, after: string | null): void;
    /** A document to show, without asking for one. */
    get layout(): unknown;
    set layout(document: unknown);
    set words(words: Partial<Texts>);
    get words(): Partial<Texts>;
    /** What all charts are asked differently from how they are saved. */
    get changes(): Changes;
    set changes(changes: Changes);
    /** Ask for the dashboard and all its charts again. */
    reload(): Promise<void>;
}
