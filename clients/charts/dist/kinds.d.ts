import { type Read } from "./answer.js";
import type { Marks } from "./cartesian.js";
import type { Box, Pen } from "./pen.js";
import type { Settings } from "./settings.js";
import type { Attributes } from "./svg.js";
import type { ChartType, Description } from "./types.js";
export interface Job {
    read: Read;
    settings: Settings;
    timezone: string | null;
}
/** What of the core the other file works with: it has no second copy of it. */
export interface Tools {
    base(job: Job, type: ChartType): Description;
    only(types: ChartType[], what: string, job: Job): ChartType;
    described(job: Job): Description;
    read(answer: unknown, asked: Record<string, unknown>): Read;
    /** The day and the minute in the job's zone. */
    iso(job: Job, instant: string): string;
    groupNames(query: Record<string, unknown>): string[] | null;
    nameOf(value: string | number | boolean | null, settings: Settings): string;
}
export interface Pencils {
    tag(name: string, attributes: Attributes, children?: string): string;
    round(value: number): number;
}
export interface ActorCharts {
    /** Null where the core describes the answer itself. */
    describe(job: Job, tools: Tools): Description | null;
    sankey(pen: Pen, description: Description, box: Box, pencils: Pencils): Marks;
}
export declare const provided: {
    charts: ActorCharts | null;
};
/** Whether an answer is one of those, by its question or else by its shape. */
export declare function needsMore(answer: unknown, asked: Record<string, unknown>): boolean;
