import { type Marks } from "./cartesian.ts";
import { type Box, type Pen } from "./pen.ts";
import type { Description } from "./types.ts";
/** Steps with their counts, their share of the first step and of the step before. */
export declare function funnel(pen: Pen, description: Description, box: Box): Marks;
