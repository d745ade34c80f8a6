import { type Marks } from "./cartesian.js";
import { type Box, type Pen } from "./pen.js";
import type { Description } from "./types.js";
/** Cells whose colour is as strong as their value is large. */
export declare function heatmap(pen: Pen, description: Description, whole: Box): Marks;
