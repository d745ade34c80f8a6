// Which request asks what a chart shows, and for which timeframe came before.
import { isObject } from "../answer.ts";
import { writerOf } from "../format.ts";
import { zoneOf } from "../time.ts";
import type { Ask } from "./asking.ts";

export type Json = Record<string, unknown>;
export type Timeframe = string | { start?: string; end?: string };

export interface Filter {
  property_name: string;
  operator: string;
  property_value: unknown;
}

/** What is asked differently from how it is saved. */
export interface Changes {
  timeframe?: Timeframe;
  timezone?: string;
  interval?: string;
  filters?: Filter[];
}

export interface Source {
  server: string;
  project: string;
  key: string;
  savedQuery: string;
  query: Json | null;
  dataset: string;
  indexBy: unknown;
  /** A tile of a dashboard whose question is not told. */
  dashboard: string;
  tile: string;
}

function parameter(value: unknown): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}

function parameters(values: Json): string {
  const pairs = Object.entries(values).filter(([, value]) => value !== undefined && value !== null);
  const text = new URLSearchParams(pairs.map(([name, value]) => [name, parameter(value)])).toString();
  return text && `?${text}`;
}

/** The request for the answer; null where the attributes do not say what is asked. */
export function requestOf(source: Source, changes: Changes): Ask | null {
  const { server, project, key, savedQuery, query, dataset, indexBy, dashboard, tile } = source;
  if (!project) return null;
  const base = `${server.replace(/\/+$/, "")}/3.0/projects/${encodeURIComponent(project)}`;
  const changed: Json = { ...changes, filters: changes.filters?.length ? changes.filters : undefined };
  if (savedQuery) {
    return {
      key,
      url: `${base}/queries/saved/${encodeURIComponent(savedQuery)}/result${parameters(changed)}`,
    };
  }
  if (dashboard && tile) {
    const of = [dashboard, tile].map(encodeURIComponent);
    return { key, url: `${base}/dashboards/${of[0]}/tiles/${of[1]}/result${parameters(changed)}` };
  }
  if (dataset) {
    const { timeframe } = changes;
    const values = { index_by: indexBy === "" ? undefined : indexBy, timeframe };
    return { key, url: `${base}/datasets/${encodeURIComponent(dataset)}/results${parameters(values)}` };
  }
  if (!query || typeof query.analysis_type !== "string") return null;
  const { analysis_type: analysis, filters, ...rest } = query;
  const own = Array.isArray(filters) ? filters : [];
  const body = { ...rest, ...changed, filters: [...own, ...(changes.filters ?? [])] };
  return {
    key,
    url: `${base}/queries/${encodeURIComponent(analysis as string)}`,
    body: JSON.stringify(body),
  };
}

// --- timeframes

const DAY = 86_400_000;
const FIXED: Record<string, number> = { minute: 60_000, hour: 3_600_000, day: DAY };

export interface Span {
  kind: "this" | "previous";
  count: number;
  unit: string;
}

/** A relative timeframe in its parts; null for any other. */
export function spanOf(timeframe: unknown): Span | null {
  if (timeframe === "today") return { kind: "this", count: 1, unit: "day" };
  if (timeframe === "yesterday") return { kind: "previous", count: 1, unit: "day" };
  const found = /^(this|previous|last)_(?:(\d+)_)?(minute|hour|day|week|month|year)s?$/.exec(
    String(timeframe),
  );
  if (!found) return null;
  return { kind: found[1] === "this" ? "this" : "previous", count: Number(found[2] ?? 1), unit: found[3] };
}

/** Wall-clock time (as milliseconds of UTC) moved by so many units; a day that a month lacks is its last. */
function moved(wall: number, unit: string, count: number): number {
  if (FIXED[unit]) return wall + count * FIXED[unit];
  const date = new Date(wall);
  const day = date.getUTCDate();
  date.setUTCDate(1);
  date.setUTCMonth(date.getUTCMonth() + count * (unit === "year" ? 12 : 1));
  const last = new Date(Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + 1, 0)).getUTCDate();
  date.setUTCDate(Math.min(day, last));
  return date.getTime();
}

function floor(wall: number, unit: string): number {
  if (FIXED[unit]) return Math.floor(wall / FIXED[unit]) * FIXED[unit];
  const date = new Date(wall);
  return Date.UTC(date.getUTCFullYear(), unit === "year" ? 0 : date.getUTCMonth(), 1);
}

type Zone = string | number | null | undefined;

/** A wall-clock time of the zone as ISO text with its offset: the server cuts days by it. */
export function isoOf(wall: number, timezone: Zone): string {
  const zone = zoneOf(timezone);
  const guess = wall - zone.offset(wall);
  return writerOf({ timezone }).iso(wall - zone.offset(guess));
}

/**
 * The period before, of the same length; of one that still runs, as much as has passed of it, since a part
 * does not compare with a whole. Null where it cannot be told: of all time, and of weeks, whose first day is not said.
 */
export function periodBefore(
  timeframe: unknown,
  timezone: Zone,
  now: number,
): { start: string; end: string } | null {
  if (isObject(timeframe)) {
    const [start, end] = [Date.parse(String(timeframe.start)), Date.parse(String(timeframe.end))];
    const writer = writerOf({ timezone });
    return end > start ? { start: writer.iso(2 * start - end), end: writer.iso(start) } : null;
  }
  const span = spanOf(timeframe);
  if (!span || span.unit === "week" || span.count < 1) return null;
  const wall = now + zoneOf(timezone).offset(now);
  const unit = floor(wall, span.unit);
  const running = span.kind === "this";
  const start = moved(unit, span.unit, running ? 1 - span.count : -span.count);
  const end = running ? wall : unit;
  const to = (at: number) => isoOf(moved(at, span.unit, -span.count), timezone);
  return { start: to(start), end: to(end) };
}
