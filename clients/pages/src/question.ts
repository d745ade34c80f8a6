/** A question as the explorer's fields have it, and as the API takes it. */
import type { Filter, Question, Timeframe } from "acumen-client";
import { writtenDays } from "./days.ts";

export interface Condition {
  property_name: string;
  operator: string;
  /** Undefined until something is chosen. */
  property_value: unknown;
}

/** Those in a cohort, and all others. */
export interface CohortGroup {
  cohort: string;
}

export interface Draft {
  analysis_type: string;
  event_collection: string;
  target_property: string;
  percentile: string;
  filters: Condition[];
  group_by: (string | CohortGroup)[];
  /** How many groups, the largest first; empty: all. */
  limit: string;
  /** Whether it came with a limit of each interval's groups, which the fields offer no more. */
  limits_parts: boolean;
  interval: string;
  /** Empty: all time. */
  timeframe: Timeframe;
  timezone: string;
}

export const ANALYSES = [
  ["count", "Number of events"],
  ["count_unique", "Number of different values"],
  ["sum", "Sum"],
  ["average", "Average"],
  ["median", "Median"],
  ["percentile", "Percentile"],
  ["minimum", "Minimum"],
  ["maximum", "Maximum"],
  ["standard_deviation", "Standard deviation"],
  ["select_unique", "List of different values"],
  ["extraction", "Newest events"],
  ["series", "Series"],
  ["funnel", "Funnel"],
  ["retention", "Retention"],
  ["lifecycle", "Life cycle"],
  ["stickiness", "Stickiness"],
  ["sessions", "Sessions"],
  ["paths", "Paths"],
] as const;

export const NUMERIC = new Set(["sum", "average", "median", "percentile", "minimum", "maximum", "standard_deviation"]);
const NEWEST = 100;

export const takesTarget = (analysis: string) => !["count", "extraction"].includes(analysis);
export const takesGroups = (analysis: string) => analysis !== "extraction";

export function newDraft(timezone: string, collection = ""): Draft {
  return {
    analysis_type: "count",
    event_collection: collection,
    target_property: "",
    percentile: "90",
    filters: [],
    group_by: [],
    limit: "",
    limits_parts: false,
    interval: "daily",
    timeframe: "this_14_days",
    timezone,
  };
}

/** By field, what is still to be said before it can be asked. */
export function missing(draft: Draft): Record<string, string> {
  const lacks: Record<string, string> = {};
  const { analysis_type: analysis } = draft;
  if (!draft.event_collection) lacks.event_collection = "unfinished";
  if (takesTarget(analysis) && !draft.target_property) lacks.target_property = "unfinished";
  const { timeframe } = draft;
  if (typeof timeframe !== "string" && !(timeframe.start && timeframe.end)) lacks.timeframe = "unfinished";
  return lacks;
}

export const isWhole = (one: Condition) =>
  one.property_name !== "" && one.property_value !== undefined && one.property_value !== "";

/** Whether a condition is a cohort by its name, of the actor that the cohort says. */
export const isOfCohort = ({ operator, property_name, property_value }: Record<string, any>): boolean =>
  /^(not_)?in_cohort$/.test(operator) && typeof property_value === "string" && !property_name;

const isCohortGroup = (one: unknown): one is CohortGroup =>
  typeof one === "object" && one !== null && typeof (one as CohortGroup).cohort === "string" && Object.keys(one).length === 1;

/** Without what the analysis does not take, and without filters that are not whole yet. */
export function questionOf(draft: Draft): Question {
  const { analysis_type, timeframe, interval, group_by, limit, limits_parts } = draft;
  const question: Question = { analysis_type, event_collection: draft.event_collection };
  if (takesTarget(analysis_type)) question.target_property = draft.target_property;
  if (analysis_type === "percentile") question.percentile = Number(draft.percentile);
  if (timeframe) question.timeframe = timeframe;
  question.timezone = draft.timezone;
  if (takesGroups(analysis_type)) {
    if (interval && timeframe) question.interval = interval;
    if (group_by.length) question.group_by = group_by as Question["group_by"];
    if (group_by.length && limit && (limits_parts || !question.interval)) {
      question.order_by = { property_name: "result", direction: "DESC" };
      question.limit = Number(limit);
    }
  }
  if (analysis_type === "extraction") question.latest = NEWEST;
  const filters = draft.filters.filter(isWhole);
  if (filters.length) question.filters = filters as Filter[];
  return question;
}

/** The question without what the server adds to it, or leaves out of it. */
function essence(question: Record<string, unknown>): Record<string, any> {
  const said = told(question);
  if (Array.isArray(said.steps)) said.steps = said.steps.map((step) => ({ timezone: "UTC", ...told(step) }));
  else said.timezone ??= "UTC";
  return said;
}

/** Whether both are one question, as it is asked and as the server keeps it. */
export const asksTheSame = (a: Question, b: Question) => sameQuestion(essence(a), essence(b));

