import type { Pencils } from "./kinds.js";
import type { Marks } from "./cartesian.js";
import type { Box, Pen } from "./pen.js";
import type { Description } from "./types.js";
/** Nodes with their names; paths that stop there are the pale part of what leaves. */
export declare function sankey(pen: Pen, description: Description, whole: Box, pencils: Pencils): Marks;
