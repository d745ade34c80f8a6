// Numbers and times as people of a place write them; Intl does the work, and is asked once for each format.
import { zoneOf, type Unit, type Zone } from "./time.ts";
import type { NumberFormat } from "./types.ts";

const numbers = new Map<string, Intl.NumberFormat>();
const dates = new Map<string, Intl.DateTimeFormat>();
/** Whether a locale counts hours to twelve. */
const clocks = new Map<string, boolean>();

/** The locale if Intl knows it, else English. */
function known(locale: string | undefined): string {
  try {
    return Intl.getCanonicalLocales(locale ?? "en")[0] ?? "en";
  } catch {
    return "en";
  }
}

export interface Writer {
  locale: string;
  zone: Zone;
  /** With all digits that mean something. */
  full(value: number, format?: NumberFormat): string;
  /** Short: for labels at marks and large numbers. */
  short(value: number, format?: NumberFormat): string;
  /** Short, for labels that are read together: with equally many decimals. */
  alike(values: number[], format?: NumberFormat): string[];
  /** Labels of ticks: as short as they can be while they differ and are true. */
  ticks(values: number[], format?: NumberFormat): string[];
  percent(share: number): string;
  /** The part that each value is of all, rounded: with equally many decimals, equal for equal values. */
  shares(values: number[]): string[];
  /** An interval's start with as much of it as the interval's length calls for. */
  moment(instant: number, interval: string | null): string;
  /** The two lines of a tick's label: the tick, and what it is part of. */
  tick(instant: number, unit: Unit, few: boolean): [string, string];
  date(instant: number, options: Intl.DateTimeFormatOptions): string;
  /** ISO text with the zone's offset. */
  iso(instant: number): string;
}

function scaled(value: number, format: NumberFormat): number {
  if (format.unsigned) value = Math.abs(value);
  return format.style === "percent" && format.of === 100 ? value / 100 : value;
}

/** A number as it is written: in its unit, and how; null for seconds that are written in two units. */
type Shape = [value: number, options: Intl.NumberFormatOptions | null];

function styled(format: NumberFormat): Intl.NumberFormatOptions {
  if (format.style === "percent") return { style: "percent" };
  if (format.style !== "currency" || !format.currency) return {};
  return { style: "currency", currency: format.currency, currencyDisplay: "narrowSymbol" };
}

function unit(value: number, unit: string, decimals: number): Shape {
  return [value, { style: "unit", unit, unitDisplay: "narrow", maximumFractionDigits: decimals }];
}

function bytes(value: number): Shape {
  if (value === 0) return [0, {}];
  const step = Math.min(BYTES.length - 1, Math.max(0, Math.floor(Math.log10(Math.abs(value) || 1) / 3)));
  const [number, options] = unit(value / 1000 ** step, BYTES[step], step ? 1 : 0);
  return [number, { ...options, unitDisplay: "short" }];
}

function seconds(value: number): Shape {
  const size = Math.abs(value);
  if (size === 0) return unit(0, "second", 0);
  if (size < 1) return unit(value * 1000, "millisecond", size < 0.01 ? 1 : 0);
  return size < 60 ? unit(value, "second", size < 10 ? 2 : 1) : [value, null];
}

/** With all digits that mean something. */
function whole(value: number, format: NumberFormat): Shape {
  if (format.style === "duration" && Math.abs(value) < 1e11)
    return seconds(value * SECONDS[format.unit ?? "s"]);
  if (format.style === "bytes" && Math.abs(value) < 1e18) return bytes(value);
  const number = scaled(value, format);
  const size = Math.abs(number);
  const as = (options: Intl.NumberFormatOptions): Shape => [number, { ...styled(format), ...options }];
  if (size >= 1e15 || (size > 0 && size < 1e-6 && format.style !== "currency"))
    return as({ notation: "scientific", minimumFractionDigits: 0, maximumFractionDigits: 2 });
  const { decimals } = format;
  if (decimals !== undefined) return as({ minimumFractionDigits: decimals, maximumFractionDigits: decimals });
  if (format.style === "currency")
    return as(size >= 1e12 ? { notation: "compact", maximumFractionDigits: 2 } : {});
  if (format.style === "percent")
    return as(size >= 1000 ? { notation: "compact" } : { maximumFractionDigits: 2 });
  return as(size > 0 && size < 1 ? { maximumSignificantDigits: 4 } : { maximumFractionDigits: 2 });
}

