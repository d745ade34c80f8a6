/** From a number of an answer to the events that it counts: a question about the same, as an extraction. */
import type { Filter, Question, Timeframe } from "acumen-client";
import { ofActors } from "./behind_actors.ts";
import { groupName } from "./question.ts";
import { namesSessions, withSessions } from "./session_properties.ts";

/** What a chart tells of a mark or a cell that was chosen. */
export interface Place {
  /** Which step of a funnel, interval or category. */
  index: number;
  name: string;
  series: string;
  value: number | null;
  /** Of the interval, where there is one. */
  timeframe: { start: string; end: string } | null;
  /** The values of `group_by`, of `select_unique` the value too; null where it stands for several groups. */
  groups: readonly unknown[] | null;
  /** Of a cohort the period, of a life cycle the period before. */
  within?: { start: string; end: string } | null;
  /** The whole time that was asked about. */
  whole?: { start: string; end: string } | null;
}

export type Behind =
  /** An extraction without `latest`. */
  | { kind: "events"; question: Question; groups: GroupValue[] }
  /** A funnel that names the actors of one step, and the events of that step. */
  | { kind: "actors"; question: Question; step: number; actor: string; events: Question; not: Lost | null; words?: ActorWords }
  /** Why it cannot be. */
  | { kind: "none"; why: string };

/** A funnel that names the actors who reached the step before and not this one: as those of its last step, or as dropped. */
export interface Lost {
  question: Question;
  actor: string;
  dropped?: boolean;
}

/** What the lists of actors are called, where they are not those of a funnel's step. */
export interface ActorWords {
  about: string;
  reached: string;
  lost: string;
  events: string;
  nobody: string;
}

export interface GroupValue {
  property: string;
  value: unknown;
  /** Whether it is the property's own value, and no class of values. */
  plain: boolean;
}

type Json = Record<string, any>;

const NUMERIC = new Set(["sum", "average", "median", "percentile", "minimum", "maximum", "standard_deviation"]);
const ALL_NUMBERS = { ranges: [{}], property_value: ".." };

export function behind(asked: Question, place: Place): Behind {
  const question = withSessions(asked);
  const { analysis_type: analysis, interval } = question;
  if (analysis === "extraction") return { kind: "none", why: "These are the events." };
  if (analysis === "funnel") {
    if (question.group_by || question.interval) return { kind: "none", why: "This is one group or one interval of a funnel. Ask for it alone, by a filter or a timeframe, to see who is behind it." };
    return ofStep(question, place.index);
  }
  const actors = ofActors(question, place);
  if (actors) return actors;
  if (!place.groups) {
    return { kind: "none", why: "This stands for several groups together. Choose one of them, in the table if the chart does not show it." };
  }
  if (interval && !place.timeframe && place.groups.length && analysis === "select_unique") {
    return { kind: "none", why: "A list of values for each interval does not say whose this one is. Ask without an interval." };
  }
  const entries = [question.group_by ?? []].flat() as (string | Json)[];
  if (question.series) return ofSeries(question, place, entries.length);
  const values = place.groups.slice(0, entries.length);
  const groups = values.map((value, at) => groupValue(entries[at]!, value));
  const more = place.groups[entries.length];
  const targets = analysis === "select_unique" && more !== undefined ? [inGroup(question.target_property as string, more)] : ofTarget(question, more);
  const filters = [...((question.filters ?? []) as Filter[]), ...values.map((value, at) => inGroup(entries[at]!, value)), ...targets];
  const long = [...values, more].some((value) => typeof value === "number" && Math.abs(value) > Number.MAX_SAFE_INTEGER);
  if (long) return { kind: "none", why: "The number that names this group has more digits than a browser can hold." };
  const { timeframe } = place;
  if (!question.session || !timeframe) return { kind: "events", groups, question: extraction(question, timeframe ?? undefined, filters) };
  // Which of an actor's sessions it is, and whether it is over, is said of all the time that was asked about.
  return { kind: "events", groups, question: extraction(question, undefined, [...filters, ...during(timeframe)]) };
}

