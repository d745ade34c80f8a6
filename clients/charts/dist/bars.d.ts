import { type Scale } from "./axes.ts";
import { type Marks } from "./cartesian.ts";
import { type Box, type Pen } from "./pen.ts";
import type { Description } from "./types.ts";
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
