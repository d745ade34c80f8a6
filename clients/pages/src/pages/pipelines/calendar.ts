/** Where buckets stand in a calendar, and instants of times in a zone. Pure. */
import { dayAfter, midnight, offsetMinutes } from "../../zones.ts";
import type { Pipeline, Slot } from "./calls.ts";

type Unit = Pipeline["bucket"];

export interface Cell {
  slot: Slot;
  column: number;
  row: number;
}

export interface Calendar {
  cells: Cell[];
  columns: number;
  rows: number;
  labels: { column: number; row: number; text: string }[];
  /** Whether labels stand on the left, one for each row, and not above. */
  inRows: boolean;
}

/** Columns of a day of hours and a year of months, which stand in rows; weeks of days stand in columns, and weeks in one row. */
const IN_ROWS: Partial<Record<Unit, number>> = { hour: 24, month: 12 };
const DAY_MS = 86_400_000;
/** Columns between two labels. */
const APART = 5;
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/** `2026-01-31T14:00`, as clocks of the zone show it. */
export function localTime(at: string, zone: string): string {
  const date = new Date(at);
  return new Date(date.getTime() + offsetMinutes(zone, date) * 60_000).toISOString().slice(0, 16);
}

/** The day, week or year that a bucket belongs to, and which of it it is. */
function placeOf(local: string, unit: Unit): [outer: number, inner: number] {
  const day = Date.parse(`${local.slice(0, 10)}T00:00:00Z`) / DAY_MS;
  if (unit === "hour") return [day, Number(local.slice(11, 13))];
  if (unit === "month") return [Number(local.slice(0, 4)), Number(local.slice(5, 7)) - 1];
  // The first day of 1970 was a Thursday; weeks begin with Monday here.
  const week = Math.floor((day + 3) / 7);
  return [week, unit === "week" ? 0 : (day + 3) % 7];
}

function labelOf(local: string, unit: Unit): string {
  const month = MONTHS[Number(local.slice(5, 7)) - 1]!;
  if (unit === "hour") return `${Number(local.slice(8, 10))} ${month}`;
  return unit === "month" ? local.slice(0, 4) : `${month} ${local.slice(0, 4)}`;
}

export function calendarOf(slots: Slot[], unit: Unit, zone: string): Calendar {
  const inRows = IN_ROWS[unit];
  const placed = slots.map((slot) => {
    const local = localTime(slot.start, zone);
    const [outer, inner] = placeOf(local, unit);
    return { slot, outer, inner, local };
  });
  const first = Math.min(...placed.map(({ outer }) => outer));
  const most = Math.max(...placed.map(({ outer }) => outer)) - first + 1;
  const labels: Calendar["labels"] = [];
  let last = "";
  for (const { outer, local } of [...placed].reverse()) {
    const [text, at] = [labelOf(local, unit), outer - first];
    if (text === last || (!inRows && labels.length && at - labels.at(-1)!.column < APART)) continue;
    labels.push(inRows ? { column: 0, row: at, text } : { column: at, row: 0, text });
    last = text;
  }
  return {
    cells: placed.map(({ slot, outer, inner }) => (inRows ? { slot, column: inner, row: outer - first } : { slot, column: outer - first, row: inner })),
    columns: inRows ?? most,
    rows: inRows ? most : unit === "week" ? 1 : 7,
    labels,
    inRows: inRows !== undefined,
  };
}

/** The instants of two local times of a form, of which the last is that of a bucket that belongs to it; null where one is empty. */
export function spanOf(from: string, to: string, unit: Unit, zone: string): { since: string | null; until: string | null } {
  if (unit !== "hour") return { since: from ? midnight(from.slice(0, 10), zone) : null, until: to ? midnight(dayAfter(to.slice(0, 10)), zone) : null };
  return { since: from ? instant(from, zone) : null, until: to ? instant(to, zone, 3_600_000) : null };
}

function instant(local: string, zone: string, later = 0): string {
  const utc = Date.parse(`${local}:00Z`);
  const first = offsetMinutes(zone, new Date(utc));
  const minutes = offsetMinutes(zone, new Date(utc - first * 60_000));
  return new Date(utc - minutes * 60_000 + later).toISOString();
}
