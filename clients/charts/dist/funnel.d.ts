import { type Marks } from "./cartesian.js";
import { type Box, type Pen } from "./pen.js";
import type { Description } from "./types.js";
/** Steps with their counts, their share of the first step and of the step before. */
export declare function funnel(pen: Pen, description: Description, box: Box): Marks;
