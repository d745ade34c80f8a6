import { type Box, type Pen } from "./pen.js";
import type { Description, Drawing, Series } from "./types.js";
export type Marks = Pick<Drawing, "plot" | "orientation" | "positions" | "points"> & {
    svg: string;
};
export declare const NONE: Pick<Marks, "plot" | "orientation" | "positions" | "points">;
export declare function isStacked({ type, series, additive }: Description): boolean;
/** From where to where each value goes: from zero, or from the values below it. */
export declare function rangesOf(series: Series[], stacked: boolean): ([number, number] | null)[][];
/** A bar with rounded corners at its end only. */
export declare function barPath(x: number, y: number, width: number, height: number, end: "top" | "bottom" | "left" | "right" | null): string;
/** Lines, areas and columns with their axes and legend. */
export declare function cartesian(pen: Pen, description: Description, box: Box): Marks;
/** Whether names of categories fit under columns, without being cut. */
export declare function fitsUpright(pen: Pen, description: Description, box: Box): boolean;
