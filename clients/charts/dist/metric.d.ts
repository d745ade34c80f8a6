import { type Marks } from "./cartesian.ts";
import type { Box, Pen } from "./pen.ts";
import type { Description } from "./types.ts";
/** One number, or several side by side. */
export declare function metric(pen: Pen, description: Description, box: Box): Marks;
