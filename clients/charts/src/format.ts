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
  /** Labels of ticks: as short as they can be while they differ and are true. */
  ticks(values: number[], format?: NumberFormat): string[];
  percent(share: number): string;
  /** An interval's start with as much of it as the interval's length calls for. */
  moment(instant: number, interval: string | null): string;
  /** The two lines of a tick's label: the tick, and what it is part of. */
  tick(instant: number, unit: Unit, few: boolean): [string, string];
  date(instant: number, options: Intl.DateTimeFormatOptions): string;
  /** ISO text with the zone's offset. */
  iso(instant: number): string;
}

function scaled(value: number, format: NumberFormat): number {
  return format.style === "percent" && format.of === 100 ? value / 100 : value;
}

const SECONDS = { ms: 0.001, s: 1, min: 60, h: 3600 };
const BYTES = ["byte", "kilobyte", "megabyte", "gigabyte", "terabyte", "petabyte"];

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

  private unit(value: number, unit: string, decimals: number): string {
    return this.number({
      style: "unit",
      unit,
      unitDisplay: "narrow",
      maximumFractionDigits: decimals,
    }).format(value);
  }

  private duration(value: number, unit: NonNullable<NumberFormat["unit"]>): string {
    const seconds = value * SECONDS[unit];
    const size = Math.abs(seconds);
    const sign = seconds < 0 ? "−" : "";
    if (size === 0) return this.unit(0, "second", 0);
    if (size < 1) return sign + this.unit(size * 1000, "millisecond", size < 0.01 ? 1 : 0);
    if (size < 60) return sign + this.unit(size, "second", size < 10 ? 2 : 1);
    const two = (large: number, one: string, small: number, other: string) => {
      const units = Math.round(size / small) * small;
      const rest = Math.round((units % large) / small);
      return (
        sign + this.unit(Math.floor(units / large), one, 0) + (rest ? " " + this.unit(rest, other, 0) : "")
      );
    };
    if (size < 3600) return two(60, "minute", 1, "second");
    return size < 86400 ? two(3600, "hour", 60, "minute") : two(86400, "day", 3600, "hour");
  }

  private bytes(value: number): string {
    if (value === 0) return this.number({}).format(0);
    const step = Math.min(BYTES.length - 1, Math.max(0, Math.floor(Math.log10(Math.abs(value) || 1) / 3)));
    return this.number({
      style: "unit",
      unit: BYTES[step],
      unitDisplay: "short",
      maximumFractionDigits: step ? 1 : 0,
    }).format(value / 1000 ** step);
  }

  private style(format: NumberFormat, options: Intl.NumberFormatOptions): Intl.NumberFormat {
    if (format.style === "percent") return this.number({ style: "percent", ...options });
    if (format.style === "currency" && format.currency) {
      return this.number({
        style: "currency",
        currency: format.currency,
        currencyDisplay: "narrowSymbol",
        ...options,
      });
    }
    return this.number(options);
  }

  private write(value: number, format: NumberFormat, options: Intl.NumberFormatOptions): string {
    // a true minus is as wide as the plus
    const text = this.style(format, options).format(scaled(value, format)).replace("-", "−");
    return (format.prefix ?? "") + text + (format.suffix ?? "");
  }

  full(value: number, format: NumberFormat = { style: "number" }): string {
    if (format.style === "duration" && Math.abs(value) < 1e11)
      return this.duration(value, format.unit ?? "s");
    if (format.style === "bytes" && Math.abs(value) < 1e18) return this.bytes(value);
    const size = Math.abs(scaled(value, format));
    if (size >= 1e15 || (size > 0 && size < 1e-6 && format.style !== "currency"))
      return this.write(value, format, { notation: "scientific", maximumFractionDigits: 2 });
    if (format.decimals !== undefined) {
      return this.write(value, format, {
        minimumFractionDigits: format.decimals,
        maximumFractionDigits: format.decimals,
      });
    }
    if (format.style === "currency")
      return this.write(value, format, size >= 1e12 ? { notation: "compact", maximumFractionDigits: 2 } : {});
    if (format.style === "percent")
      return this.write(value, format, size >= 1000 ? { notation: "compact" } : { maximumFractionDigits: 2 });
    return this.write(
      value,
      format,
      size > 0 && size < 1 ? { maximumSignificantDigits: 4 } : { maximumFractionDigits: 2 },
    );
  }

  short(value: number, format: NumberFormat = { style: "number" }): string {
    if (format.style === "duration" || format.style === "bytes") return this.full(value, format);
    const size = Math.abs(scaled(value, format));
    if (size >= 1e15 || (size > 0 && size < 1e-6)) return this.full(value, format);
    if (format.style === "percent")
      return this.write(value, format, { maximumFractionDigits: format.decimals ?? (size < 0.1 ? 1 : 0) });
    if (size >= 100_000)
      return this.write(value, format, { notation: "compact", maximumSignificantDigits: 3 });
    if (
      format.style === "currency" &&
      format.decimals === undefined &&
      (size >= 100 || Number.isInteger(value))
    ) {
      return this.write(value, format, { maximumFractionDigits: 0 });
    }
    if (format.decimals !== undefined || format.style === "currency") return this.full(value, format);
    return this.write(
      value,
      format,
      size >= 100
        ? { maximumFractionDigits: 0 }
        : size >= 1
          ? { maximumFractionDigits: 1 }
          : { maximumSignificantDigits: 2 },
    );
  }

  ticks(values: number[], format: NumberFormat = { style: "number" }): string[] {
    if (format.style === "duration" || format.style === "bytes")
      return values.map((value) => this.full(value, format));
    const all = values.map((value) => scaled(value, format));
    const step = all.length > 1 ? Math.abs(all[1] - all[0]) : Math.abs(all[0]) || 1;
    const most = Math.max(...all.map(Math.abs));
    const percent = format.style === "percent" ? 100 : 1;
    const digits = Math.min(15, Math.max(0, -Math.floor(Math.log10(step * percent) + 1e-9)));
    const plain: Intl.NumberFormatOptions = { minimumFractionDigits: digits, maximumFractionDigits: digits };
    const tries: Intl.NumberFormatOptions[] = [plain];
    if (most * percent >= 10_000) tries.unshift({ notation: "compact", maximumFractionDigits: 3 });
    if (most >= 1e15 || (most > 0 && most < 1e-6))
      tries.unshift({ notation: "scientific", maximumFractionDigits: 3 });
    for (const options of tries) {
      const labels = values.map((value) =>
        this.write(value, format, { minimumFractionDigits: 0, ...options }),
      );
      if (new Set(labels).size === labels.length) return labels;
    }
    return values.map((value) => this.full(value, format));
  }

  percent(share: number): string {
    const size = Math.abs(share);
    if (size >= 100) return this.full(share, { style: "percent" });
    return this.number({ style: "percent", maximumFractionDigits: size > 0 && size < 0.1 ? 1 : 0 }).format(
      share,
    );
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
