// Answers about what actors do: retention, paths, life cycles, sessions, stickiness, funnels in parts, comparisons.
import type { ActorCharts, Job, Tools } from "./kinds.ts";
import { sankey } from "./sankey.ts";
import type { Cells, Column, Description, Flow, NumberFormat, Scalar, Series, Told } from "./types.ts";

type Json = Record<string, any>;

const isObject = (value: unknown): value is Json =>
  typeof value === "object" && value !== null && !Array.isArray(value);
const PERCENT: NumberFormat = { style: "percent" };
const SECONDS: NumberFormat = { style: "duration", unit: "s" };
const COHORTS_MAX = 40;
const EDGES_MAX = 300;
/** What is rather looked up than looked at. */
const SELDOM = ["events", "bounces", "unfinished", "events_per_session"];
const LIFE = ["new", "returning", "resurrected", "dormant"];
/** What of a row of retention is no group. */
const OF_RETENTION = ["timeframe", "size", "sizes", "retained", "rates", "unfinished"];

const fill = (text: string, values: Json) => text.replace(/\{(\w+)\}/g, (_, name: string) => String(values[name]));
const at = (series: number, index: number) => `${series},${index}`;

/** From the first part's start to the last one's end. */
function timeOf(parts: (Told["timeframe"] | undefined)[]): Told["whole"] {
  const [first, last] = [parts[0], parts[parts.length - 1]];
  return first && last && { start: first.start, end: last.end };
}

// --- retention

interface Cohort {
  name: string;
  first: Scalar;
  sizes: (number | null)[];
  retained: (number | null)[];
  rates: (number | null)[];
  unfinished: boolean[];
  timeframe?: Told["timeframe"];
  group?: Scalar;
}

function cohortsOf(job: Job, tools: Tools): Cohort[] {
  const { outer, query } = job.read;
  const { words } = job.settings;
  const counted = (list: unknown[] | undefined) => (list ?? []).map((one) => (typeof one === "number" ? one : null));
  const sized = (row: Json): Pick<Cohort, "sizes" | "retained" | "rates" | "unfinished"> => ({
    sizes: row.sizes ?? row.rates.map(() => row.size),
    retained: counted(row.retained),
    rates: counted(row.rates),
    unfinished: row.unfinished ?? [],
  });
  const summary: unknown = outer.summary;
  if (Array.isArray(summary)) {
    return summary.map((row: Json) => {
      const group = Object.entries(row).find(([key]) => !OF_RETENTION.includes(key))?.[1] ?? null;
      const name = tools.nameOf(group, job.settings);
      return { ...sized(row), name, first: name, group };
    });
  }
  const unit = String(query.interval ?? "").replace(/s$/, "").split("_").pop()!;
  const digits = /^(minute|hour)/.test(unit) ? 16 : /^year/.test(unit) ? 4 : /^month/.test(unit) ? 7 : 10;
  const cohorts = (outer.result as Json[]).map((row): Cohort => {
    const text = tools.iso(job, row.timeframe.start).replace("T", " ");
    const day = digits === 7 && text.slice(8, 10) !== "01" ? 10 : digits;
    return { ...sized(row), name: `${text.slice(0, day)} (${row.size})`, first: row.timeframe.start, timeframe: row.timeframe };
  });
  if (!isObject(summary) || cohorts.length < 2) return cohorts;
  return [{ ...sized(summary), name: words.all, first: null }, ...cohorts];
}

