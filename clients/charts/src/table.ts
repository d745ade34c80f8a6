// Descriptions as tables: for the table behind a chart, for type `table`, and for CSV.
import { isObject, type Lists } from "./answer.ts";
import { writerOf, type Writer } from "./format.ts";
import type { Cells, Column, Description, Scalar, Words } from "./types.ts";
import { WORDS } from "./types.ts";

type Json = Record<string, unknown>;

const COLUMNS_MAX = 200;
const TIMES = new Set(["keen.timestamp", "keen.created_at"]);

function flatten(value: Json, before: string, into: Map<string, unknown>): void {
  for (const [key, one] of Object.entries(value)) {
    const path = before ? `${before}.${key}` : key;
    if (isObject(one)) flatten(one, path, into);
    else into.set(path, Array.isArray(one) ? JSON.stringify(one) : one);
  }
}

/** Events with a column for each property: their time first, the rest of `keen` last. */
export function eventCells(events: Json[]): Cells {
  const flat = events.map((event) => {
    const cells = new Map<string, unknown>();
    flatten(event, "", cells);
    return cells;
  });
  const names = new Set<string>();
  for (const cells of flat) for (const name of cells.keys()) names.add(name);
  const rank = (name: string) => (name === "keen.timestamp" ? 0 : name.startsWith("keen.") ? 2 : 1);
  const order = [...names].sort((a, b) => rank(a) - rank(b));
  const shown = order.slice(0, COLUMNS_MAX);
  const columns = shown.map((name): Column => {
    if (TIMES.has(name)) return { name, kind: "time", interval: "second" };
    const numeric = flat.every(
      (cells) =>
        cells.get(name) === undefined || cells.get(name) === null || typeof cells.get(name) === "number",
    );
    return { name, kind: numeric ? "number" : "text" };
  });
  return { columns, rows: flat.map((cells) => shown.map((name) => cells.get(name) ?? null)) };
}

/** Values of select_unique, one a row, behind their interval and groups. */
export function listCells(lists: Lists, query: Json, names: Record<string, string>, words: Words): Cells {
  const columns: Column[] = [];
  if (lists.intervals)
    columns.push({
      name: words.time,
      kind: "time",
      interval: typeof query.interval === "string" ? query.interval : null,
    });
  for (const group of lists.groups) columns.push({ name: names[group] ?? group, kind: "text" });
  const target = typeof query.target_property === "string" ? query.target_property : "";
  columns.push({ name: names.result ?? (target || words.value), kind: "text" });
  return { columns, rows: lists.rows, keys: lists.rows.map((row) => row.slice(lists.intervals ? 1 : 0)) };
}

function funnelCells(description: Description, words: Words): Cells {
  const first = description.steps?.[0]?.value ?? null;
  const timed = (description.steps ?? []).some((step) => typeof step.time === "number");
  const share = (value: number | null) => (first && value !== null ? value / first : null);
  return {
    columns: [
      { name: words.step, kind: "text" },
      { name: description.y?.name || words.value, kind: "number", format: description.y?.format },
      { name: words.ofFirst, kind: "number", format: { style: "percent" } },
      ...(timed
        ? [{ name: words.median.replace("{time}", "").trim(), kind: "number" as const, format: { style: "duration" as const } }]
        : []),
    ],
    rows: (description.steps ?? []).map((step) => [
      step.name,
      step.value,
      share(step.value),
      ...(timed ? [step.time ?? null] : []),
    ]),
  };
}

function metricCells(description: Description, words: Words): Cells {
  const metrics = description.metrics ?? [
    { name: description.y?.name ?? "", value: description.gauge?.value ?? null },
  ];
  return {
    columns: [
      { name: words.name, kind: "text" },
      { name: words.value, kind: "number", format: description.y?.format },
    ],
    rows: metrics.map((metric) => [metric.name || description.title || words.value, metric.value]),
  };
}

/** Columns and rows with raw values: ISO text for times, numbers, texts, null. */
export function tableOf(description: Description, options: { words?: Partial<Words> } = {}): Cells {
  const words: Words = { ...WORDS, ...options.words };
  if (description.table) return description.table;
  if (description.steps) return funnelCells(description, words);
  if (description.metrics || description.gauge) return metricCells(description, words);
  const { x, y, series } = description;
  if (!x) return { columns: [], rows: [] };
  const first: Column =
    x.kind === "time"
      ? { name: x.name, kind: "time", interval: x.interval ?? null }
      : { name: x.name, kind: "text" };
  const columns = series.map((one): Column => ({
    name: one.name || y?.name || words.value,
    kind: "number",
    format: one.format ?? y?.format,
  }));
  const labels: Scalar[] = x.kind === "time" ? x.starts! : x.names!;
  const shown = description.type === "table" ? labels.length - description.future : labels.length;
  return {
    columns: [first, ...columns],
    rows: labels.slice(0, shown).map((label, index) => [label, ...series.map((one) => one.values[index])]),
  };
}

/** A cell as people read it. */
export function cellText(value: unknown, column: Column, writer: Writer): string {
  if (value === null || value === undefined) return "–";
  if (column.kind === "number" && typeof value === "number") return writer.full(value, column.format);
  if (column.kind === "time" && typeof value === "string") {
    const time = Date.parse(value);
    return Number.isFinite(time) ? writer.moment(time, column.interval ?? null) : value;
  }
  return typeof value === "number" ? writer.full(value) : String(value);
}

function field(value: unknown): string {
  if (value === null || value === undefined) return "";
  let text = String(value);
  // beside a value that is not there
  if (text === "") return '""';
  // a spreadsheet would run a text that begins like a formula
  if (typeof value === "string" && /^[=+\-@\t\r]/.test(text)) text = `'${text}`;
  return /[",\r\n]/.test(text) ? `"${text.replace(/"/g, '""')}"` : text;
}

/** RFC 4180, with raw numbers, and times in the description's zone with their offset. */
export function csvOf(
  description: Description,
  options: { words?: Partial<Words>; timezone?: string | number | null } = {},
): string {
  const { columns, rows } = tableOf(description, options);
  const writer = writerOf({ timezone: options.timezone ?? description.timezone });
  const time = (value: unknown) =>
    typeof value === "string" && Number.isFinite(Date.parse(value)) ? writer.iso(Date.parse(value)) : value;
  const lines = rows.map((row) =>
    row.map((value, at) => field(columns[at]?.kind === "time" ? time(value) : value)).join(","),
  );
  return [columns.map((column) => field(column.name || null)).join(","), ...lines]
    .map((line) => line + "\r\n")
    .join("");
}
