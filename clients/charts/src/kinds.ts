// The place of what draws the answers about actors, which is a file of its own: few pages need it.
import { isObject, type Read } from "./answer.ts";
import type { Marks } from "./cartesian.ts";
import type { Box, Pen } from "./pen.ts";
import type { Settings } from "./settings.ts";
import type { Attributes } from "./svg.ts";
import type { ChartType, Description } from "./types.ts";

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

export const provided: { charts: ActorCharts | null } = { charts: null };

const ANALYSES = /^(retention|paths|lifecycle|sessions|stickiness|series|funnel)$/;

/** Whether an answer is one of those, by its question or else by its shape. */
export function needsMore(answer: unknown, asked: Record<string, unknown>): boolean {
  if (!isObject(answer)) return false;
  const { query, result } = answer;
  const analysis = isObject(query) ? query.analysis_type : asked.analysis_type;
  if (analysis) return ANALYSES.test(String(analysis));
  if (isObject(result)) return "edges" in result || "times" in result || "bounces" in result;
  return "compare" in answer || "summary" in answer || "steps" in answer;
}
