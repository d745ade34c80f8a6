// From an answer to a chart description: which type, which axes, which series, and how much of them.
import { nice } from "d3-array";
import { groupName, groupNames, isObject, read, type Cube, type Read, type Row } from "./answer.ts";
import { writerOf } from "./format.ts";
import { provided, type Job, type Tools } from "./kinds.ts";
import { settingsOf, type Settings } from "./settings.ts";
import { eventCells, listCells } from "./table.ts";
import {
  ChartError,
  type ChartType,
  type DescribeOptions,
  type Description,
  type IndexAxis,
  type Metric,
  type NumberFormat,
  type Scalar,
  type Series,
  type ValueAxis,
} from "./types.ts";

const SERIES_MAX = 8;
const CATEGORIES_MAX: Partial<Record<ChartType, number>> = {
  pie: 7,
  bar: 20,
  stacked: 20,
  heatmap: 40,
  funnel: 12,
};
const ROWS_OF_HEAT_MAX = 40;
const PANELS_MAX = 4;

function zoneText(job: Read, settings: Settings): string | null {
  const zone = settings.timezone ?? job.query.timezone;
  return typeof zone === "string" || typeof zone === "number" ? String(zone) : null;
}

function base(job: Job, type: ChartType): Description {
  const { settings } = job;
  return {
    version: 1,
    type,
    title: settings.title,
    empty: false,
    x: null,
    y: null,
    series: [],
    annotations: settings.annotations,
    unfinished: 0,
    future: 0,
    additive: additive(job, null),
    ...(settings.orientation ? { orientation: settings.orientation } : {}),
    ...(settings.curve ? { curve: settings.curve } : {}),
    partial: job.read.partial,
    note: null,
    higherIsBetter: settings.higherIsBetter,
    timezone: job.timezone,
  };
}

// --- what the question says of the numbers

function analysis(job: Job, measure: string | null): Record<string, unknown> {
  const { query } = job.read;
  const members = isObject(query.analyses) ? query.analyses : null;
  const member = members && measure !== null ? members[measure] : null;
  return isObject(member) ? member : query;
}

function additive(job: Job, measure: string | null): boolean {
  const { query } = job.read;
  if (measure === null && isObject(query.analyses)) {
    return Object.keys(query.analyses).every((name) => additive(job, name));
  }
  return ["count", "sum"].includes(String(analysis(job, measure).analysis_type));
}

function counted(job: Job, values: Iterable<number | null>): boolean {
  if (["count", "count_unique"].includes(String(job.read.query.analysis_type))) return true;
  let any = false;
  for (const value of values) {
    if (value === null) continue;
    if (!Number.isInteger(value)) return false;
    any = true;
  }
  return any;
}

/** "Count", "Sum of price", "Percentile 90 of price"; empty where the answer does not say. */
function measureName(job: Job): string {
  const { query } = job.read;
  if (job.settings.names.result) return job.settings.names.result;
  const type = typeof query.analysis_type === "string" ? query.analysis_type : "";
  if (/^(|multi_analysis|series)$/.test(type)) return "";
  const words = type.replace(/_/g, " ");
  const percentile = type === "percentile" && query.percentile ? ` ${String(query.percentile)}` : "";
  const target = typeof query.target_property === "string" ? ` of ${query.target_property}` : "";
  return words[0].toUpperCase() + words.slice(1) + percentile + target;
}

/** Groups that are no properties of events are called by what a session is like. */
function nameSessions({ read: { query }, settings: { names, words } }: Job): void {
  const known = new Map(words.sessions.split("|").map((one) => one.split("=") as [string, string]));
  for (const entry of [query.group_by].flat()) {
    const name = isObject(entry) && entry.session;
    if (name) names[groupName(entry)] ??= known.get(String(name)) ?? `Session ${name}`;
  }
}