function retention(job: Job, tools: Tools): Description {
  const { settings, read } = job;
  const { words } = settings;
  const { brackets, interval } = read.query as Json;
  const type = tools.only(["heatmap", "table"], "retention", job);
  const all = cohortsOf(job, tools);
  const together = all[0]?.first === null && all[0].name === words.all ? all.slice(0, 1) : [];
  const rest = all.slice(together.length);
  const kept = settings.all || type === "table" ? rest : rest.slice(-(settings.limit ?? COHORTS_MAX));
  if (kept.length < rest.length)
    settings.notes.push(fill(words.lastOf, { shown: kept.length, n: rest.length }));
  const cohorts = [...together, ...kept];
  const length = Math.max(0, ...cohorts.map(({ rates }) => rates.length));
  const periods = Array.from({ length }, (_, index) => {
    const [from, to] = brackets?.[index] ?? [index, index];
    return from === to ? String(from) : `${from}–${to}`;
  });
  const starts = rest.map(({ timeframe }) => timeframe);
  const whole = timeOf(starts);
  const told: Record<string, Told> = {};
  const series = cohorts.map((one, row): Series => {
    periods.forEach((period, index) => {
      const value = one.rates[index] ?? null;
      if (value === null && !one.sizes[index]) return;
      const open = one.unfinished[index] ? ` · ${words.unfinished}` : "";
      const own = rest.indexOf(one);
      const [from, to] = brackets?.[index] ?? [index, index];
      const [first, last] = [starts[own + from], starts[own + to]];
      told[at(row, index)] = {
        name: `${one.name} · ${fill(words.period, { n: period })}`,
        value,
        extra: `${fill(words.ofThem, { n: one.retained[index] ?? "–", all: one.sizes[index] ?? "–" })}${open}`,
        ...(one.timeframe ? { timeframe: one.timeframe } : {}),
        ...(own >= 0 && first && last ? { within: { start: first.start, end: last.end }, whole } : {}),
      };
    });
    const values = periods.map((_, index) => one.rates[index] ?? null);
    return { name: one.name, key: [one.group ?? null], values, open: one.unfinished };
  });
  const empty = !rest.some(({ sizes, retained }) => sizes[0] || retained[0]);
  if (!empty && type === "heatmap" && cohorts.some(({ unfinished }) => unfinished.some(Boolean)))
    settings.notes.push(words.dashed);
  const timed = starts.some(Boolean);
  const columns: Column[] = [
    timed ? { name: words.cohort, kind: "time", interval: interval ?? null } : { name: words.cohort, kind: "text" },
    { name: words.size, kind: "number" },
    ...periods.map((name): Column => ({ name, kind: "number", format: { ...PERCENT, decimals: 1 } })),
    ...(settings.all ? periods.map((name): Column => ({ name: `${name}: ${words.actors}`, kind: "number" })) : []),
  ];
  const table: Cells = {
    columns,
    rows: cohorts.map((one) => [
      one.first ?? (one === together[0] ? words.all : one.name),
      one.sizes[0] ?? null,
      ...periods.map((_, index) => one.rates[index] ?? null),
      ...(settings.all ? periods.map((_, index) => one.retained[index] ?? null) : []),
    ]),
    marks: cohorts.map((_, row) => [null, null, ...periods.map((_, index): [number, number] => [row, index])]),
  };
  return {
    ...tools.base(job, type),
    x: { kind: "category", name: fill(words.period, { n: "" }).trim(), values: periods, names: periods },
    y: { kind: "number", name: "", format: settings.format.style === "number" ? PERCENT : settings.format, integers: false },
    series,
    told,
    table,
    empty,
  };
}

// --- paths

