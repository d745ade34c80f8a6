/** The states of pipelines, buckets and runs, in words. */
import { countText } from "../../words.ts";
import type { Kind, Pipeline, Run, Slot } from "./calls.ts";

/** What a pipeline is, from the worst to the best. */
export const STATES = {
  failed: "failed",
  running: "running",
  stale: "behind",
  paused: "paused",
  frozen: "frozen",
  none: "no events yet",
  fresh: "fresh",
} as const;

export type ShownState = keyof typeof STATES;

export function stateOf(pipeline: Pipeline, running: ReadonlySet<string>): ShownState {
  const { health, due, buckets, paused, name } = pipeline;
  if (paused || health === "paused") return "paused";
  if (running.has(name)) return "running";
  if (health === "failed") return "failed";
  if (due > 0) return "stale";
  if (buckets.fresh) return "fresh";
  return buckets.frozen || buckets.skipped ? "frozen" : "none";
}

/** Why a deadline is missed. */
export const LATE: Record<string, string> = {
  waiting: "its run waits",
  running: "it is derived at present",
  failed: "a bucket failed",
  paused: "it is paused",
  no_run_worker: "nothing executes its runs",
};

/** More of the state than a word. */
export function stateText(pipeline: Pipeline, state: ShownState): string {
  const { due, buckets, overdue } = pipeline;
  const also = [
    overdue ? `overdue, ${LATE[overdue.why] ?? overdue.why}` : "",
    state !== "failed" && buckets.failed ? `${countText(buckets.failed, "bucket")} failed` : "",
    state === "failed" && buckets.failed ? countText(buckets.failed, "bucket") : "",
    due ? `${due.toLocaleString()} to derive` : "",
    buckets.frozen ? `${buckets.frozen.toLocaleString()} frozen` : "",
    buckets.skipped ? `${buckets.skipped.toLocaleString()} skipped` : "",
  ].filter(Boolean);
  return also.join(", ");
}

export const SLOT_STATES: Record<Slot["state"] | "running", string> = {
  fresh: "fresh",
  stale: "to derive",
  running: "running",
  failed: "failed",
  frozen: "frozen",
  skipped: "skipped",
};

export const CAUSES: Record<string, string> = {
  new: "never derived yet",
  events: "its events have changed",
  definition: "the definition has changed",
  requested: "somebody asked for it",
};

export const RUN_STATES: Record<Run["state"], string> = {
  waiting: "waits",
  running: "running",
  done: "done",
  dead: "failed",
  cancelled: "cancelled",
  replayed: "failed, queued again",
  superseded: "failed, another one goes on",
};

export const KINDS: Record<Kind, [one: string, many: string]> = {
  collection: ["collection", "collections"],
  pipeline: ["pipeline", "pipelines"],
  saved_query: ["saved query", "saved queries"],
  dashboard: ["dashboard", "dashboards"],
  cohort: ["cohort", "cohorts"],
  dataset: ["dataset", "datasets"],
  alert: ["alert", "alerts"],
  report: ["report", "reports"],
};

const NEEDS_HOURS = { hour: true, day: false, week: false, month: false };

/** A bucket's time in the pipeline's zone. */
export function bucketText(start: string, unit: Pipeline["bucket"], timeZone: string): string {
  const options: Intl.DateTimeFormatOptions =
    unit === "month" ? { month: "long", year: "numeric" } : { weekday: "short", day: "numeric", month: "short", year: "numeric" };
  if (NEEDS_HOURS[unit]) Object.assign(options, { hour: "2-digit", minute: "2-digit" });
  const text = new Intl.DateTimeFormat(undefined, { ...options, timeZone }).format(new Date(start));
  return unit === "week" ? `week of ${text}` : text;
}

export function secondsText(seconds: number): string {
  if (seconds < 100) return `${seconds.toLocaleString(undefined, { maximumSignificantDigits: 2 })} s`;
  const minutes = seconds / 60;
  if (minutes < 100) return `${Math.round(minutes).toLocaleString()} min`;
  return `${(minutes / 60).toLocaleString(undefined, { maximumSignificantDigits: 3 })} h`;
}