function nameOf(value: Scalar, settings: Settings): string {
  const own = settings.names[String(value)];
  if (own !== undefined) return own;
  if (value === null) return settings.words.none;
  if (value === "") return settings.words.empty;
  const text = String(value);
  // what would be taken for one of those, or for nothing, stands in quotes
  const alike = !text.trim() || text === settings.words.none || text === settings.words.empty;
  return alike ? `“${text.replace(/\s/g, "\u00a0")}”` : text;
}

/** The name of a group's value: whether an actor is in a cohort says which. */
function valueName(value: Scalar, group: string, job: Job): string {
  const { settings } = job;
  const { cohort, session } = groupEntry(job, group);
  const name = nameOf(value, settings);
  // unless somebody has named it
  if (typeof value !== "boolean" || !(cohort || session) || name !== String(value)) return name;
  return `${settings.names[group] ?? group}: ${settings.words[value ? "yes" : "no"]}`;
}

/** The name of a value in a table: where nothing is left out, the value itself. */
function cellOf(value: Scalar, group: string, job: Job): Scalar {
  return job.settings.all ? (job.settings.names[String(value)] ?? value) : valueName(value, group, job);
}

/** What is not shown of so many: "Other (45 more)". */
function restName({ words }: Settings, count: number): string {
  return `${words.other} (${words.more.replace("{n}", String(count))})`;
}

// --- cubes as an axis and series

interface Group {
  session?: unknown;
  cohort?: unknown;
  buckets?: { size?: unknown };
  ranges?: { from?: unknown; to?: unknown; label?: unknown }[];
}

function groupEntry(job: Job, name: string): Group {
  const groups = [job.read.query.group_by].flat();
  const found = groups.find((entry) => isObject(entry) && groupName(entry) === name);
  return (found ?? {}) as Group;
}

function bucketName(value: number, size: number): string {
  const tidy = (number: number) => String(Number(number.toPrecision(12)));
  return `${tidy(value)}–${tidy(value + size)}`;
}

function rangeOrder(entry: Group): string[] | null {
  if (!Array.isArray(entry.ranges)) return null;
  const show = (bound: unknown) => (bound === undefined || bound === null ? "" : String(bound));
  return entry.ranges.map((range) => String(range.label ?? `${show(range.from)}..${show(range.to)}`));
}

function total(values: (number | null)[]): number {
  return values.reduce<number>((sum, value) => sum + (value ?? 0), 0);
}

interface Matrix {
  x: IndexAxis;
  series: Series[];
}

function timeAxis(cube: Cube, job: Job): IndexAxis {
  const { interval } = job.read.query;
  return {
    kind: "time",
    name: job.settings.words.time,
    starts: cube.intervals!.map((one) => one.start),
    ends: cube.intervals!.map((one) => one.end),
    interval: typeof interval === "string" ? interval : null,
    timezone: job.timezone,
  };
}

/** The different values of the first group, ordered for reading. */
function categories(cube: Cube, job: Job): { axis: IndexAxis; keys: string[] } {
  const { settings } = job;
  const name = cube.groups[0];
  const found = new Map<string, { value: Scalar; sum: number; at: number; key: Scalar[] }>();
  for (const row of cube.rows) {
    const key = JSON.stringify(row.group[0]);
    const whole = row.key ?? [row.group[0]];
    const one = found.get(key) ?? { value: row.group[0], sum: 0, at: found.size, key: whole };
    one.sum += total(row.values.slice(0, 1));
    found.set(key, one);
  }
  const list = [...found.values()];
  const present = list.filter((one) => one.value !== null);
  const numeric = present.length > 0 && present.every((one) => typeof one.value === "number");
  const entry = groupEntry(job, name);
  const ranges = rangeOrder(entry);
  const last = (one: { value: Scalar }) => (one.value === null ? 1 : 0);
  if (ranges) {
    const place = (value: Scalar) =>
      (ranges.indexOf(String(value)) + ranges.length + 1) % (ranges.length + 1);
    list.sort((a, b) => last(a) - last(b) || place(a.value) - place(b.value) || a.at - b.at);
  } else if (numeric) list.sort((a, b) => last(a) - last(b) || Number(a.value) - Number(b.value));
  else if (!job.read.query.order_by) list.sort((a, b) => b.sum - a.sum || a.at - b.at);
  const size = isObject(entry.buckets) ? Number(entry.buckets.size) : NaN;
  const label = (value: Scalar) =>
    typeof value === "number" && size > 0 && settings.names[String(value)] === undefined
      ? bucketName(value, size)
      : (cellOf(value, name, job) as string);
  return {
    keys: list.map((one) => JSON.stringify(one.value)),
    axis: {
      kind: numeric ? "number" : "category",
      name: settings.names[name] ?? name,
      values: list.map((one) => one.value),
      names: list.map((one) => label(one.value)),
      keys: list.map((one) => one.key),
    },
  };
}

