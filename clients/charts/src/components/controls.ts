// What a viewer may change: timeframe, interval, and filters on named properties.
import { isObject } from "../answer.ts";
import { el } from "./dom.ts";
import { isoOf, spanOf, type Changes, type Filter, type Json, type Timeframe } from "./question.ts";
import { fill, type Texts } from "./texts.ts";

export interface Controls {
  timeframe: boolean;
  interval: boolean;
  filters: string[];
}

const NONE: Controls = { timeframe: false, interval: false, filters: [] };
const TIMEFRAMES = [
  "today",
  "yesterday",
  "this_7_days",
  "this_14_days",
  "this_30_days",
  "this_90_days",
  "this_month",
  "previous_month",
  "this_12_months",
];
const INTERVALS = ["hourly", "daily", "weekly", "monthly", "yearly"];

/** From `timeframe interval filter:country`, or an object like the condition `viewer` of embed tokens. */
export function controlsOf(value: unknown): Controls {
  if (isObject(value)) {
    const filters = Array.isArray(value.filters)
      ? value.filters.filter((one) => typeof one === "string")
      : [];
    return { timeframe: value.timeframe === true, interval: value.interval === true, filters };
  }
  if (typeof value !== "string") return NONE;
  const words = value.split(/\s+/);
  const filters = words.filter((word) => word.startsWith("filter:")).map((word) => word.slice(7));
  return { timeframe: words.includes("timeframe"), interval: words.includes("interval"), filters };
}

export function anyControl({ timeframe, interval, filters }: Controls): boolean {
  return timeframe || interval || filters.length > 0;
}

/** Those of them that an answer lets its viewer use; all where it says nothing. */
export function permitted({ timeframe, interval, filters }: Controls, answer: unknown): Controls {
  const viewer = isObject(answer) ? answer.viewer : null;
  const may = isObject(viewer) ? controlsOf(viewer) : { timeframe, interval, filters };
  return {
    timeframe: timeframe && may.timeframe,
    interval: interval && may.interval,
    filters: filters.filter((name) => may.filters.includes(name)),
  };
}

/** A timeframe as people say it. */
export function timeframeName(
  timeframe: unknown,
  texts: Texts,
  locale: string,
  timezone?: string | null,
): string {
  if (isObject(timeframe)) {
    const format = new Intl.DateTimeFormat(locale, { dateStyle: "medium", timeZone: zoneName(timezone) });
    const [start, end] = [Date.parse(String(timeframe.start)), Date.parse(String(timeframe.end))];
    if (start < end) return format.formatRange(start, end - 1);
    return texts.allTime;
  }
  const span = spanOf(timeframe);
  if (!span) return typeof timeframe === "string" ? timeframe : texts.allTime;
  const { kind, count, unit } = span;
  if (count === 1 && unit === "day") return kind === "this" ? texts.today : texts.yesterday;
  const word = texts[unit as "day"];
  if (count === 1) return fill(kind === "this" ? texts.thisUnit : texts.previousUnit, { unit: word });
  // In the language of the words around it.
  const options = { style: "unit", unit, unitDisplay: "long" } as const;
  const n = new Intl.NumberFormat(texts.language, options).format(count);
  return fill(kind === "this" ? texts.lastSpan : texts.previousSpan, { n });
}

function zoneName(timezone: string | null | undefined): string {
  return timezone && /^[A-Za-z]/.test(timezone) ? timezone : "UTC";
}

export function intervalName(interval: string, texts: Texts): string {
  const found = /^every_(\d+)_(\w+?)s?$/.exec(interval);
  if (!found) return texts[interval as "daily"] ?? interval;
  const options = { style: "unit", unit: found[2], unitDisplay: "long" } as const;
  return fill(texts.every, { n: new Intl.NumberFormat(texts.language, options).format(Number(found[1])) });
}

/** A filter of what was typed: values apart by commas; what looks like a number is looked for as text too. */
export function filterOf(property: string, text: string, known: unknown[]): Filter | null {
  const parts = text
    .split(",")
    .map((part) => part.trim())
    .filter(Boolean);
  if (!parts.length) return null;
  const values = parts.flatMap((part): unknown[] => {
    const same = known.filter((value) => String(value) === part);
    if (same.length) return same;
    return /^(-?\d+(\.\d+)?|true|false)$/.test(part)
      ? [JSON.parse(part.replace(/^(-?)0+(?=\d)/, "$1")), part]
      : [part];
  });
  if (values.length === 1) return { property_name: property, operator: "eq", property_value: values[0] };
  return { property_name: property, operator: "in", property_value: values };
}

export interface BarState {
  controls: Controls;
  texts: Texts;
  locale: string;
  /** What the last answer says of its question. */
  query: Json;
  timezone: string | null;
  /** Values seen of properties, to choose from. */
  known: Map<string, Set<unknown>>;
}

let lists = 0;

/** The controls in a row; each change is told as all that differs from the saved question. */
export class ControlBar {
  readonly element = el("div", { class: "controls", part: "controls", role: "group" });
  changes: Changes = {};
  #made = "";
  /** The question as it is without changes. */
  #usual: Json = {};
  #state!: BarState;

  constructor(private readonly changed: (changes: Changes) => void) {}

