/** Put the content of a text widget into its card. */
export declare function write(card: HTMLElement, content: unknown): void;