function seriesOf(
  rows: Row[],
  cube: Cube,
  job: Job,
  from: number,
  length: number,
  place: (row: Row) => number,
): Series[] {
  const { settings } = job;
  const many = cube.measures.length > 1;
  const found = new Map<string, Series>();
  for (const row of rows) {
    const group = row.group.slice(from);
    const at = place(row);
    cube.measures.forEach((measure, index) => {
      const key: Scalar[] = many ? [...group, measure] : group;
      const id = JSON.stringify(key);
      let series = found.get(id);
      if (!series) {
        const named = group.map((one, at) => valueName(one, cube.groups[from + at], job));
        const name = [...named, ...(many ? [nameOf(measure, settings)] : [])].join(" · ") || measureName(job);
        series = { name, key, values: new Array<number | null>(length).fill(null) };
        found.set(id, series);
      }
      series.values[at] = row.values[index];
    });
  }
  return [...found.values()];
}

function matrix(cube: Cube, job: Job): Matrix {
  if (cube.intervals) {
    const series = seriesOf(cube.rows, cube, job, 0, cube.intervals.length, (row) => row.interval);
    return { x: timeAxis(cube, job), series };
  }
  if (cube.groups.length) {
    const { axis, keys } = categories(cube, job);
    const places = new Map(keys.map((key, index) => [key, index]));
    const series = seriesOf(cube.rows, cube, job, 1, keys.length, (row) =>
      places.get(JSON.stringify(row.group[0]))!,
    );
    return { x: axis, series };
  }
  const names = cube.measures.map((name) => nameOf(name, job.settings));
  const values = cube.rows[0]?.values ?? [];
  return {
    x: { kind: "category", name: "", values: cube.measures, names },
    series: [{ name: measureName(job), key: [], values }],
  };
}

/** All groups of each row as one category: for charts without series. */
function joined(cube: Cube, job: Job): Cube {
  if (cube.groups.length < 2) return cube;
  const rows = cube.rows.map((row) => ({
    ...row,
    group: [row.group.map((one, at) => valueName(one, cube.groups[at], job)).join(" · ")],
    key: row.group,
  }));
  return { ...cube, groups: [cube.groups.join(" · ")], rows };
}

// --- not more than can be read

function counts(text: string, shown: number, n: number, other: string): string {
  return text.replace("{shown}", String(shown)).replace("{n}", String(n)).replace("{other}", other);
}

function sums(lists: (number | null)[][], length: number): (number | null)[] {
  return Array.from({ length }, (_, index) => {
    const present = lists.map((values) => values[index]).filter((value) => value !== null);
    return present.length ? total(present) : null;
  });
}

