type Child = Node | string | null | undefined | false;
type Values = Record<string, string | number | boolean | null | undefined | ((event: never) => void)>;
/** An element with attributes; `on…` are listeners, and null, undefined and false are left out. */
export declare function el<K extends keyof HTMLElementTagNameMap>(name: K, values?: Values, ...children: Child[]): HTMLElementTagNameMap[K];
/** A picture of 16 pixels, drawn with lines. */
export declare function icon(d: string): SVGSVGElement;
export declare const ICONS: {
    table: string;
    chart: string;
    download: string;
    refresh: string;
};
/** SVG that the drawing made, in which every text is escaped, as an element. */
export declare function svgElement(text: string): SVGSVGElement;
/** Width and height of an element, to compare. */
export declare const sizeOf: ({ clientWidth, clientHeight }: Pick<Element, "clientWidth" | "clientHeight">) => string;
/** Call when the browser has nothing more urgent to do, but within a second. */
export declare function idle(call: () => void): void;
/** Offer the content as a file. */
export declare function download(content: Blob, name: string): void;
export {};
