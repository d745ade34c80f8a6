import type { Column, Description, DrawOptions, Drawing } from "./types.js";
export { describe } from "./describe.js";
export { csvOf, tableOf } from "./table.js";
export { measureInter } from "./text.js";
export { themes } from "./theme.js";
export { CHART_TYPES, ChartError, WORDS } from "./types.js";
export type * from "./types.js";
/** The description as SVG text, with where its marks are. */
export declare function drawing(description: Description, options?: DrawOptions): Drawing;
/** The description as SVG text. */
export declare function draw(description: Description, options?: DrawOptions): string;
export interface Formatter {
    /** A value of a series, with all its digits; `series` tells whose format. */
    value(value: number | null, series?: number): string;
    short(value: number | null, series?: number): string;
    /** The name of an index: an interval's start, or a category. */
    index(index: number): string;
    cell(value: unknown, column: Column): string;
    percent(share: number): string;
    /** The part that each value is of all, as a pie says it. */
    shares(values: number[]): string[];
}
/** Texts for tooltips and tables, written as in the drawing. */
export declare function formatter(description: Description, options?: DrawOptions): Formatter;