function paths(job: Job, tools: Tools): Description {
  const { settings, read } = job;
  const { words } = settings;
  const result = read.outer.result as Json;
  const type = tools.only(["sankey", "table"], "paths", job);
  const back = result.nodes.some((one: Json) => one.step < 0);
  const first = Math.min(0, ...result.nodes.map((one: Json) => one.step));
  const ranks = new Map<number, number>();
  const name = (one: Json) =>
    "names" in one ? `${words.other} (${fill(words.more, { n: one.names })})` : tools.nameOf(one.name, settings);
  const told: Record<string, Told> = {};
  const nodes = result.nodes.map((one: Json): Flow["nodes"][number] => {
    const column = one.step - first;
    const rank = ranks.get(column) ?? 0;
    ranks.set(column, rank + 1);
    const stopped = one.ended ?? one.began ?? 0;
    const said = [stopped && fill(back ? words.began : words.ended, { n: stopped }), one.beyond && fill(words.goOn, { n: one.beyond })];
    const extra = said.filter(Boolean).join(" · ");
    told[at(rank, column)] = { name: `${name(one)} (${fill(words.stepAt, { n: one.step })})`, value: one.paths, ...(extra ? { extra } : {}) };
    return { name: name(one), column, rank, paths: one.paths, stopped, other: "names" in one };
  });
  const known = (result.edges as Json[]).filter((one) => nodes[one.source] && nodes[one.target]);
  // `describe` says so
  for (const one of [...result.nodes, ...known]) if (!isFinite(one.paths + one.step + (one.ended ?? one.began ?? 0))) throw Error();
  const sorted = [...known].sort((a, b) => b.paths - a.paths);
  const drawn = settings.all || type === "table" ? sorted : sorted.slice(0, EDGES_MAX);
  const most = Math.max(0, ...ranks.values());
  const edges = drawn.map((one, place): Flow["edges"][number] => {
    const [from, to] = [nodes[one.source]!, nodes[one.target]!];
    told[at(most + place, from.column)] = { name: `${from.name} → ${to.name}`, value: one.paths };
    return { source: one.source, target: one.target, paths: one.paths, rank: most + place };
  });
  if (drawn.length < sorted.length) settings.notes.push(fill(words.leftOut, { shown: drawn.length, n: sorted.length }));
  const left = result.left_out;
  if (left?.edges) settings.notes.push(fill(words.leastLeft, { n: left.edges, paths: left.paths }));
  return {
    ...tools.base(job, type),
    y: { kind: "number", name: words.paths, format: settings.format, integers: true },
    flow: { nodes, edges, back },
    told,
    table: {
      columns: [
        { name: words.step, kind: "number" },
        { name: words.from, kind: "text" },
        { name: words.to, kind: "text" },
        { name: words.paths, kind: "number" },
      ],
      rows: drawn.map((one) => [one.step, nodes[one.source]!.name, nodes[one.target]!.name, one.paths]),
      marks: edges.map((one) => Array.from({ length: 4 }, (): [number, number] => [one.rank, nodes[one.source]!.column])),
    },
    empty: !nodes.length,
  };
}

// --- numbers that the core draws, with more said about them

/** The answer of a multi_analysis with these measures of each value. */
function recast(job: Job, tools: Tools, value: (one: any) => Json, labels: string[]): Job {
  const { outer, query } = job.read;
  const row = (one: any): any => {
    if (!isObject(one)) return value(one);
    const { result, ...groups } = one;
    return Array.isArray(result) ? { ...groups, ...value(result) } : value(one);
  };
  const each = (one: any): any => (Array.isArray(one) && one.some(isObject) ? one.map(row) : row(one));
  const found = outer.result as any;
  const list = Array.isArray(found) ? found : null;
  const result = !list
    ? value(found)
    : list.every((one) => isObject(one) && "timeframe" in one && "value" in one)
      ? list.map((one) => ({ ...one, value: each(one.value) }))
      : list.map(row);
  const analyses = Object.fromEntries(labels.map((label) => [label, { analysis_type: query.analysis_type }]));
  const asked = { ...query, analysis_type: "multi_analysis", analyses };
  const { query: _, ...rest } = outer;
  return { ...job, read: { ...job.read, ...tools.read({ ...rest, result }, asked), metadata: job.read.metadata } };
}