function brief(value: number, format: NumberFormat): Shape {
  const number = scaled(value, format);
  const size = Math.abs(number);
  const { style, decimals } = format;
  if (style === "duration" || style === "bytes" || size >= 1e15 || (size > 0 && size < 1e-6))
    return whole(value, format);
  const as = (options: Intl.NumberFormatOptions): Shape => [number, { ...styled(format), ...options }];
  if (style === "percent") return as({ maximumFractionDigits: decimals ?? (size < 0.1 ? 1 : 0) });
  if (size >= 100_000) return as({ notation: "compact", maximumSignificantDigits: 3 });
  if (style === "currency" && decimals === undefined && (size >= 100 || Number.isInteger(value)))
    return as({ maximumFractionDigits: 0 });
  if (decimals !== undefined || style === "currency") return whole(value, format);
  if (size >= 1) return as({ maximumFractionDigits: size >= 100 ? 0 : 1 });
  return as({ maximumSignificantDigits: 2 });
}

const SECONDS = { ms: 0.001, s: 1, min: 60, h: 3600 };
const BYTES = ["byte", "kilobyte", "megabyte", "gigabyte", "terabyte", "petabyte"];

const PLAIN: NumberFormat = { style: "number" };

class Speaker implements Writer {
  constructor(
    readonly locale: string,
    readonly zone: Zone,
    private readonly latin: boolean,
  ) {}

  private number(options: Intl.NumberFormatOptions): Intl.NumberFormat {
    const all = this.latin ? { ...options, numberingSystem: "latn" } : options;
    const key = this.locale + JSON.stringify(all);
    let found = numbers.get(key);
    if (!found) numbers.set(key, (found = new Intl.NumberFormat(this.locale, all)));
    return found;
  }

  date(instant: number, options: Intl.DateTimeFormatOptions): string {
    const all: Intl.DateTimeFormatOptions = {
      ...options,
      timeZone: this.zone.name ?? "UTC",
      ...(this.latin ? { numberingSystem: "latn" } : {}),
    };
    const key = this.locale + JSON.stringify(all);
    let found = dates.get(key);
    if (!found) {
      if (dates.size > 300) dates.clear();
      dates.set(key, (found = new Intl.DateTimeFormat(this.locale, all)));
    }
    return found.format(this.zone.name === null ? instant + this.zone.offset(instant) : instant);
  }

  private duration(value: number): string {
    const size = Math.abs(value);
    const sign = value < 0 ? "−" : "";
    const two = (large: number, one: string, small: number, other: string) => {
      const units = Math.round(size / small) * small;
      const rest = Math.round((units % large) / small);
      const first = this.write(unit(Math.floor(units / large), one, 0));
      return sign + first + (rest ? " " + this.write(unit(rest, other, 0)) : "");
    };
    if (size < 3600) return two(60, "minute", 1, "second");
    return size < 86400 ? two(3600, "hour", 60, "minute") : two(86400, "day", 3600, "hour");
  }

  private write([value, options]: Shape, format?: NumberFormat): string {
    if (!options) return this.duration(value);
    // a true minus is as wide as the plus
    const text = this.number(options).format(value).replace("-", "−");
    return (format?.prefix ?? "") + text + (format?.suffix ?? "");
  }

  full(value: number, format: NumberFormat = PLAIN): string {
    return this.write(whole(value, format), format);
  }

  short(value: number, format: NumberFormat = PLAIN): string {
    return this.write(brief(value, format), format);
  }

  /** With as many decimals as the numbers of one unit need; `cap`: at most one more than the largest. */
  private level(shapes: Shape[], format: NumberFormat, cap = false): string[] {
    const told = shapes.map(([value, options]) => {
      const parts = options ? this.number(options).formatToParts(value) : [];
      const part = (type: string) => parts.find((one) => one.type === type)?.value ?? "";
      const unit = part("compact") + part("unit") + part("exponentSeparator");
      return { unit, size: Math.abs(value), digits: part("fraction").length };
    });
    return shapes.map(([value, options], at) => {
      if (!options) return this.duration(value);
      // nothing has no power of ten
      if (!value && options.notation === "scientific")
        return this.write([0, { ...options, notation: "standard", maximumFractionDigits: 0 }], format);
      const { unit } = told[at];
      const peers = told.filter((one) => one.unit === unit);
      const largest = peers.reduce((most, one) => (one.size > most.size ? one : most));
      let digits = Math.max(...peers.map((one) => one.digits));
      // money has cents or none
      if (format.style === "currency" && format.decimals === undefined && !unit)
        digits = digits && largest.size < 10_000 ? Math.max(2, digits) : 0;
      else if (cap) digits = Math.min(digits, largest.digits + 1);
      const decimals = { minimumFractionDigits: digits, maximumFractionDigits: digits };
      return this.write([value, { ...options, maximumSignificantDigits: undefined, ...decimals }], format);
    });
  }

  alike(values: number[], format: NumberFormat = PLAIN): string[] {
    return this.level(
      values.map((value) => brief(value, format)),
      format,
      true,
    );
  }

