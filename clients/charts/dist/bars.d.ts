import { type Marks } from "./cartesian.ts";
import { type Box, type Pen } from "./pen.ts";
import type { Description } from "./types.ts";
/** A row for each category, its name at the left and its value at the end of the bar. */
export declare function bars(pen: Pen, description: Description, whole: Box): Marks;
