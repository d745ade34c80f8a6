/** Timeframes and their days, as people write them. */
import type { Timeframe } from "acumen-client";
import { dayAfter } from "./zones.ts";

/** `1 Nov – 15 Nov 2026`: the first and the last day, both included. The zone is a name, or seconds east of UTC. */
export function writtenDays({ start, end }: { start?: string; end?: string }, timezone: unknown): string {
  const [from, until] = [Date.parse(start ?? ""), Date.parse(end ?? "") - 1];
  if (Number.isNaN(from) || Number.isNaN(until)) return "";
  const offset = typeof timezone === "number" ? timezone * 1000 : 0;
  const written = (at: number, year: boolean) => {
    const timeZone = typeof timezone === "string" && isZone(timezone) ? timezone : "UTC";
    const options = { day: "numeric", month: "short", timeZone } as const;
    return new Intl.DateTimeFormat("en-GB", year ? { ...options, year: "numeric" } : options).format(at + offset);
  };
  const last = written(until, true);
  if (written(from, true) === last) return last;
  return `${written(from, written(from, true).slice(-4) !== last.slice(-4))} – ${last}`;
}

/** The day on which it was in a zone, `2026-01-31`. */
export function dayIn(zone: string, at: string | Date): string {
  const parts = new Intl.DateTimeFormat("en-CA", { timeZone: zone, year: "numeric", month: "2-digit", day: "2-digit" });
  return parts.format(new Date(at));
}

export function isZone(name: string): boolean {
  try {
    return Boolean(new Intl.DateTimeFormat("en", { timeZone: name }));
  } catch {
    return false;
  }
}

const SPAN = /^(this|previous)_(?:(\d+)_)?(minute|hour|day|week|month|year)s?$/;

/** `this_7_days` as a choice: whether what is not over yet is part of it. */
export function frameLabel(timeframe: string): string {
  const [, kind, count, unit] = SPAN.exec(timeframe) ?? [];
  const plain = timeframe.replaceAll("_", " ");
  if (!count) return plain.charAt(0).toUpperCase() + plain.slice(1);
  const units = Number(count) === 1 ? unit : `${unit}s`;
  if (kind === "previous") return `Previous ${count} full ${units}`;
  return `Last ${count} ${units}, ${unit === "day" ? "today" : "this one"} included`;
}

/** Whether only the server knows its days: which day a week begins with is the project's. */
export const isOfWeeks = (timeframe: Timeframe): boolean => typeof timeframe === "string" && SPAN.exec(timeframe)?.[3] === "week";

/** The days of a timeframe in words; empty where it has no whole days, or the zone is not known. */
export function daysOfFrame(timeframe: Timeframe, zone: string, now = new Date()): string {
  if (typeof timeframe !== "string") return isZone(zone) ? writtenDays(timeframe, zone) : "";
  const named = { today: "this_day", yesterday: "previous_day" }[timeframe] ?? timeframe;
  const [, kind, count = "1", unit] = SPAN.exec(named) ?? [];
  if (!isZone(zone) || !["day", "month", "year"].includes(unit ?? "")) return "";
  const today = dayIn(zone, now);
  const [from, until] = kind === "this" ? [1 - Number(count), 1] : [-Number(count), 0];
  const start = begun(today, unit!, from);
  const last = dayAfter(begun(today, unit!, until), -1);
  return writtenDays({ start: `${start}T00:00:00Z`, end: `${dayAfter(last)}T00:00:00Z` }, "UTC");
}

/** The day with which the unit begins that is so many after today's. */
function begun(today: string, unit: string, by: number): string {
  if (unit === "day") return dayAfter(today, by);
  const [year, month] = today.split("-").map(Number);
  const first = unit === "month" ? Date.UTC(year!, month! - 1 + by, 1) : Date.UTC(year! + by, 0, 1);
  return new Date(first).toISOString().slice(0, 10);
}
