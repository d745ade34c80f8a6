// The options of `describe`: checked, and completed by what a saved query's `metadata.visualization` holds.
import { isObject } from "./answer.ts";
import {
  CHART_TYPES,
  ChartError,
  WORDS,
  type Annotation,
  type ChartType,
  type DescribeOptions,
  type NumberFormat,
  type Words,
} from "./types.ts";

type Json = Record<string, unknown>;

export interface Settings {
  type: ChartType | null;
  /** Whether a type that cannot show the answer is an error; one of saved metadata gives way instead. */
  strict: boolean;
  title: string | null;
  now: number | null;
  previous: unknown;
  previousName: string;
  format: NumberFormat;
  names: Record<string, string>;
  colors: Record<string, string> | string[];
  annotations: Annotation[];
  limit: number | null;
  all: boolean;
  orientation?: "horizontal" | "vertical";
  curve?: "linear" | "smooth" | "step";
  min?: number;
  max?: number;
  target?: number;
  value: "finished" | "latest" | "total";
  higherIsBetter: boolean;
  timezone: string | number | null | undefined;
  words: Words;
  notes: string[];
}

/** Names of chart types in Keen's user interfaces, and what of ours is meant. */
const KEEN: Record<string, [ChartType, Partial<Settings>?]> = {
  "area-spline": ["area", { curve: "smooth" }],
  "area-step": ["area", { curve: "step" }],
  spline: ["line", { curve: "smooth" }],
  step: ["line", { curve: "step" }],
  donut: ["pie"],
  "horizontal-bar": ["bar", { orientation: "horizontal" }],
  "horizontal-funnel": ["funnel"],
  "funnel-3d": ["funnel"],
  "horizontal-funnel-3d": ["funnel"],
};

function text(value: unknown): string | undefined {
  return typeof value === "string" && value !== "" ? value : undefined;
}

function finite(value: unknown): number | undefined {
  return typeof value === "number" && Number.isFinite(value) ? value : undefined;
}

function oneOf<T extends string>(value: unknown, allowed: readonly T[]): T | undefined {
  return allowed.includes(value as T) ? (value as T) : undefined;
}

function instant(value: unknown): number | null {
  if (value === null || value === undefined) return null;
  const time =
    value instanceof Date ? value.getTime() : typeof value === "number" ? value : Date.parse(String(value));
  return Number.isFinite(time) ? time : null;
}

