// Reads any answer of a result endpoint into one of five shapes.
import { ChartError, type Scalar } from "./types.ts";

type Json = Record<string, unknown>;

export interface Interval {
  start: string;
  end: string;
}

/** One value of each measure, for an interval (or all time) and a group (or all events). */
export interface Row {
  interval: number;
  group: Scalar[];
  values: (number | null)[];
  /** The values of all groups, where `group` has them as one text. */
  key?: Scalar[];
}

export interface Cube {
  shape: "cube";
  intervals: Interval[] | null;
  groups: string[];
  measures: string[];
  rows: Row[];
}

export interface Funnel {
  shape: "funnel";
  steps: { name: string; value: number | null; optional: boolean; inverted: boolean }[];
}

/** Values of select_unique: a table, whose last column is the value. */
export interface Lists {
  shape: "lists";
  intervals: boolean;
  groups: string[];
  rows: Scalar[][];
}

export interface Events {
  shape: "events";
  rows: Json[];
}

export interface Message {
  shape: "message";
  text: string;
}

export interface Read {
  /** All of the answer. */
  outer: Json;
  answer: Cube | Funnel | Lists | Events | Message;
  query: Json;
  metadata: Json;
  partial: boolean;
  /** The moment that the answer is of, where it says so. */
  through: string | null;
}

