import { type Marks } from "./cartesian.js";
import { type Box, type Pen } from "./pen.js";
import type { Description } from "./types.js";
/** A ring with the list of its parts beside it, or below where it is narrow. */
export declare function pie(pen: Pen, description: Description, box: Box): Marks;
/** Half a ring, filled as far as the value goes. */
export declare function gauge(pen: Pen, description: Description, box: Box): Marks;
