import { type Scale } from "./axes.js";
import { type Marks } from "./cartesian.js";
import { type Box, type Pen } from "./pen.js";
import type { Description } from "./types.js";
interface Rows {
    description: Description;
    names: string[];
    shown: number;
    row: number;
    plot: Box;
    scale: Scale;
    ranges: ([number, number] | null)[][];
    stacked: boolean;
    /** Whether each bar says its value. */
    labelled: boolean;
    /** What they say, series by series; of a stack its sum. */
    written: string[];
    lane: number;
    /** Room for the names. */
    left: number;
}
/** Whether nothing is stacked further out. */
export declare function isLast({ ranges }: {
    ranges: Rows["ranges"];
}, member: number, index: number): boolean;
/** A row for each category, its name at the left and its value at the end of the bar. */
export declare function bars(pen: Pen, description: Description, whole: Box): Marks;
export {};