  update(state: BarState): void {
    this.#state = state;
    const { controls, texts } = state;
    if (!Object.keys(this.changes).length) this.#usual = state.query;
    const interval =
      controls.interval && (typeof this.#usual.interval === "string" || !state.query.analysis_type);
    const values = controls.filters.map((name) => [...(state.known.get(name) ?? [])].map(String));
    const wanted = JSON.stringify([
      controls,
      interval,
      this.#usual.timeframe,
      this.#usual.interval,
      values,
      state.locale,
      texts,
    ]);
    this.element.hidden = !anyControl(controls);
    this.element.setAttribute("aria-label", texts.controls);
    if (wanted === this.#made) return;
    this.#made = wanted;
    const focused = (this.element.getRootNode() as ShadowRoot).activeElement;
    // a control that is in use is not taken away
    if (focused && this.element.contains(focused)) {
      this.#made = "";
      return;
    }
    this.element.replaceChildren(
      ...(controls.timeframe ? this.#timeframe() : []),
      ...(interval ? [this.#interval()] : []),
      ...controls.filters.map((name) => this.#filter(name)),
    );
  }

  reset(): void {
    this.changes = {};
    this.#made = "";
  }

  #change(changes: Changes): void {
    const made = { ...this.changes, ...changes };
    for (const name of Object.keys(made) as (keyof Changes)[])
      if (made[name] === undefined) delete made[name];
    this.changes = made;
    this.changed(made);
  }

  #select(
    label: string,
    options: [string, string][],
    value: string,
    on: (value: string) => void,
  ): HTMLSelectElement {
    const select = el("select", { "aria-label": label, onchange: () => on(select.value) });
    for (const [key, text] of options)
      select.append(el("option", { value: key, selected: key === value }, text));
    return select;
  }

  #usually(name: string): string {
    return `${name}: ${this.#state.texts.usual}`;
  }

  #timeframe(): HTMLElement[] {
    const { texts, locale, timezone } = this.#state;
    const usual = this.#usual.timeframe;
    const now = this.changes.timeframe;
    const first = this.#usual.analysis_type
      ? timeframeName(usual, texts, locale, timezone)
      : this.#usually(texts.timeframe);
    const also = typeof now === "string" && !TIMEFRAMES.includes(now) ? [now] : [];
    const presets = [...TIMEFRAMES, ...also].filter((one) => one !== usual);
    const options = presets.map((one): [string, string] => [one, timeframeName(one, texts, locale)]);
    const dates = el("span", { class: "dates" });
    dates.hidden = !isObject(now);
    const value = now === undefined ? "" : isObject(now) ? "custom" : String(now);
    const select = this.#select(
      texts.timeframe,
      [["", first], ...options, ["custom", texts.custom]],
      value,
      (chosen) => {
        dates.hidden = chosen !== "custom";
        if (chosen !== "custom") this.#change({ timeframe: chosen || undefined });
      },
    );
    const day = () => {
      const days = [...dates.querySelectorAll("input")].map((input) => input.valueAsNumber);
      const [from, until] = days.sort((one, other) => one - other);
      // of a year that is still being typed, too
      if (!(from <= until) || dates.querySelector(":invalid")) return;
      this.#change({ timeframe: { start: isoOf(from, timezone), end: isoOf(until + 86_400_000, timezone) } });
    };
    // the end is a day later, and of four digits as well
    const bounds = { min: "1000-01-01", max: "9999-12-30" };
    for (const label of [texts.from, texts.until])
      dates.append(el("input", { type: "date", "aria-label": label, ...bounds, onchange: day }));
    return [select, dates];
  }

  #interval(): HTMLElement {
    const { texts } = this.#state;
    const usual = String(this.#usual.interval ?? "");
    const now = this.changes.interval;
    const also = now && !INTERVALS.includes(now) ? [now] : [];
    const options = [...INTERVALS, ...also]
      .filter((one) => one !== usual)
      .map((one): [string, string] => [one, intervalName(one, texts)]);
    const first = usual ? intervalName(usual, texts) : this.#usually(texts.interval);
    return this.#select(texts.interval, [["", first], ...options], this.changes.interval ?? "", (chosen) =>
      this.#change({ interval: chosen || undefined }),
    );
  }

  #filter(property: string): HTMLElement {
    const { texts, known } = this.#state;
    const values = [...(known.get(property) ?? [])].filter((value) => value !== null && value !== "");
    const id = `values-${++lists}`;
    const typed = this.changes.filters?.find((one) => one.property_name === property)?.property_value;
    const input = el("input", {
      type: "search",
      "aria-label": property,
      placeholder: `${property}: ${texts.any}`,
      list: id,
      value: typed === undefined ? "" : [...new Set([typed].flat().map(String))].join(", "),
      onchange: () => {
        const others = (this.changes.filters ?? []).filter((one) => one.property_name !== property);
        const made = filterOf(property, input.value, values);
        const filters = made ? [...others, made] : others;
        this.#change({ filters: filters.length ? filters : undefined });
      },
    });
    const list = el(
      "datalist",
      { id },
      ...values.slice(0, 200).map((value) => el("option", { value: String(value) })),
    );
    return el("span", { class: "filter" }, input, list);
  }
}

/** Add the values of groups in an answer to what is known of their properties. */
export function learn(known: Map<string, Set<unknown>>, result: unknown, properties: string[]): void {
  if (!properties.length || !Array.isArray(result)) return;
  for (const row of result.slice(0, 2000)) {
    if (!isObject(row)) continue;
    if (Array.isArray(row.value)) learn(known, row.value, properties);
    for (const name of properties) {
      if (!(name in row) || isObject(row[name])) continue;
      if (!known.has(name)) known.set(name, new Set());
      known.get(name)!.add(row[name]);
    }
  }
}

export type { Timeframe };
