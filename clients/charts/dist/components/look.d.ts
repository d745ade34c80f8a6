export declare function isDark(element: HTMLElement): boolean;
/** Call when the visitor's preference changes; gives back what ends it. */
export declare function watchScheme(call: () => void): () => void;
/** Values for drawings: the built-in theme, with what the page sets for the element. */
export declare function themeFor(element: HTMLElement): Record<string, string>;
type Measure = (text: string, size: number, bold: boolean) => number;
/** Widths of texts in a font, shared by all charts of the page. */
export declare function measureFor(family: string): Measure;
/** Measure anew: a font has come that stands in for another now. */
export declare function forgetWidths(): void;
export {};