/** How far groups or intervals got: a number for each step, and in tables and over time which part got to the last one. */
function funnelInParts(job: Job, tools: Tools): Description | null {
  const { outer } = job.read;
  const held = isObject(outer.result) ? outer.result : outer;
  const list = held.result;
  if (!Array.isArray(list) || !list.some(isObject)) return null;
  const steps: Json[] = held.steps ?? job.read.query.steps ?? [];
  const labels = steps.map((one, index) => `${index + 1}. ${one.event_collection}`);
  const last = labels.length - 1;
  const { steps: _, ...rest }: Json = { ...outer, result: list };
  const { settings } = job;
  const timed = list.every((one: Json) => "timeframe" in one);
  const type = settings.type ?? (timed ? null : "bar");
  // Over time the conversion has a panel of its own; lines of each group would be too many.
  if (settings.all || type === "table" || (!type && !isObject(list[0].value[0]))) labels.push(`${labels[last]} ÷ ${labels[0]}`);
  const made = recast({ ...job, read: { ...job.read, outer: rest } }, tools, (values) =>
    Object.fromEntries(labels.map((label, at) => [label, (at > last ? (values?.[0] ? values[last] / values[0] : null) : values?.[at]) ?? null])), labels);
  return inPanels(tools.described({ ...made, settings: { ...settings, type } }), (label) => (/ ÷ /.test(label) ? 1 : 0));
}

function funnel(job: Job, tools: Tools): Description | null {
  const parts = funnelInParts(job, tools);
  if (parts) return parts;
  const { outer } = job.read;
  const held = isObject(outer.result) ? outer.result : outer;
  const times: unknown = held.times?.steps;
  const made = tools.described(job);
  if (!Array.isArray(times) || !made.steps) return made;
  return { ...made, steps: made.steps.map((step, index) => (isObject(times[index]) ? { ...step, time: times[index].median } : step)) };
}

function lifecycle(job: Job, tools: Tools): Description {
  const type = job.settings.type ?? "stacked";
  const { outer } = job.read;
  const pick = (one: any) => Object.fromEntries(Object.entries(one ?? {}).filter(([key]) => key !== "timeframe"));
  const made = tools.described(recast({ ...job, settings: { ...job.settings, type } }, tools, pick, LIFE));
  const starts = Array.isArray(outer.result) ? (outer.result as Json[]).map((one) => one.timeframe) : [];
  const whole = timeOf(starts);
  const below = !job.settings.all && ["stacked", "bar", "line", "area"].includes(made.type);
  const told: Record<string, Told> = {};
  const series = made.series.map((one, row): Series => {
    const label = String(one.key[one.key.length - 1]);
    starts.forEach((_, index) => {
      const before = starts[index - 1];
      told[at(row, index)] = { ...(before ? { within: before } : {}), whole };
    });
    // Who is gone stands below the line that the others stand on.
    const down = below && label === "dormant" ? one.values.map((value) => value && -value) : one.values;
    return { ...one, values: down };
  });
  const format: NumberFormat = { ...job.settings.format, unsigned: true };
  return { ...made, series, told, y: made.y && { ...made.y, name: "", ...(below ? { format } : {}), integers: true } };
}

/** Ratios in a panel of their own, below what they are ratios of. */
function stickiness(job: Job, tools: Tools): Description {
  if (job.read.query.histogram === true || (job.read.outer.result as Json[])?.[0]?.periods !== undefined) {
    const made = tools.described(job);
    const { actors } = job.settings.words;
    return { ...made, y: made.y && { ...made.y, name: actors[0]!.toUpperCase() + actors.slice(1), integers: true } };
  }
  return inPanels(tools.described(job), (label) => (label.includes("_") ? 1 : 0));
}

function inPanels(made: Description, panelOf: (label: string) => number): Description {
  const label = (one: Series) => String(one.key[one.key.length - 1]);
  const series = made.series.map((one): Series => ({ ...one, ...formatted(label(one)), panel: panelOf(label(one)) }));
  const drawn = made.type === "line" || made.type === "area" || made.type === "bar";
  if (!drawn || made.x?.kind !== "time") return { ...made, series: made.series.map((one) => ({ ...one, ...formatted(label(one)) })) };
  const present = [...new Set(series.map((one) => one.panel))].sort();
  return { ...made, y: made.y && { ...made.y, name: "" }, series: series.map((one) => ({ ...one, panel: present.indexOf(one.panel) })) };
}

