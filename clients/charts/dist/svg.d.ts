/** Text for XML: escaped, without the characters that XML 1.0 cannot hold. */
export declare function escape(text: string): string;
/** A coordinate with at most two decimals. */
export declare function round(value: number): number;
export type Attributes = Record<string, string | number | boolean | null | undefined>;
/** An element; attributes that are null, undefined or false are left out, `children` is SVG already. */
export declare function tag(name: string, attributes: Attributes, children?: string): string;
export declare function title(text: string): string;