/** The fields that say this question; null where some of it has no field. */
export function draftOf(question: Question): Draft | null {
  const said = essence(question);
  const zone: unknown = said.timezone;
  const draft: Draft = {
    ...newDraft(typeof zone === "string" ? zone : "UTC"),
    analysis_type: String(said.analysis_type),
    event_collection: String(said.event_collection ?? ""),
    target_property: String(said.target_property ?? ""),
    percentile: String(said.percentile ?? 90),
    filters: Array.isArray(said.filters) ? (said.filters as Condition[]) : [],
    group_by: said.group_by === undefined ? [] : ([said.group_by].flat().map((one) => (isCohortGroup(told(Object(one))) ? told(one) : one)) as Draft["group_by"]),
    limit: String(said.limit ?? ""),
    limits_parts: said.limit !== undefined && said.interval !== undefined,
    interval: String(said.interval ?? ""),
    timeframe: (said.timeframe ?? "") as Timeframe,
  };
  const known = ANALYSES.some(([name]) => name === draft.analysis_type);
  if (!known || !isPlain(draft)) return null;
  // Whatever got lost on the way has no field.
  return sameQuestion(questionOf(draft), said) ? draft : null;
}

/** Without what says nothing: null, and the defaults of the server's own form of a question. */
function told(question: Record<string, unknown>): Record<string, any> {
  const empty = (value: unknown) => value === null || value === false || (Array.isArray(value) && !value.length);
  return Object.fromEntries(Object.entries(question).filter(([, value]) => !empty(value)));
}

function isPlain(draft: Draft): boolean {
  const plain = draft.group_by.every((one) => typeof one === "string" || isCohortGroup(one));
  return plain && draft.filters.every((one) => isOfCohort(one) || (one.operator !== "or" && typeof one.property_name === "string"));
}

/** The same whatever the order of keys. */
export function sameQuestion(a: unknown, b: unknown): boolean {
  return ordered(a) === ordered(b);
}

function ordered(value: unknown): string {
  return JSON.stringify(value, (_, inner) =>
    inner && typeof inner === "object" && !Array.isArray(inner)
      ? Object.fromEntries(
          Object.entries(inner)
            .filter(([, one]) => one !== undefined && one !== null)
            .sort(([x], [y]) => (x < y ? -1 : 1)),
        )
      : inner,
  );
}

/** `this_14_days` as people say it. */
export function frameName(timeframe: string): string {
  return timeframe.replace(/^this_(?=\d)/, "last_").replaceAll("_", " ");
}

/** What a group is called: of a cohort and of a session's property what it is, too. */
export function groupName(entry: unknown): string {
  const { property_name, session, cohort, alias } = (typeof entry === "string" ? { property_name: entry } : entry) as Record<string, unknown>;
  return session ? `session ${session}` : cohort ? String(alias ?? `cohort ${cohort}`) : String(property_name);
}

/** A sentence for people: what is asked. */
export function saidOf(question: Question): string {
  const label = ANALYSES.find(([name]) => name === question.analysis_type)?.[1] ?? `${question.analysis_type}`.replaceAll("_", " ");
  const parts: string[] = [String(label)];
  if (question.target_property) parts.push(`of ${question.target_property}`);
  const of = [question.event_collection, ...eventsOf(question)].filter(Boolean);
  if (of.length) parts.push(`in ${of.join(", ")}`);
  const start = (question.starting_event as Partial<Question> | undefined)?.event_collection;
  if (start) parts.push(`of ${start}`);
  if (question.series) parts.push(`of ${Object.keys(question.series).join(", ")}`);
  if (Array.isArray(question.steps)) parts.push(`of ${question.steps.length} ${question.steps.length === 1 ? "step" : "steps"}`);
  const groups = question.group_by ? [question.group_by].flat() : [];
  const names = groups.map(groupName);
  if (names.length) parts.push(`by ${names.join(", ")}`);
  if (question.interval) parts.push(`· ${question.interval}`);
  const when = saidWhen(question);
  if (when) parts.push(`· ${when}`);
  const filters = Array.isArray(question.filters) ? question.filters.length : 0;
  if (filters) parts.push(`· ${filters} ${filters === 1 ? "filter" : "filters"}`);
  return parts.join(" ");
}

const eventsOf = ({ events }: Question) => (Array.isArray(events) ? (events as Partial<Question>[]).map((one) => one.event_collection) : []);

/** The sentence without when and under which conditions: a title. */
export const saidBriefly = (question: Question): string => saidOf(question).split(" ·")[0]!;

/** The timeframe, which a funnel has in its steps; empty where they differ, and for all time. */
function saidWhen(question: Question): string {
  const steps = Array.isArray(question.steps) ? (question.steps as Partial<Question>[]) : [];
  const [first = question, ...others] = steps;
  const frame = (question.timeframe ?? first.timeframe) as Timeframe | null | undefined;
  if (!frame || (!question.timeframe && others.some((one) => !sameQuestion(one.timeframe, frame)))) return "";
  return typeof frame === "string" ? frameName(frame) : writtenDays(frame, question.timezone ?? first.timezone);
}