function formatted(label: string): { format?: NumberFormat } {
  if (/^duration_/.test(label)) return { format: SECONDS };
  if (/_rate$|^(dau|wau)_| ÷ /.test(label)) return { format: PERCENT };
  return {};
}

function sessions(job: Job, tools: Tools): Description {
  const numbers = (one: any) =>
    Object.fromEntries(Object.entries(one ?? {}).filter(([, value]) => !isObject(value) && !Array.isArray(value)));
  const { outer } = job.read;
  const found = outer.result;
  const single = isObject(found);
  const some: Json = single ? found : {};
  const row: any = single ? some : (Array.isArray(found) ? found : [])[0];
  const one: any = row && "timeframe" in row ? [row.value].flat()[0] : row;
  const groups = tools.groupNames(job.read.query) ?? [];
  const asked = job.read.query.measures;
  // By time the drawing has the few that are looked at most; the table and CSV have all.
  const few = !single && !asked && !job.settings.all && job.settings.type !== "table" && groups.length === 0;
  const labels = Object.keys(numbers(one)).filter((name) => !groups.includes(name) && !(few && SELDOM.includes(name)));
  const picked = (value: any) => Object.fromEntries(labels.map((label) => [label, value?.[label] ?? null]));
  const held = (value: any) => ({ ...Object.fromEntries(groups.map((name) => [name, value?.[name] ?? null])), ...picked(value) });
  const made = recast(job, tools, single ? picked : held, labels);
  // The table says what stands below the numbers too.
  const cells = single && job.settings.type === "table";
  const described = tools.described(cells ? { ...made, settings: { ...job.settings, type: null } } : made);
  if (!described.metrics) {
    const panels = (label: string) => (/^duration/.test(label) ? 2 : /rate$/.test(label) ? 1 : /per_session/.test(label) ? 3 : 0);
    return inPanels(described, panels);
  }
  const { settings } = job;
  const spoken = (name: string) => {
    const text = name.replace(/_/g, " ");
    return text[0]!.toUpperCase() + text.slice(1);
  };
  const metrics = described.metrics.map((one) => ({ ...one, ...formatted(one.name), name: settings.names[one.name] ?? spoken(one.name) }));
  const rows: unknown[][] = described.metrics.map((one, index) => [metrics[index]!.name, "", one.value]);
  for (const key of ["entries", "exits"]) {
    const list: Json[] = some[key]?.values ?? [];
    for (const one of list) rows.push([spoken(key), tools.nameOf(one.value, settings), one.sessions]);
    const more = some[key]?.other;
    if (more?.values) rows.push([spoken(key), `${settings.words.other} (${fill(settings.words.more, { n: more.values })})`, more.sessions]);
  }
  const { words } = settings;
  const table: Cells = {
    columns: [
      { name: words.name, kind: "text" },
      { name: words.value, kind: "text" },
      { name: words.number, kind: "number" },
    ],
    rows,
    formats: described.metrics.map((one) => formatted(one.name).format),
  };
  return { ...described, ...(cells ? { type: "table" } : {}), metrics, table };
}

