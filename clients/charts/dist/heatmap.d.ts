import { type Marks } from "./cartesian.ts";
import { type Box, type Pen } from "./pen.ts";
import type { Description } from "./types.ts";
/** Cells whose colour is as strong as their value is large. */
export declare function heatmap(pen: Pen, description: Description, whole: Box): Marks;
