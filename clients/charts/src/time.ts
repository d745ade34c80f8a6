// Wall clocks of time zones, and where ticks of a time axis stand.

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

export interface Zone {
  /** As Intl knows it; null for a fixed offset, whose times are shifted and written as UTC. */
  name: string | null;
  /** Milliseconds to add to an instant, so that the UTC fields of the sum are those of the wall clock. */
  offset(instant: number): number;
}

function fixed(milliseconds: number): Zone {
  return { name: milliseconds === 0 ? "UTC" : null, offset: () => milliseconds };
}

function named(name: string): Zone {
  const format = new Intl.DateTimeFormat("en-US", {
    timeZone: name,
    hourCycle: "h23",
    calendar: "gregory",
    numberingSystem: "latn",
    year: "numeric",
    month: "numeric",
    day: "numeric",
    hour: "numeric",
    minute: "numeric",
    second: "numeric",
    era: "short",
  });
  const known = new Map<number, number>();
  const measure = (instant: number) => {
    const parts: Record<string, string> = {};
    for (const part of format.formatToParts(instant)) parts[part.type] = part.value;
    const year = parts.era === "BC" ? 1 - Number(parts.year) : Number(parts.year);
    const wall = Date.UTC(
      year,
      Number(parts.month) - 1,
      Number(parts.day),
      Number(parts.hour),
      Number(parts.minute),
      Number(parts.second),
    );
    return wall - Math.floor(instant / 1000) * 1000;
  };
  return {
    name,
    offset(instant) {
      // offsets change on quarters of an hour
      const quarter = Math.floor(instant / (15 * MINUTE));
      let found = known.get(quarter);
      if (found === undefined) {
        if (known.size > 5000) known.clear();
        found = measure(quarter * 15 * MINUTE);
        known.set(quarter, found);
      }
      return found;
    },
  };
}

const zones = new Map<string, Zone>();

/** A zone by its IANA name or by seconds east of UTC; UTC where there is none or no such. */
export function zoneOf(timezone: string | number | null | undefined): Zone {
  const text = String(timezone ?? "UTC").trim();
  let zone = zones.get(text);
  if (!zone) {
    const offset = /^([+-])(\d\d):?(\d\d)$/.exec(text);
    if (text === "UTC") zone = fixed(0);
    else if (/^[+-]?\d+$/.test(text) && !offset) zone = fixed(Number(text) * 1000);
    else if (offset)
      zone = fixed((offset[1] === "-" ? -1 : 1) * (Number(offset[2]) * HOUR + Number(offset[3]) * MINUTE));
    else {
      try {
        zone = named(text);
      } catch {
        zone = fixed(0);
      }
    }
    if (zones.size > 500) zones.clear();
    zones.set(text, zone);
  }
  return zone;
}

/** Whether Intl knows a zone of this name. */
export function isZone(name: string): boolean {
  try {
    return Boolean(new Intl.DateTimeFormat("en", { timeZone: name }));
  } catch {
    return false;
  }
}

/** The instant at which the wall clock shows this; in a gap the instant as much later, of two the first. */
function instantOf(zone: Zone, wall: number): number {
  const before = zone.offset(wall - DAY);
  const after = zone.offset(wall + DAY);
  for (const offset of [Math.max(before, after), Math.min(before, after)]) {
    if (zone.offset(wall - offset) === offset) return wall - offset;
  }
  return wall - before;
}

export type Unit = "minute" | "hour" | "day" | "month" | "year";

/** Steps of ticks from fine to coarse; weeks are seven days. */
const STEPS: [Unit, number, number][] = [
  ["minute", 1, MINUTE],
  ["minute", 5, 5 * MINUTE],
  ["minute", 15, 15 * MINUTE],
  ["minute", 30, 30 * MINUTE],
  ["hour", 1, HOUR],
  ["hour", 3, 3 * HOUR],
  ["hour", 6, 6 * HOUR],
  ["hour", 12, 12 * HOUR],
  ["day", 1, DAY],
  ["day", 2, 2 * DAY],
  ["day", 7, 7 * DAY],
  ["day", 14, 14 * DAY],
  ["month", 1, 30 * DAY],
  ["month", 3, 91 * DAY],
  ["month", 6, 182 * DAY],
  ["year", 1, 365 * DAY],
  ["year", 2, 730 * DAY],
  ["year", 5, 1826 * DAY],
  ["year", 10, 3652 * DAY],
  ["year", 25, 9131 * DAY],
  ["year", 100, 36524 * DAY],
];