function trimSeries(found: Series[], limit: number, adds: boolean, job: Job): Series[] {
  if (found.length <= limit) return found;
  const { words } = job.settings;
  const size = (series: Series) =>
    series.values.reduce<number>((sum, value) => sum + Math.abs(value ?? 0), 0);
  const ranked = [...found].sort((a, b) => size(b) - size(a));
  const kept = ranked.slice(0, limit);
  const name = restName(job.settings, found.length - limit);
  job.settings.notes.push(counts(adds ? words.topOf : words.leftOut, limit, found.length, name));
  if (!adds) return kept;
  const rest = sums(
    ranked.slice(limit).map((series) => series.values),
    found[0].values.length,
  );
  return [...kept, { name, key: [], values: rest, role: "other" }];
}

function trimCategories({ x, series }: Matrix, limit: number, adds: boolean, job: Job): Matrix {
  const count = x.values?.length ?? 0;
  if (count <= limit || x.kind !== "category") return { x, series };
  const { words } = job.settings;
  const ordered = Boolean(job.read.query.order_by) || rangeOrder(groupEntry(job, x.name)) !== null;
  const order = Array.from({ length: count }, (_, index) => index);
  const size = (index: number) => series.reduce((sum, one) => sum + Math.abs(one.values[index] ?? 0), 0);
  const sizes = order.map(size);
  const kept = ordered
    ? order.slice(0, limit)
    : [...order].sort((a, b) => sizes[b] - sizes[a]).slice(0, limit);
  const rest = order.filter((index) => !kept.includes(index));
  const name = restName(job.settings, rest.length);
  job.settings.notes.push(
    counts(ordered ? words.firstOf : adds ? words.topOf : words.leftOut, limit, count, name),
  );
  const other = adds && !ordered;
  return {
    x: {
      ...x,
      values: [...kept.map((index) => x.values![index]), ...(other ? [name] : [])],
      names: [...kept.map((index) => x.names![index]), ...(other ? [name] : [])],
      ...(x.keys ? { keys: [...kept.map((index) => x.keys![index]), ...(other ? [null] : [])] } : {}),
      ...(other ? { other: kept.length } : {}),
    },
    series: series.map((one) => ({
      ...one,
      values: [
        ...kept.map((index) => one.values[index]),
        ...(other
          ? sums(
              rest.map((index) => [one.values[index]]),
              1,
            )
          : []),
      ],
    })),
  };
}

// --- which type

type Shape = "number" | "numbers" | "intervals" | "groups" | "interval_groups";

function shapeOf(cube: Cube): Shape {
  if (cube.intervals) return cube.groups.length ? "interval_groups" : "intervals";
  if (cube.groups.length) return "groups";
  return cube.measures.length > 1 ? "numbers" : "number";
}

function distinct(cube: Cube, group: number): number {
  return new Set(cube.rows.map((row) => JSON.stringify(row.group[group]))).size;
}

function chosen(cube: Cube, job: Job): ChartType {
  const shape = shapeOf(cube);
  if (shape === "number" || shape === "numbers") return "metric";
  if (cube.intervals) return cube.intervals.length > 1 ? "line" : "bar";
  if (cube.groups.length === 1) return cube.measures.length > PANELS_MAX || unlike(cube) ? "table" : "bar";
  const few = distinct(cube, 1) <= SERIES_MAX;
  if (cube.groups.length === 2 && cube.measures.length === 1) {
    const negative = cube.rows.some((row) => (row.values[0] ?? 0) < 0);
    if (few) return additive(job, null) && !negative ? "stacked" : "bar";
    if (distinct(cube, 0) <= 60 && distinct(cube, 1) <= 60 && !negative) return "heatmap";
  }
  return "table";
}

/** Whether the measures are of such different sizes that one axis would hide some. */
function unlike(cube: Cube): boolean {
  if (cube.measures.length < 2) return false;
  const largest = cube.measures
    .map((_, index) => cube.rows.reduce((most, row) => Math.max(most, Math.abs(row.values[index] ?? 0)), 0))
    .filter((most) => most > 0);
  return largest.length > 1 && Math.max(...largest) > 8 * Math.min(...largest);
}

function groupsText(cube: Cube): string {
  return cube.groups.map((name) => `'${name}'`).join(", ");
}