/** What a series counts is behind its own numbers; what is computed of others has no events of its own. */
function ofSeries({ series, top, formulas: _, ...question }: Json, place: Place, count: number): Behind {
  const groups = place.groups!.slice(0, count);
  const label = place.groups![count] ?? Object.keys(series)[0];
  const own = series[String(label)];
  const other = top?.other === true ? "other" : top?.other;
  if (!own || (other && groups.includes(other))) {
    return { kind: "none", why: "This is computed from several series or groups. Choose a number of one of them." };
  }
  const filters = [...(question.filters ?? []), ...(own.filters ?? [])];
  return behind({ ...question, ...own, group_by: own.group_by ?? question.group_by, filters } as Question, { ...place, groups });
}

const during = ({ start, end }: { start: string; end: string }): Filter[] =>
  ([["gte", start], ["lt", end]] as const).map(([operator, property_value]) => ({ property_name: "keen.timestamp", operator, property_value }));

export function extraction(question: Json, timeframe: Timeframe | undefined, filters: unknown): Question {
  const { event_collection, timezone, week_start, session } = question;
  const frame = timeframe ?? question.timeframe;
  const given = { timeframe: frame, timezone, week_start, session: namesSessions(filters) ? session : undefined };
  const set = Object.entries(given).filter(([, value]) => value !== undefined && value !== null && value !== "");
  return { analysis_type: "extraction", event_collection, ...Object.fromEntries(set), filters } as Question;
}

function groupValue(entry: string | Json, value: unknown): GroupValue {
  if (typeof entry === "string") return { property: entry, value, plain: true };
  return { property: groupName(entry), value, plain: Boolean(entry.property_name) && !entry.cohort && !entry.buckets && !entry.ranges };
}

export function inGroup(entry: string | Json, property_value: unknown): Filter {
  const { alias: _, ...group } = typeof entry === "string" ? ({ property_name: entry } as Json) : entry;
  return { ...group, operator: "in_group", property_value } as unknown as Filter;
}

/** Of an analysis of values, the events that have one. */
function ofTarget(question: Json, label: unknown): Filter[] {
  const member: Json = question.analyses ? (question.analyses[String(label)] ?? {}) : question;
  const { analysis_type: analysis, target_property: property_name } = member;
  if (typeof property_name !== "string") return [];
  const operator = NUMERIC.has(analysis) ? { operator: "in_group", ...ALL_NUMBERS } : { operator: "exists", property_value: true };
  return [{ property_name, ...operator } as unknown as Filter];
}

export function ofStep(question: Json, index: number): Extract<Behind, { kind: "actors" | "none" }> {
  const steps = question.steps as Json[];
  const step = steps[index];
  if (!step) return { kind: "none", why: "The question has no such step." };
  const told = steps.map((one, at) => ({ ...one, with_actors: at === index }));
  const own = (name: string) => {
    const value = step[name];
    return value === undefined || value === null || (Array.isArray(value) && !value.length) ? question[name] : value;
  };
  const whole = { ...step, timeframe: own("timeframe"), timezone: own("timezone"), session: question.session };
  const actor = whose(question, step);
  const { max_age: _, times: __, explain_actor: ___, ...asked } = question;
  return {
    kind: "actors",
    step: index,
    actor,
    question: { ...asked, steps: told } as unknown as Question,
    not: lostAt(asked, steps, index),
    events: extraction(whole, undefined, own("filters") ?? []),
  };
}

/** The property that says who; empty where the project's settings say it. */
const whose = (question: Json, step: Json): string => String([step.actor_property ?? question.actor_property ?? ""].flat()[0]);

/** Null at the first step, which nobody comes to from another. */
function lostAt(asked: Json, steps: Json[], index: number): Lost | null {
  if (index === 0) return null;
  if (asked.order && asked.order !== "any") {
    const told = steps.map((one, at) => ({ ...one, with_actors: false, with_dropped: at === index }));
    return { actor: whose(asked, steps[index - 1]!), dropped: true, question: { ...asked, steps: told } as unknown as Question };
  }
  const before = steps.slice(0, index).map((one) => ({ ...one, with_actors: false }));
  const step = { ...steps[index], inverted: !steps[index]!.inverted, optional: false, with_actors: true };
  const actor = whose(asked, steps[index - 1]!);
  return { actor, question: { ...asked, steps: [...before, step] } as unknown as Question };
}
