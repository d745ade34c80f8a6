import { type Marks } from "./cartesian.js";
import { type Box, type Pen } from "./pen.js";
import type { Description } from "./types.js";
/** As many rows and columns as there is room for; a last line says how many there are beside them. */
export declare function grid(pen: Pen, description: Description, box: Box): Marks;
