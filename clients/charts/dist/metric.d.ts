import { type Marks } from "./cartesian.js";
import type { Box, Pen } from "./pen.js";
import type { Description } from "./types.js";
/** One number, or several side by side. */
export declare function metric(pen: Pen, description: Description, box: Box): Marks;