/** A colour that can stand in an attribute: no functions that load something. */
export function isColor(value: unknown): value is string {
  return (
    typeof value === "string" &&
    value.length <= 100 &&
    /^[#\w\s.,%()/-]+$/.test(value) &&
    !/url|image|element|attr/i.test(value)
  );
}

/** `"percent"`, `"EUR"` or an object, as a number format. */
function formatOf(value: unknown): NumberFormat {
  if (typeof value === "string") {
    if (/^[A-Z]{3}$/.test(value)) return { style: "currency", currency: value };
    return { style: oneOf(value, ["number", "percent", "duration", "bytes"] as const) ?? "number" };
  }
  if (!isObject(value)) return { style: "number" };
  const currency = text(value.currency);
  const money = currency !== undefined && /^[A-Za-z]{3}$/.test(currency);
  const style = oneOf(value.style, ["number", "percent", "currency", "duration", "bytes"] as const);
  const decimals = finite(value.decimals);
  return {
    style: style === "currency" && !money ? "number" : (style ?? (money ? "currency" : "number")),
    ...(money ? { currency: currency.toUpperCase() } : {}),
    ...(value.of === 100 ? { of: 100 as const } : {}),
    ...(oneOf(value.unit, ["ms", "s", "min", "h"] as const)
      ? { unit: value.unit as NumberFormat["unit"] }
      : {}),
    ...(decimals !== undefined ? { decimals: Math.min(6, Math.max(0, Math.round(decimals))) } : {}),
    ...(text(value.prefix) ? { prefix: text(value.prefix)!.slice(0, 12) } : {}),
    ...(text(value.suffix) ? { suffix: text(value.suffix)!.slice(0, 12) } : {}),
  };
}

function annotationsOf(value: unknown): Annotation[] {
  if (!Array.isArray(value)) return [];
  return value
    .filter(isObject)
    .slice(0, 50)
    .map((one) => ({
      ...(typeof one.at === "string" || finite(one.at) !== undefined
        ? { at: one.at as string | number }
        : {}),
      ...(finite(one.value) !== undefined ? { value: one.value as number } : {}),
      ...(text(one.label) ? { label: text(one.label) } : {}),
    }))
    .filter((one) => "at" in one || "value" in one);
}

/** The members that pass, without a prototype: groups may be called "constructor". */
function members<T>(value: unknown, passes: (one: unknown) => one is T): Record<string, T> {
  const found = Object.create(null) as Record<string, T>;
  if (isObject(value)) for (const [key, one] of Object.entries(value)) if (passes(one)) found[key] = one;
  return found;
}

function texts(value: unknown): Record<string, string> {
  return members(value, (one): one is string => typeof one === "string");
}

function colorsOf(value: unknown): Record<string, string> | string[] {
  if (Array.isArray(value)) return value.map((one) => (isColor(one) ? one : ""));
  return members(value, isColor);
}

function meant(name: string): [ChartType | undefined, Partial<Settings>?] {
  return Object.hasOwn(KEEN, name) ? KEEN[name] : [oneOf(name, CHART_TYPES)];
}

function typeOf(
  options: DescribeOptions,
  visualization: Json,
  words: Words,
): Pick<Settings, "type" | "strict" | "notes"> & Partial<Settings> {
  const asked = text(options.type);
  if (asked !== undefined && asked !== "auto") {
    const [type, more] = meant(asked);
    if (!type)
      throw new ChartError(
        `There is no chart type '${asked.slice(0, 100)}'. There are: ${CHART_TYPES.join(", ")}.`,
      );
    return { type, strict: true, notes: [], ...more };
  }
  const saved = asked === "auto" ? undefined : (text(visualization.type) ?? text(visualization.chart_type));
  if (saved === undefined || saved === "auto") return { type: null, strict: false, notes: [] };
  const [type, more] = meant(saved);
  const notes = type ? [] : [words.unknownType.replace("{type}", saved.slice(0, 60))];
  return { type: type ?? null, strict: false, notes, ...more };
}

/** The options in force: those given, else those of the saved query's metadata, else what is usual. */
export function settingsOf(options: DescribeOptions, metadata: Json): Settings {
  const visualization = isObject(metadata.visualization) ? metadata.visualization : {};
  const given = Object.fromEntries(
    Object.entries(options).filter(([, value]) => value !== undefined && value !== null),
  );
  const merged: Json = { ...visualization, ...given };
  const words = { ...WORDS, ...texts(options.words) } as Words;
  const { type, strict, notes, ...more } = typeOf(options, visualization, words);
  const limit = finite(merged.limit);
  return {
    type,
    strict,
    notes,
    words,
    title: typeof options.title === "string" ? options.title : (text(metadata.display_name) ?? null),
    now: instant(options.now),
    previous: options.previous ?? null,
    previousName: text(options.previousName) ?? words.previous,
    format: formatOf(merged.format),
    names: texts(merged.names),
    colors: colorsOf(merged.colors),
    annotations: annotationsOf(merged.annotations),
    all: options.all === true,
    limit: limit === undefined ? null : Math.min(100, Math.max(1, Math.floor(limit))),
    orientation: oneOf(merged.orientation, ["horizontal", "vertical"] as const) ?? more.orientation,
    curve: oneOf(merged.curve, ["linear", "smooth", "step"] as const) ?? more.curve,
    min: finite(merged.min),
    max: finite(merged.max),
    target: finite(merged.target),
    value: oneOf(merged.value, ["finished", "latest", "total"] as const) ?? "finished",
    higherIsBetter: merged.higherIsBetter !== false,
    timezone: options.timezone,
  };
}