/** Why a type cannot show the cube; null where it can. */
function refusal(type: ChartType, cube: Cube): string | null {
  const shape = shapeOf(cube);
  const one = cube.measures.length === 1;
  if (cube.rows.length === 0 || type === "table") return null;
  const numeric =
    shape === "groups" && cube.rows.every((row) => typeof row.group[0] === "number" || row.group[0] === null);
  switch (type) {
    case "metric":
    case "gauge":
      if (!one && type === "gauge") return "it shows one number, and this answer has several analyses";
      return cube.groups.length
        ? `it shows one number, and this answer has one for each ${groupsText(cube)}`
        : null;
    case "line":
    case "area":
      return cube.intervals || numeric ? null : "it needs an interval, or groups that are numbers";
    case "bar":
    case "stacked":
      return shape === "number" ? "it needs an interval or groups, and this answer is one number" : null;
    case "pie":
      if (cube.intervals) return "it shows parts of a whole, and this answer has an interval";
      if (shape === "number") return "it needs groups, and this answer is one number";
      if (!one && cube.groups.length)
        return "it shows one analysis of each group, and this answer has several";
      return cube.rows.some((row) => row.values.some((value) => (value ?? 0) < 0))
        ? "it cannot show negative numbers"
        : null;
    case "funnel":
      if (cube.intervals || (!one && cube.groups.length) || shape === "number")
        return "it needs steps: a funnel, or one number for each group";
      return cube.rows.some((row) => row.values.some((value) => (value ?? 0) < 0))
        ? "it cannot show negative numbers"
        : null;
    case "sankey":
      return "it shows paths, and this answer has none";
    case "heatmap":
      if (!one) return "it shows one analysis, and this answer has several";
      return cube.intervals || cube.groups.length > 1 ? null : "it needs an interval or two groups";
  }
  return null;
}

const SUGGESTED: Record<Shape, string> = {
  number: "metric, gauge or table",
  numbers: "metric, bar, pie or table",
  intervals: "line, area, bar, heatmap, metric or table",
  groups: "bar, pie or table",
  interval_groups: "line, area, bar, stacked, heatmap or table",
};

function typeFor(cube: Cube, job: Job): ChartType {
  const { settings } = job;
  if (!settings.type) return fallback(chosen(cube, job), settings);
  const reason = refusal(settings.type, cube);
  if (reason === null) return settings.type;
  if (settings.strict) {
    throw new ChartError(
      `A chart of type '${settings.type}' cannot show this answer: ${reason}.` +
        ` Possible: ${SUGGESTED[shapeOf(cube)]}.`,
    );
  }
  settings.notes.push(settings.words.unknownType.replace("{type}", settings.type));
  return fallback(chosen(cube, job), settings);
}

function fallback(type: ChartType, settings: Settings): ChartType {
  settings.notes = settings.notes.map((note) => note.replace("{shown}", type));
  return type;
}

/** For answers that have one or two types only. */
function only(types: ChartType[], what: string, job: Job): ChartType {
  const { settings } = job;
  if (settings.type && types.includes(settings.type)) return settings.type;
  if (settings.type && settings.strict) {
    throw new ChartError(
      `A chart of type '${settings.type}' cannot show ${what}. Possible: ${types.join(", ")}.`,
    );
  }
  if (settings.type) settings.notes.push(settings.words.unknownType.replace("{type}", settings.type));
  return fallback(types[0], settings);
}

// --- the descriptions

function valueAxis(job: Job, cube: Cube, series: Series[]): ValueAxis {
  const { settings } = job;
  function* all() {
    for (const one of series) yield* one.values;
  }
  return {
    kind: "number",
    name: measureName(job) || (cube.measures.length === 1 ? "" : settings.words.value),
    format: settings.format,
    integers:
      settings.format.style === "number" && settings.format.decimals === undefined && counted(job, all()),
    ...(settings.min !== undefined ? { min: settings.min } : {}),
    ...(settings.max !== undefined ? { max: settings.max } : {}),
  };
}