  ticks(values: number[], format: NumberFormat = PLAIN): string[] {
    const exact = values.map((value) => whole(value, format));
    if (format.style === "duration" || format.style === "bytes") return this.level(exact, format);
    const all = values.map((value) => scaled(value, format));
    const step = all.length > 1 ? Math.abs(all[1] - all[0]) : Math.abs(all[0]) || 1;
    const most = Math.max(...all.map(Math.abs));
    const percent = format.style === "percent" ? 100 : 1;
    // two more than the step has: the ends of a gauge are not round
    const digits = Math.min(15, 2 + Math.max(0, -Math.floor(Math.log10(step * percent) + 1e-9)));
    let tries: Intl.NumberFormatOptions[] = [{ maximumFractionDigits: digits }];
    if (most * percent >= 10_000) tries.unshift({ notation: "compact", maximumFractionDigits: 3 });
    if (most >= 1e15 || (most > 0 && most < 1e-6))
      tries = [3, 15].map((most) => ({ notation: "scientific", maximumFractionDigits: most }));
    for (const options of tries) {
      const style = { ...styled(format), minimumFractionDigits: 0, ...options };
      const made = all.map((value): Shape => [value, style]);
      const labels = this.level(made, format);
      if (new Set(labels).size === labels.length) return labels;
    }
    return exact.map((shape) => this.write(shape, format));
  }

  percent(share: number): string {
    return this[Math.abs(share) < 100 ? "short" : "full"](share, { style: "percent" });
  }

  shares(values: number[]): string[] {
    const total = values.reduce((sum, value) => sum + value, 0) || 1;
    const digits = values.some((value) => value > 0 && value / total < 0.1) ? 1 : 0;
    const parts = values.filter((value) => value > 0).length;
    const decimals = { minimumFractionDigits: digits, maximumFractionDigits: digits };
    const written = (share: number) => this.write([share, { style: "percent", ...decimals }]);
    return values.map((value) => {
      const share = value / total;
      // a part is not nothing, and not all
      if (value > 0 && share < 0.0005) return "<" + written(0.001);
      return parts > 1 && share >= 0.9995 ? ">" + written(0.999) : written(share);
    });
  }

  moment(instant: number, interval: string | null): string {
    const text = interval ?? "";
    if (/year/.test(text)) return this.date(instant, { year: "numeric" });
    if (/month/.test(text)) return this.date(instant, { year: "numeric", month: "short" });
    if (/dai|day|week/.test(text))
      return this.date(instant, { year: "numeric", month: "short", day: "numeric" });
    const clock: Intl.DateTimeFormatOptions = {
      year: "numeric",
      month: "short",
      day: "numeric",
      hour: this.clock12() ? "numeric" : "2-digit",
      minute: "2-digit",
    };
    if (text === "second") return this.date(instant, { ...clock, second: "2-digit" });
    if (text === "" && (instant + this.zone.offset(instant)) % 86_400_000 === 0)
      return this.moment(instant, "daily");
    return this.date(instant, clock);
  }

  tick(instant: number, unit: Unit, few: boolean): [string, string] {
    switch (unit) {
      case "minute":
        return [
          this.date(instant, { hour: this.clock12() ? "numeric" : "2-digit", minute: "2-digit" }),
          this.date(instant, { weekday: "short", day: "numeric", month: "short" }),
        ];
      case "hour":
        return [
          this.date(instant, this.clock12() ? { hour: "numeric" } : { hour: "2-digit", minute: "2-digit" }),
          this.date(instant, { weekday: "short", day: "numeric", month: "short" }),
        ];
      case "day": {
        const day = this.date(instant, { day: "numeric" });
        return [
          few ? `${this.date(instant, { weekday: "short" })} ${day}` : day,
          this.date(instant, { month: "short", year: "numeric" }),
        ];
      }
      case "month":
        return [this.date(instant, { month: "short" }), this.date(instant, { year: "numeric" })];
      case "year":
        return [this.date(instant, { year: "numeric" }), ""];
    }
  }

  private clock12(): boolean {
    let found = clocks.get(this.locale);
    if (found === undefined) {
      found = new Intl.DateTimeFormat(this.locale, { hour: "numeric" }).resolvedOptions().hour12 === true;
      clocks.set(this.locale, found);
    }
    return found;
  }

  iso(instant: number): string {
    const offset = this.zone.offset(instant);
    const text = new Date(instant + offset).toISOString().slice(0, -1);
    const minutes = Math.abs(Math.round(offset / 60_000));
    const two = (value: number) => String(value).padStart(2, "0");
    return offset === 0
      ? `${text}Z`
      : `${text}${offset < 0 ? "-" : "+"}${two(Math.floor(minutes / 60))}:${two(minutes % 60)}`;
  }
}

/** How a place writes numbers and times; `resolve` keeps to digits that the shipped font has. */
export function writerOf(options: {
  locale?: string;
  timezone?: string | number | null;
  resolve?: boolean;
}): Writer {
  return new Speaker(known(options.locale), zoneOf(options.timezone), options.resolve === true);
}
