export declare function isDark(element: HTMLElement): boolean;
/** Call when the visitor's preference changes; gives back what ends it. */
export declare function watchScheme(call: () => void): () => void;
/** Values for drawings: the built-in theme, with what the page sets for the element. */
export declare function themeFor(element: HTMLElement): Record<string, string>;
/** Widths of texts in the element's font. */
export declare function measureFor(family: string): (text: string, size: number, bold: boolean) => number;