/** How many last intervals have not ended, and how many have not begun. */
function running(cube: Cube, job: Job): { unfinished: number; future: number } {
  // a kept result knows nothing of what came after it, however late it is drawn
  const through = job.read.through ? Date.parse(job.read.through) : NaN;
  const now = Math.min(...[job.settings.now ?? NaN, through].filter(Number.isFinite));
  if (!cube.intervals || now === Infinity) return { unfinished: 0, future: 0 };
  const future = cube.intervals.filter((one) => Date.parse(one.start) >= now).length;
  const last = cube.intervals[cube.intervals.length - 1 - future];
  return { unfinished: last && Date.parse(last.end) > now ? 1 : 0, future };
}

function colored(series: Series[], settings: Settings): Series[] {
  const { colors } = settings;
  return series.map((one, index) => {
    const own = one.role === "other" ? settings.words.other : String(one.key[0]);
    const color = Array.isArray(colors) ? colors[index] : (colors[one.name] ?? colors[own]);
    return color ? { ...one, color } : one;
  });
}

function inPanels(series: Series[], cube: Cube): Series[] {
  if (cube.groups.length || cube.measures.length > PANELS_MAX || !unlike(cube)) return series;
  return series.map((one, panel) => ({ ...one, panel }));
}

function previousSeries(cube: Cube, job: Job): Series[] {
  const { settings } = job;
  if (settings.previous === null || cube.groups.length || cube.measures.length > 1) return [];
  const before = read(settings.previous, job.read.query).answer;
  if (before.shape !== "cube" || !before.intervals || before.groups.length) return [];
  const values = cube.intervals!.map((_, index) => before.rows[index]?.values[0] ?? null);
  return [
    {
      name: settings.previousName[0].toUpperCase() + settings.previousName.slice(1),
      key: [],
      values,
      role: "previous",
    },
  ];
}

function axes(cube: Cube, type: ChartType, job: Job): Description {
  const { settings } = job;
  // in a cell of its own each group has its value
  if (settings.all && type === "pie" && cube.groups.length > 1) return table(cube, job);
  const flat = type === "pie" || type === "funnel" ? joined(cube, job) : cube;
  const { unfinished, future } = running(cube, job);
  const adds = additive(job, null);
  let { x, series } = matrix(flat, job);
  const { limit, all } = settings;
  const most = (count: number) => (all ? Infinity : count);
  if (type === "heatmap") series = trimSeries(series, most(limit ?? ROWS_OF_HEAT_MAX), adds, job);
  // the sum of many small ones would press the lines of the others flat
  else
    series = trimSeries(
      series,
      most((cube.intervals ? limit : null) ?? SERIES_MAX),
      adds && type !== "line",
      job,
    );
  if (!cube.intervals)
    ({ x, series } = trimCategories({ x, series }, most(limit ?? CATEGORIES_MAX[type] ?? 20), adds, job));
  if (cube.intervals && series.length > 1 && cube.measures.length === 1) {
    const size = (one: Series) =>
      one.role === "other" ? -Infinity : total(one.values.map((value) => Math.abs(value ?? 0)));
    series = [...series].sort((a, b) => size(b) - size(a));
  }
  if (type === "line" || type === "area" || type === "bar") series = inPanels(series, cube);
  if (future)
    series = series.map((one) => ({
      ...one,
      values: one.values.map((value, at) => (at >= one.values.length - future ? null : value)),
    }));
  series = colored(series, settings);
  const annotations =
    settings.target === undefined
      ? settings.annotations
      : [...settings.annotations, { value: settings.target }];
  const y = valueAxis(job, cube, series);
  if (type === "line" && cube.intervals) series = [...series, ...previousSeries(cube, job)];
  return {
    ...base(job, type),
    x,
    y,
    series,
    annotations,
    unfinished,
    future,
    empty: series.every((one) => one.values.every((value) => value === null)),
  };
}

