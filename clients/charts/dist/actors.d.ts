import type { ActorCharts } from "./kinds.js";
export declare const charts: ActorCharts;