export function isObject(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function scalar(value: unknown): Scalar {
  if (value === null || value === undefined) return null;
  if (typeof value === "object") return JSON.stringify(value);
  return value as Scalar;
}

/** Numbers as they are; digits in text too, since answers of long integers may come so. */
function number(value: unknown): number | null {
  if (typeof value === "number") return Number.isFinite(value) ? value : null;
  if (typeof value === "string" && value.trim() !== "" && Number.isFinite(Number(value)))
    return Number(value);
  return null;
}

function isMoment(value: unknown): value is string {
  return typeof value === "string" && Number.isFinite(Date.parse(value));
}

function isInterval(row: unknown): row is { value: unknown; timeframe: Interval } {
  return isObject(row) && "value" in row && isObject(row.timeframe) && isMoment(row.timeframe.start);
}

/** What rows call a group: a property, a property of sessions, or a cohort. */
export function groupName(entry: unknown): string {
  if (!isObject(entry)) return String(entry);
  return String(entry.session ? `session.${entry.session}` : (entry.alias ?? entry.cohort ?? entry.property_name));
}

export function groupNames(query: Json): string[] | null {
  const { group_by: groups } = query;
  return groups === null || groups === undefined ? null : [groups].flat().map(groupName);
}

function analysesOf(query: Json): string[] | null {
  return isObject(query.analyses) ? Object.keys(query.analyses) : null;
}

/** Which keys of group rows are groups and which are measures. */
function columns(rows: Json[], query: Json): { groups: string[]; measures: string[] } {
  const first = rows[0];
  if (!first) return { groups: groupNames(query) ?? [], measures: analysesOf(query) ?? ["result"] };
  const keys = Object.keys(first);
  if ("result" in first) return { groups: keys.filter((key) => key !== "result"), measures: ["result"] };
  const known = groupNames(query);
  const labels = analysesOf(query);
  if (known) return { groups: known, measures: labels ?? keys.filter((key) => !known.includes(key)) };
  if (labels) return { groups: keys.filter((key) => !labels.includes(key)), measures: labels };
  // nothing says what was asked: the numbers at the end are measures
  let start = keys.length;
  const numeric = (key: string) => rows.every((row) => row[key] === null || typeof row[key] === "number");
  while (start > 1 && numeric(keys[start - 1])) start--;
  return { groups: keys.slice(0, start), measures: keys.slice(start) };
}

function cube(list: unknown[], query: Json, timed: boolean): Cube {
  const intervals: Interval[] = [];
  const cells: { interval: number; value: unknown; listed: boolean }[] = [];
  list.forEach((entry, interval) => {
    if (!timed) cells.push({ interval: 0, value: entry, listed: true });
    else if (isInterval(entry)) {
      const { start, end } = entry.timeframe;
      intervals.push({ start, end: isMoment(end) ? end : start });
      const listed = Array.isArray(entry.value);
      for (const value of listed ? (entry.value as unknown[]) : [entry.value]) cells.push({ interval, value, listed });
    }
  });
  // where some intervals have groups and others have none, those that have them say which
  const grouped = cells.some((cell) => cell.listed);
  const objects = cells.filter((cell) => cell.listed === grouped).map((cell) => cell.value).filter(isObject);
  const { groups, measures } =
    grouped || !cells.length
      ? columns(objects, query)
      : { groups: [], measures: objects.length ? Object.keys(objects[0]) : (analysesOf(query) ?? ["result"]) };
  const row = ({ interval, value }: { interval: number; value: unknown }): Row => ({
    interval,
    group: groups.map((name) => scalar(isObject(value) ? value[name] : null)),
    values: measures.map((name) => number(isObject(value) ? value[name] : value)),
  });
  let rows = cells.map(row);
  if (timed && !groups.length && rows.length) {
    // one for each interval
    const found = new Map(rows.map((one) => [one.interval, one]));
    if (found.size < rows.length)
      throw new ChartError("This answer cannot be read: an interval has several values without groups.");
    rows = intervals.map((_, interval) => found.get(interval) ?? row({ interval, value: null }));
  }
  return { shape: "cube", intervals: timed ? intervals : null, groups, measures, rows };
}

function lists(list: unknown[], query: Json): Lists {
  const timed = list.length > 0 && list.every(isInterval);
  const rows: Scalar[][] = [];
  let groups: string[] = groupNames(query) ?? [];
  const add = (before: Scalar[], value: unknown) => {
    if (Array.isArray(value) && value.some((row) => isObject(row) && Array.isArray(row.result))) {
      for (const row of value) add(before, row);
    } else if (isObject(value) && Array.isArray(value.result)) {
      groups = Object.keys(value).filter((key) => key !== "result");
      const group = groups.map((key) => scalar((value as Json)[key]));
      for (const one of value.result) rows.push([...before, ...group, scalar(one)]);
    } else if (Array.isArray(value)) for (const one of value) rows.push([...before, scalar(one)]);
    else rows.push([...before, scalar(value)]);
  };
  if (timed)
    for (const entry of list as { value: unknown; timeframe: Interval }[])
      add([entry.timeframe.start], entry.value);
  else if (list.some((row) => isObject(row))) for (const row of list) add([], row);
  else add([], list);
  return { shape: "lists", intervals: timed, groups, rows };
}

function funnel(values: unknown[], steps: unknown[]): Funnel {
  return {
    shape: "funnel",
    steps: values.map((value, index) => {
      const step = isObject(steps[index]) ? (steps[index] as Json) : {};
      const name = typeof step.event_collection === "string" ? step.event_collection : String(index + 1);
      return {
        name,
        value: number(value),
        optional: step.optional === true,
        inverted: step.inverted === true,
      };
    }),
  };
}

/** Whether rows of objects without `result` are groups of a multi_analysis rather than events. */
function looksGrouped(rows: Json[], query: Json): boolean {
  if (query.analysis_type) return query.analysis_type !== "extraction";
  if (isObject(query.analyses)) return true;
  if (!rows.length || rows.some((row) => "keen" in row)) return false;
  if (rows.every((row) => "result" in row)) return true;
  const names = Object.keys(rows[0]).join("\u0000");
  if (rows.some((row) => Object.keys(row).join("\u0000") !== names)) return false;
  if (rows.some((row) => Object.values(row).some((value) => typeof value === "object" && value !== null)))
    return false;
  const { groups, measures } = columns(rows, query);
  return (
    measures.length > 0 &&
    new Set(rows.map((row) => JSON.stringify(groups.map((key) => row[key])))).size === rows.length
  );
}

const ARRAYS = (values: unknown[]) => values.some((value) => Array.isArray(value));

function listed(list: unknown[], query: Json): Read["answer"] {
  const analysis = query.analysis_type;
  if (analysis === "extraction") return { shape: "events", rows: list.filter(isObject) };
  if (analysis === "select_unique") return lists(list, query);
  if (list.length === 0) return cube([], query, Boolean(query.interval));
  if (list.every(isInterval)) {
    const values = list.map((entry) => entry.value);
    const nested = values.flatMap((value) => (Array.isArray(value) ? value : []));
    const holdsLists = nested.some((row) => !isObject(row) || Array.isArray(row.result));
    return holdsLists ? lists(list, query) : cube(list, query, true);
  }
  if (list.every(isObject)) {
    if (ARRAYS(list.map((row) => row.result))) return lists(list, query);
    return looksGrouped(list, query) ? cube(list, query, false) : { shape: "events", rows: list };
  }
  return lists(list, query);
}

function shapeOf(outer: Json, query: Json): Read["answer"] {
  let result = outer.result;
  let steps = outer.steps ?? query.steps;
  if (isObject(result) && Array.isArray(result.result)) {
    // saved funnels hold the whole answer in `result`
    steps = result.steps ?? steps;
    result = result.result;
    return funnel(result as unknown[], Array.isArray(steps) ? steps : []);
  }
  if (Array.isArray(result) && (Array.isArray(outer.steps) || query.analysis_type === "funnel")) {
    return funnel(result, Array.isArray(steps) ? steps : []);
  }
  if (Array.isArray(result)) return listed(result, query);
  if (typeof result === "string" && number(result) === null) return { shape: "message", text: result };
  const found = isObject(result) ? result : { result };
  const measures = Object.keys(found);
  const values = Object.values(found);
  if (ARRAYS(values)) {
    return lists(
      measures.map((name) => ({ analysis: name, result: [found[name]].flat() })),
      {},
    );
  }
  return {
    shape: "cube",
    intervals: null,
    groups: [],
    measures,
    rows: [{ interval: 0, group: [], values: values.map(number) }],
  };
}

/** Read an answer; `asked` is the question, where the answer does not repeat it. An error is a ChartError. */
export function read(answer: unknown, asked: Json | null | undefined): Read {
  const outer: Json = isObject(answer) ? answer : { result: answer };
  if (!("result" in outer)) {
    const message = typeof outer.message === "string" ? outer.message : null;
    throw new ChartError(message ?? "This is no answer: it has no 'result'.");
  }
  const metadata = isObject(outer.metadata) ? outer.metadata : {};
  const dataset = isObject(metadata.dataset) ? metadata.dataset : null;
  const own = isObject(outer.query) ? outer.query : dataset && isObject(dataset.query) ? dataset.query : {};
  const query = { ...(asked ?? {}), ...own };
  const run = isObject(outer.run_information) ? outer.run_information : {};
  return {
    outer,
    answer: shapeOf(outer, query),
    query,
    metadata: dataset ? { display_name: dataset.display_name, ...metadata } : metadata,
    partial: outer.complete === false,
    through: typeof run.data_through === "string" ? run.data_through : null,
  };
}