function difference(value: number | null, job: Job, metric: Metric): Metric {
  const { settings } = job;
  if (settings.previous === null) return { ...metric, value };
  const before = read(settings.previous, job.read.query).answer;
  const values =
    before.shape === "cube" && !before.groups.length ? before.rows.map((row) => row.values[0] ?? null) : [];
  return {
    ...metric,
    value,
    previous: values.length ? (values.length === 1 ? values[0] : total(values)) : null,
    previousName: settings.previousName,
  };
}

function metricOf(
  cube: Cube,
  measure: number,
  job: Job,
  running: { unfinished: number; future: number },
): Metric {
  const name = cube.measures.length > 1 ? nameOf(cube.measures[measure], job.settings) : measureName(job);
  const values = cube.rows.map((row) => row.values[measure]);
  if (!cube.intervals) return difference(values[0] ?? null, job, { name, value: null });
  const shown = values.slice(0, values.length - running.future);
  const sparkline = shown.length > 1 ? { sparkline: shown, unfinished: running.unfinished } : {};
  if (job.settings.value === "total" || job.settings.previous !== null) {
    return difference(shown.length ? total(shown) : null, job, { name, value: null, ...sparkline });
  }
  const skip = job.settings.value === "finished" && shown.length > 1 ? running.unfinished : 0;
  const at = shown.length - 1 - skip;
  const interval = cube.intervals[at];
  return {
    name,
    value: shown[at] ?? null,
    ...sparkline,
    ...(interval ? { start: interval.start, end: interval.end } : {}),
    ...(at > 0 && !(skip === 0 && running.unfinished)
      ? { previous: shown[at - 1], previousStart: cube.intervals[at - 1].start }
      : {}),
  };
}

function gaugeOf(
  metric: Metric,
  format: NumberFormat,
  settings: Settings,
): NonNullable<Description["gauge"]> {
  const { value } = metric;
  const { target } = settings;
  const most = Math.max(value ?? 0, target ?? 0);
  const whole = format.style === "percent" ? (format.of ?? 1) : 0;
  const [low, high] = nice(Math.min(0, (value ?? 0) * 1.25), most > 0 ? most * 1.25 : 1, 4);
  const max = settings.max ?? (whole >= most && whole > 0 ? whole : high);
  const min = settings.min ?? Math.min(low, max);
  return {
    value,
    min: Math.min(min, max),
    max: min === max ? max + 1 : Math.max(min, max),
    ...(target !== undefined ? { target } : {}),
    ...(metric.start ? { start: metric.start } : {}),
  };
}

function numbers(cube: Cube, type: "metric" | "gauge", job: Job): Description {
  const run = running(cube, job);
  const metrics = cube.measures.map((_, index) => metricOf(cube, index, job, run));
  const made = base(job, type);
  const y = valueAxis(job, cube, [{ name: "", key: [], values: metrics.map((metric) => metric.value) }]);
  const x = cube.intervals ? timeAxis(cube, job) : null;
  const empty = metrics.every((metric) => metric.value === null);
  if (type === "metric") return { ...made, x, y, metrics, empty, ...run };
  return { ...made, x, y, gauge: gaugeOf(metrics[0], job.settings.format, job.settings), empty };
}

function steps(cube: Cube, job: Job): Description {
  const { x, series, ...rest } = axes(cube, "funnel", job);
  const names = x?.names ?? [];
  return {
    ...rest,
    x: null,
    series: [],
    steps: names.map((name, index) => ({
      name,
      value: series[0]?.values[index] ?? null,
      ...(x?.keys ? { key: x.keys[index] } : {}),
    })),
  };
}