/** The compared period beside each series, dashed; of a single number the change. */
function compared(job: Job, tools: Tools): Description | null {
  const { outer } = job.read;
  const described = tools.described(job);
  const { words } = job.settings;
  const name = words.previous;
  const { answer } = job.read;
  const only = answer.shape === "cube" ? (answer.measures[0] ?? "") : "";
  const made = { ...described, series: described.series.map((one) => (one.name ? one : { ...one, name: only })) };
  if (made.metrics && isObject(outer.compare)) {
    const value = outer.compare.value;
    if (!isObject(value)) return made;
    const labels = Object.keys((outer.result ?? {}) as Json);
    return {
      ...made,
      metrics: made.metrics.map((one, index) => ({ ...one, previous: value[labels[index]!] ?? null, previousName: name })),
    };
  }
  const drawn = ["line", "area", "table", "bar", "stacked"].includes(made.type);
  if (!drawn || !Array.isArray(outer.result) || !outer.result.some((one: Json) => isObject(one.compare))) return made;
  const list = (outer.result as Json[]).map((one) => ({ value: one.compare?.value ?? null, timeframe: one.timeframe }));
  const { compare: _, ...rest } = outer;
  const asked = job.read.query;
  const settings = { ...job.settings, notes: [], type: "table" as const, all: true };
  const before = tools.described({ ...job, settings, read: { ...job.read, ...tools.read({ ...rest, result: list }, asked) } });
  const values = new Map(before.series.map((one) => [JSON.stringify(one.key), one.values]));
  const dashed = made.series.flatMap((one, index): Series[] => {
    const found = values.get(JSON.stringify(one.key));
    if (one.role || !found) return [];
    return [{ name: `${one.name}, ${name}`, key: one.key, values: found, role: "previous", like: index, ...(one.panel === undefined ? {} : { panel: one.panel }), ...(one.format ? { format: one.format } : {}) }];
  });
  return { ...made, series: [...made.series, ...dashed] };
}

/** Of the newest intervals how much is there, and by lines what is to be expected of counts. */
function expected(job: Job, made: Description): Description {
  const { outer, query, answer } = job.read;
  const { words, notes } = job.settings;
  const starts = made.x?.starts ?? [];
  const known = new Map(((outer.completeness ?? []) as Json[]).map((one): [number, Json] => [starts.indexOf(one.timeframe.start), one.series]));
  if (!known.size || known.has(-1)) return made;
  const list = Object.entries(known.get(Math.max(...known.keys()))!).flatMap(([name, { arrived, least, most }]) => {
    const [share, from, to] = [arrived, least, most].map((one) => Math.round(one * 100));
    return arrived === null ? [] : [`${name} ${share} % (${from}–${to} %)`];
  });
  if (list[0]) notes.push(fill(words.soFar, { list: list.join(", ") }));
  const cube = made.type === "line" && answer.shape === "cube" && !answer.groups.length ? answer : null;
  const more = made.series.flatMap((one, index): Series[] => {
    const label = String(one.key[0] ?? cube?.measures[0]);
    if (!cube || one.role || (query.series as Json)?.[label]?.analysis_type !== "count") return [];
    const values = one.values.map((value, at): number | null => {
      const share = known.get(at)?.[label].arrived;
      return value && share && share < 1 ? Math.round(value / share) : null;
    });
    return values.some(Number) ? [{ ...one, name: `${one.name}, ${words.expected}`, values, role: "previous", like: index }] : [];
  });
  const unfinished = starts.length - made.future - Math.min(...known.keys());
  return { ...made, unfinished, series: [...made.series, ...more] };
}

// --- which

export const charts: ActorCharts = {
  describe(job, tools) {
    const { outer, query } = job.read;
    const { result } = outer;
    const analysis = query.analysis_type;
    if (isObject(result) && Array.isArray(result.nodes) && Array.isArray(result.edges)) return paths(job, tools);
    const rows: unknown[] = Array.isArray(result) ? result : [];
    if (analysis === "retention" || (isObject(rows[0]) && Array.isArray(rows[0].rates))) return retention(job, tools);
    if (analysis === "lifecycle") return lifecycle(job, tools);
    if (analysis === "stickiness") return stickiness(job, tools);
    if (analysis === "sessions") return sessions(job, tools);
    if (analysis === "series" || "compare" in outer) {
      const made = compared(job, tools);
      return made && expected(job, made);
    }
    return analysis === "funnel" || "steps" in outer ? funnel(job, tools) : null;
  },
  sankey,
};
