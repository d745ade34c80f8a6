/** What is said of parts of an answer that its timeframe cuts: a first week that begins on a Tuesday, say. */
import type { Question } from "acumen-client";
import { isZone } from "./days.ts";
import { offsetMinutes } from "./zones.ts";

interface Part {
  timeframe?: { start: string; end: string };
}

const HOUR = 3_600_000;
const UNITS: Record<string, { name: string; within: string; size: number }> = {
  hourly: { name: "hour", within: "minutes", size: 60_000 },
  daily: { name: "day", within: "hours", size: HOUR },
  weekly: { name: "week", within: "days", size: 24 * HOUR },
  monthly: { name: "month", within: "days", size: 24 * HOUR },
  yearly: { name: "year", within: "days", size: 24 * HOUR },
};

type Clocks = (text: string) => number;

/**
 * Gives for an instant the time on the clocks by which the server cuts, as if it were of UTC: those of the zone,
 * but of an absolute timeframe those of the offset that its start is written with. Null for an unknown zone.
 */
function clocksOf({ timezone, timeframe }: Partial<Question>): Clocks | null {
  const zone: unknown = timezone ?? "UTC";
  const fixed = (minutes: number) => (text: string) => Date.parse(text) + minutes * 60_000;
  if (typeof zone === "number") return fixed(zone / 60);
  if (typeof zone !== "string" || !isZone(zone)) return null;
  const start = timeframe && typeof timeframe !== "string" ? (timeframe as { start?: string }).start : undefined;
  if (start) {
    const [, sign, hours, minutes] = /([+-])(\d\d):?(\d\d)$/.exec(start.slice(10)) ?? [];
    const given = sign ? Number(`${sign}1`) * (Number(hours) * 60 + Number(minutes)) : 0;
    if (given !== offsetMinutes(zone, new Date(start))) return fixed(given);
  }
  return (text) => Date.parse(text) + offsetMinutes(zone, new Date(text)) * 60_000;
}

/** How long the whole hour, day, week, month or year is that holds this time. */
function whole(interval: string, at: number): number {
  const date = new Date(at);
  const [year, month] = [date.getUTCFullYear(), date.getUTCMonth()];
  if (interval === "monthly") return Date.UTC(year, month + 1, 1) - Date.UTC(year, month, 1);
  if (interval === "yearly") return Date.UTC(year + 1, 0, 1) - Date.UTC(year, 0, 1);
  return { hourly: HOUR, daily: 24 * HOUR, weekly: 7 * 24 * HOUR }[interval]!;
}

function written(at: number): string {
  const day = new Date(at).toLocaleDateString("en-GB", { weekday: "long", day: "numeric", month: "long", timeZone: "UTC" });
  const clock = new Date(at).toISOString().slice(11, 16);
  return clock === "00:00" ? `on ${day}` : `on ${day} at ${clock}`;
}

/** A sentence for the first part and one for the last, where they hold less than a whole one. */
export function cutParts(result: unknown, question: Partial<Question> | null | undefined): string[] {
  const interval: unknown = question?.interval;
  const onClocks = clocksOf(question ?? {});
  const unit = typeof interval === "string" && Object.hasOwn(UNITS, interval) ? UNITS[interval]! : null;
  const parts: Part[] = Array.isArray(result) ? result : [];
  const [first, last] = [parts[0]?.timeframe, parts.at(-1)?.timeframe];
  if (!unit || !first || !last || !onClocks) return [];
  const { name, within, size } = unit;
  const amount = (length: number) => (length / size).toLocaleString("en-GB", { maximumFractionDigits: 1 });
  const said = (which: string, { start, end }: NonNullable<Part["timeframe"]>, edge: (from: number, to: number) => string) => {
    const [from, to] = [onClocks(start), onClocks(end)];
    const all = whole(interval as string, from);
    if (!(to - from < all)) return [];
    return [`The ${which} ${name} ${edge(from, to)}: it holds ${amount(to - from)} of ${amount(all)} ${within}.`];
  };
  if (parts.length === 1) return said("only", first, (from) => `begins ${written(from)}`);
  // An end at midnight is that of the day before.
  const ended = (to: number) => `ends ${written(to % (24 * HOUR) ? to : to - 24 * HOUR)}`;
  return [...said("first", first, (from) => `begins ${written(from)}`), ...said("last", last, (_, to) => ended(to))];
}
