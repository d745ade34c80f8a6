/** What the pages of pipelines ask for, which the SDK does not. */
import { call, type Project } from "../../session.ts";

export type BucketState = "fresh" | "stale" | "failed" | "frozen" | "skipped";

export interface Pipeline {
  name: string;
  owner: string;
  from: string[];
  into: string;
  bucket: "hour" | "day" | "week" | "month";
  version: number;
  revision: string | null;
  health: "fresh" | "stale" | "failed" | "paused";
  paused: boolean;
  buckets: Partial<Record<BucketState, number>>;
  due: number;
  rows: number;
  processor_seconds: number;
  derived_until: string | null;
  /** Since when and why it misses its deadline. */
  overdue: { since: string; bucket: string; why: string; message: string } | null;
  fresh_within_seconds: number | null;
  problem: string | null;
}

export interface Definition {
  pipeline: Record<string, unknown>;
  masks: Record<string, unknown>;
  references: Record<string, unknown>;
}

export interface Details extends Pipeline {
  definition: Definition;
}

export interface Bucket {
  start: string;
  end: string;
  state: BucketState;
  rows_in: number;
  rows_out: number;
  processor_seconds: number;
  changed: string | null;
  problem: string | null;
}

/** A bucket as of now, whether or not it was ever derived. */
export interface Slot {
  start: string;
  end: string;
  state: BucketState;
  running: boolean;
  cause: "new" | "events" | "definition" | "requested" | null;
}

export interface Timeline {
  total: number;
  buckets: Slot[];
}

export interface Run {
  number: number;
  id: string;
  pipeline: string;
  start: string;
  end: string;
  state: "waiting" | "running" | "done" | "dead" | "cancelled" | "replayed" | "superseded";
  /** Whether it delivers the bucket and derives none. */
  delivers: boolean;
  cause: string;
  attempts: number;
  queued: string;
  began: string | null;
  ended: string | null;
  seconds: number | null;
  processor_seconds: number;
  problem: string | null;
}

export type Kind = "collection" | "pipeline" | "saved_query" | "dataset" | "cohort" | "dashboard" | "alert" | "report";

export interface Asset {
  kind: Kind;
  name: string;
}

export interface Reader extends Asset {
  title: string | null;
  owner: string | null;
  reads: Asset[];
  into: string | null;
}

export interface Lineage {
  collections: { name: string; derived_by: string | null }[];
  readers: Reader[];
}

export function addressIn({ id }: Project, ...parts: string[]): string {
  return ["/3.0/projects", id, ...parts.map(encodeURIComponent)].join("/");
}

export function lineageOf(project: Project, collection: string | null, signal?: AbortSignal): Promise<Lineage> {
  const query = collection === null ? "" : `?${new URLSearchParams({ event_collection: collection })}`;
  return call("GET", addressIn(project, "lineage") + query, undefined, signal);
}
