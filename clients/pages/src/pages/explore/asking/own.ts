/** Questions whose fields are the question itself: what a field does not know stays as it is. */
import type { Question } from "acumen-client";

export type Json = Record<string, any>;

/** What a form asks, without its analysis. */
export type Own = Json;

const FORMS = ["funnel", "retention", "lifecycle", "stickiness", "sessions", "paths", "series"];

export const isOwn = (analysis: string): boolean => FORMS.includes(analysis);

const isObject = (value: unknown): value is Json => typeof value === "object" && value !== null && !Array.isArray(value);

/** Of a funnel's steps, what all of them say alike is the funnel's own. */
const SHARED = ["timeframe", "timezone", "actor_property"];
const LISTS = ["steps", "events", "filters", "exclusions", "rename", "measures"];
const EVENTS = ["starting_event", "returning_event"];

/** The fields that say this question; null where some of it has a form that fields have not. */
export function ownOf(question: Question): Own | null {
  const { analysis_type: _, ...given } = question as Json;
  // Of all parameters `fill` alone says something by null.
  const all = Object.entries(given).map(([name, value]) => [name, name === "fill" ? (value === null ? "null" : value) : value]);
  const own = Object.fromEntries(all.filter(([, value]) => value !== null)) as Own;
  if (!LISTS.every((name) => own[name] === undefined || Array.isArray(own[name]))) return null;
  if (![...EVENTS, "series", "formulas", "top", "rolling"].every((name) => own[name] === undefined || isObject(own[name]))) return null;
  const parts = [own.steps, own.events, own.exclusions, own.rename, Object.values(own.series ?? {})].flatMap((list) => list ?? []);
  if (!parts.every(isObject)) return null;
  const filters = [own, ...parts, ...EVENTS.map((name) => own[name] ?? {})].map((one: Json) => one.filters ?? []);
  if (!filters.every((list) => Array.isArray(list) && list.every(isObject))) return null;
  if (question.analysis_type !== "funnel") return own;
  if (!Array.isArray(own.steps) || !own.steps.length) return null;
  return lifted(own);
}

function lifted(own: Own): Own {
  const [first, ...others] = own.steps as Json[];
  const alike = SHARED.filter((name) => {
    const value = JSON.stringify(first![name] ?? null);
    return own[name] === undefined && value !== "null" && others.every((one) => JSON.stringify(one[name] ?? null) === value);
  });
  if (!alike.length) return own;
  const steps = (own.steps as Json[]).map((one) => Object.fromEntries(Object.entries(one).filter(([name]) => !alike.includes(name))));
  return { ...own, steps, ...Object.fromEntries(alike.map((name) => [name, first![name]])) };
}

/** The question, without filters that are not whole yet and without what says nothing. */
export function askedOf(analysis_type: string, own: Own): Question {
  return { analysis_type, ...(tidy(own) as Json) } as Question;
}

function tidy(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(tidy);
  if (!isObject(value)) return value;
  const entries = Object.entries(value).flatMap(([name, one]): [string, unknown][] => {
    if (one === undefined) return [];
    if (name !== "filters" || !Array.isArray(one)) return [[name, name === "filters" || name === "property_value" ? one : tidy(one)]];
    const whole = one.filter((filter) => filter.operator === "or" || /_cohort$/.test(filter.operator) || (filter.property_name && filter.property_value !== undefined && filter.property_value !== ""));
    return whole.length ? [[name, whole]] : [];
  });
  return Object.fromEntries(entries);
}

/** What is still to be said before it can be asked. */
export function ownMissing(analysis: string, own: Own): Record<string, string> {
  const lacks: Record<string, string> = {};
  const need = (name: string, given: unknown) => {
    if (!given) lacks[name] = "unfinished";
  };
  if (analysis === "funnel") need("steps", own.steps.every((one: Json) => one.event_collection));
  else if (analysis === "retention") {
    need("starting_event", own.starting_event?.event_collection);
    need("returning_event", !own.returning_event || own.returning_event.event_collection);
  } else if (analysis === "series") {
    const all = Object.values(own.series ?? {}) as Json[];
    need("series", all.length && all.every((one) => one.event_collection && (one.analysis_type === "count" || one.target_property)));
    need("formulas", Object.values(own.formulas ?? {}).every((one) => one !== ""));
  } else need("event_collection", own.events ? own.events.every((one: Json) => one.event_collection) : own.event_collection);
  if (own.exclusions) need("exclusions", own.exclusions.every((one: Json) => one.event_collection));
  if (own.rename) need("rename", own.rename.every((one: Json) => one.match));
  const { timeframe } = own;
  if (isObject(timeframe)) need("timeframe", timeframe.start && timeframe.end);
  return lacks;
}

/** The first collection that a question names. */
export function collectionOf(question: Json): string {
  const parts = [question, ...EVENTS.map((name) => question[name] ?? {}), ...(question.events ?? []), ...Object.values({ ...(question.steps ?? question.series) })];
  return (parts as Json[]).map((one) => one.event_collection).find(Boolean) ?? "";
}

const FRAME = { retention: "this_8_weeks", lifecycle: "this_8_weeks", stickiness: "this_30_days" } as Record<string, string>;

/** Where a form begins: as plain as it can be asked. `actor` is the property that seems to say who. */
export function begin(analysis: string, collection: string, actor: string, given: { timeframe: unknown; timezone: string; filters: Json[] }): Own {
  const event = { event_collection: collection };
  const who = actor ? { actor_property: actor } : {};
  const usual = given.timeframe === "this_14_days" || !given.timeframe;
  const when = { timeframe: (usual && FRAME[analysis]) || given.timeframe || "this_14_days", timezone: given.timezone };
  const filters = given.filters.length ? { filters: given.filters } : {};
  const shapes: Record<string, Own> = {
    funnel: { order: "ordered", steps: [event, { event_collection: "" }], times: true, ...who, ...filters },
    retention: { starting_event: event, ...who, ...filters, interval: "weekly" },
    lifecycle: { ...event, ...who, ...filters, interval: "weekly" },
    stickiness: { ...event, ...who, ...filters },
    sessions: { ...event, ...who, ...filters },
    paths: { ...event, ...who, ...filters },
    series: { series: { A: { ...event, analysis_type: "count" } }, interval: "daily", ...filters },
  };
  return { ...shapes[analysis]!, ...when };
}

const IDS = [/(^|\.)(user|visitor|customer|person|account|member|actor|client)(\.|_)?id$/i, /(^|\.)(user|visitor|customer|person|actor)$/i, /(^|\.)(anonymous_?id|uid|uuid|email)$/i];

/** The property that most likely says who: empty where none looks like it. */
export function likelyActor(properties: readonly { name: string }[]): string {
  const names = properties.map(({ name }) => name).filter((name) => !name.startsWith("keen."));
  for (const pattern of IDS) {
    const found = names.find((name) => pattern.test(name));
    if (found) return found;
  }
  return "";
}

/** The path that an error of the API names: `steps[1].max_gap`; empty where it names none. */
export function pathIn(message: string): string {
  return /'([^']+)'/.exec(message)?.[1] ?? "";
}

/** Whether an error at `path` is about the field `name`, or about something in it. */
export const isAt = (path: string, name: string): boolean =>
  path === name || (path.startsWith(name) && /[.[]/.test(path.charAt(name.length)));
