// The drawing core with the answers about actors in it: for the server, which loads one file.
import { charts } from "./actors.ts";
import { provided } from "./kinds.ts";

provided.charts = charts;

export * from "./draw.ts";