function table(cube: Cube, job: Job): Description {
  const { x, series } = matrix(cube, job);
  const { future } = running(cube, job);
  const y = valueAxis(job, cube, series);
  if (!cube.intervals && cube.groups.length > 1) return longTable(cube, job, y);
  return {
    ...base(job, "table"),
    x,
    y,
    series: colored(series, job.settings),
    future,
    empty: cube.rows.length === 0,
  };
}

/** Several groups: a row each, as in the answer. */
function longTable(cube: Cube, job: Job, y: ValueAxis): Description {
  const { settings } = job;
  const columns = [
    ...cube.groups.map((name) => ({ name: settings.names[name] ?? name, kind: "text" as const })),
    ...cube.measures.map((name) => ({
      name: cube.measures.length > 1 ? nameOf(name, settings) : y.name || settings.words.value,
      kind: "number" as const,
      format: settings.format,
    })),
  ];
  const rows = cube.rows.map((row) => [...row.group.map((one, at) => cellOf(one, cube.groups[at], job)), ...row.values]);
  const keys = cube.rows.map((row) => row.group);
  return { ...base(job, "table"), y, table: { columns, rows, keys }, empty: rows.length === 0 };
}

function described(job: Job): Description {
  const { answer } = job.read;
  const { settings } = job;
  switch (answer.shape) {
    case "message":
      settings.notes.push(answer.text);
      return { ...base(job, settings.type ?? "table"), empty: true };
    case "events": {
      const table = eventCells(answer.rows);
      return { ...base(job, only(["table"], "events", job)), table, empty: !table.rows.length };
    }
    case "lists": {
      const table = listCells(answer, job.read.query, settings.names, settings.words);
      return { ...base(job, only(["table"], "lists of values", job)), table, empty: !table.rows.length };
    }
    case "funnel": {
      const type = only(["funnel", "table", "bar"], "a funnel", job);
      const made = answer.steps.map(({ name, value, optional, inverted }) => ({
        name: settings.names[name] ?? name,
        value,
        ...(optional ? { optional } : {}),
        ...(inverted ? { inverted } : {}),
      }));
      const y: ValueAxis = {
        kind: "number",
        name: settings.names.result ?? "",
        format: settings.format,
        integers: true,
      };
      const empty = made.every((step) => step.value === null);
      if (type !== "bar") return { ...base(job, type), y, steps: made, empty };
      const names = made.map((step) => step.name);
      const series = [{ name: y.name, key: [], values: made.map((step) => step.value) }];
      return {
        ...base(job, type),
        y,
        x: { kind: "category", name: "", values: names, names },
        series: colored(series, settings),
        empty,
      };
    }
    case "cube": {
      const type = typeFor(answer, job);
      if (type === "metric" || type === "gauge") return numbers(answer, type, job);
      if (type === "table") return table(answer, job);
      return type === "funnel" ? steps(answer, job) : axes(answer, type, job);
    }
  }
}

const TOOLS: Tools = {
  base,
  only,
  described,
  read,
  groupNames,
  nameOf,
  iso: ({ timezone }, instant) => writerOf({ timezone }).iso(Date.parse(instant)),
};

function descriptionOf(answer: unknown, options: DescribeOptions): Description {
  const made = read(answer, options.query);
  const settings = settingsOf(options, made.metadata);
  const job: Job = { read: made, settings, timezone: zoneText(made, settings) };
  nameSessions(job);
  const description = provided.charts?.describe(job, TOOLS) ?? described(job);
  const notes = [...(description.partial ? [settings.words.incomplete] : []), ...settings.notes];
  return { ...description, note: notes.length ? notes.join(" ") : null };
}

/**
 * What a chart of the answer shows. ChartError for an error, for a type that cannot show the answer, and for an answer
 * whose parts are not what its shape needs.
 */
export function describe(answer: unknown, options: DescribeOptions = {}): Description {
  try {
    return descriptionOf(answer, options);
  } catch (error) {
    if (error instanceof ChartError) throw error;
    throw new ChartError("This answer cannot be read: a part is missing or malformed.", { cause: error });
  }
}