function floorWall(wall: number, unit: Unit, step: number, weekday: number): number {
  const date = new Date(wall);
  const year = date.getUTCFullYear();
  const month = date.getUTCMonth();
  switch (unit) {
    case "minute":
      return Math.floor(wall / (step * MINUTE)) * step * MINUTE;
    case "hour":
      return Math.floor(wall / (step * HOUR)) * step * HOUR;
    case "day": {
      if (step === 2) return Date.UTC(year, month, date.getUTCDate() - ((date.getUTCDate() - 1) % 2));
      const days = Math.floor(wall / DAY);
      // day 0 was a Thursday
      const past = step === 1 ? 0 : (((days + 4 - weekday) % step) + step) % step;
      return (days - past) * DAY;
    }
    case "month":
      return Date.UTC(year, month - (month % step), 1);
    case "year":
      return Date.UTC(year - (((year % step) + step) % step), 0, 1);
  }
}

function next(wall: number, unit: Unit, step: number): number {
  const date = new Date(wall);
  if (unit === "month") return Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + step, 1);
  if (unit === "year") return Date.UTC(date.getUTCFullYear() + step, 0, 1);
  if (unit === "day" && step === 2) {
    // odd days, begun anew each month
    const odd = Date.UTC(date.getUTCFullYear(), date.getUTCMonth(), date.getUTCDate() + 2);
    const first = Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + 1, 1);
    return odd + DAY >= first ? first : odd;
  }
  return wall + step * (unit === "day" ? DAY : unit === "hour" ? HOUR : MINUTE);
}

/** Instants from start to end at which the wall clock turns to a new unit. */
function calendar(
  zone: Zone,
  start: number,
  end: number,
  unit: Unit,
  step: number,
  weekday: number,
): number[] {
  const found: number[] = [];
  let wall = floorWall(start + zone.offset(start), unit, step, weekday);
  for (let turns = 0; turns < 1000; turns++) {
    const instant = instantOf(zone, wall);
    if (instant > end) break;
    if (instant >= start && instant > (found[found.length - 1] ?? -Infinity)) found.push(instant);
    wall = next(wall, unit, step);
  }
  return found;
}

export interface Ticks {
  unit: Unit;
  step: number;
  instants: number[];
}

function unitOf(length: number, starts: number[], zone: Zone): Unit {
  if (length >= 360 * DAY) return "year";
  if (length >= 27 * DAY) return "month";
  if (length >= 23 * HOUR) return "day";
  const whole = starts.every((start) => (start + zone.offset(start)) % HOUR === 0);
  return length >= HOUR && whole ? "hour" : "minute";
}

/** The usual length of intervals. */
function usual(starts: number[], ends: number[]): number {
  const lengths = starts.map((start, index) => ends[index] - start).sort((a, b) => a - b);
  return lengths[lengths.length >> 1] ?? DAY;
}

/**
 * Ticks for intervals: every interval if `fits` takes that, else every second, third … of odd lengths, else
 * where the calendar turns; the first that fits.
 */
export function timeTicks(
  starts: number[],
  ends: number[],
  zone: Zone,
  fits: (ticks: Ticks) => boolean,
): Ticks {
  const length = usual(starts, ends);
  const unit = unitOf(length, starts, zone);
  const first = starts[0];
  const last = starts[starts.length - 1];
  const every = (step: number): Ticks => ({
    unit,
    step: step === 1 ? 1 : 0,
    instants: starts.filter((_, index) => index % step === 0),
  });
  if (starts.length <= 60 && fits(every(1))) return every(1);
  // intervals that are no unit of the calendar, weeks among them
  const odd =
    ![MINUTE, 5 * MINUTE, 15 * MINUTE, 30 * MINUTE, HOUR].includes(length) &&
    !(unit === "day" && length < 1.5 * DAY) &&
    !(unit === "month" && length < 32 * DAY) &&
    !(unit === "year" && length < 370 * DAY);
  if (odd)
    for (const step of [2, 3, 4, 5])
      if (starts.length / step <= 60 && starts.length / step >= 3 && fits(every(step))) return every(step);
  const weekday = new Date(starts[Math.min(1, starts.length - 1)] + zone.offset(first)).getUTCDay();
  for (const [name, step, size] of STEPS) {
    if (size < length * 0.9 || (last - first) / size > 80) continue;
    const instants = calendar(zone, first, last, name, step, length >= 6.5 * DAY ? weekday : 1);
    if (instants.length >= 2 && fits({ unit: name, step, instants })) return { unit: name, step, instants };
  }
  for (let step = 2; step < starts.length; step++) if (fits(every(step))) return every(step);
  return { unit, step: 0, instants: starts.slice(0, 1) };
}
