/** Definitions of cohorts in the form: what is said of how often, what is missing, what was pasted. */

type Json = Record<string, any>;

export type How = "at_least" | "at_most" | "exactly" | "between" | "never" | "in_cohort" | "not_in_cohort";

const COUNTS = ["at_least", "at_most", "exactly", "in_cohort", "not_in_cohort"];

/** How a condition says how often something was done. */
export function howOf(condition: Json): How {
  const { at_least: least, at_most: most } = condition;
  if (condition.in_cohort) return "in_cohort";
  if (condition.not_in_cohort) return "not_in_cohort";
  if (condition.exactly === 0 || (most === 0 && !least)) return "never";
  if (condition.exactly !== undefined) return "exactly";
  if (most !== undefined) return least ? "between" : "at_most";
  return "at_least";
}

/** The condition, said in another way. Whether it is in a cohort stands alone; other ways keep what else was said. */
export function asHow(condition: Json, how: How, collection: string, cohort: string): Json {
  if (how === "in_cohort" || how === "not_in_cohort") return { [how]: condition.in_cohort ?? condition.not_in_cohort ?? cohort };
  const kept = Object.fromEntries(Object.entries(condition).filter(([name]) => !COUNTS.includes(name)));
  const of = { event_collection: collection, ...kept };
  const number = (condition.exactly || condition.at_least || condition.at_most || 1) as number;
  if (how === "never") return { ...of, at_most: 0 };
  if (how === "between") return { ...of, at_least: number, at_most: Math.max(number, condition.at_most || 2 * number) };
  return { ...of, [how]: number };
}

/** What is still to be said, in words; null where the definition can be sent. */
export function lacking(definition: Json): string | null {
  const { actors, funnel } = definition;
  if (actors) return actors.length ? null : "Paste the actors, one in each line.";
  if (funnel) return funnel.steps.every((one: Json) => one.event_collection) ? null : "Choose a collection for each step.";
  const all: Json[] = [...(definition.all ?? []), ...(definition.any ?? [])];
  if (!all.length) return "Say what they did.";
  return all.every((one) => one.event_collection || one.in_cohort || one.not_in_cohort) ? null : "Choose a collection or a cohort for each condition.";
}

/** Without filters that are not whole yet, and without what says nothing. */
export function tidied(value: any): any {
  if (Array.isArray(value)) return value.map(tidied);
  if (value === null || typeof value !== "object") return value;
  const entries = Object.entries(value as Json).filter(([, one]) => one !== undefined && one !== "");
  return Object.fromEntries(
    entries.map(([name, one]) => {
      if (name !== "filters" || !Array.isArray(one)) return [name, name === "property_value" ? one : tidied(one)];
      return [name, one.filter((filter) => filter.operator === "or" || /_cohort$/.test(filter.operator) || (filter.property_name && filter.property_value !== undefined && filter.property_value !== ""))];
    }),
  );
}

/** The actors of pasted lines, each once: the first cell of a line with several. */
export function actorsIn(text: string, numbers: boolean): (string | number)[] {
  const lines = text.split(/[\r\n]+/).map((line) => line.split(/[\t;,]/, 1)[0]!.trim().replace(/^"(.*)"$/, "$1")).filter(Boolean);
  return [...new Set(lines.map((line) => (numbers && Number.isFinite(Number(line)) ? Number(line) : line)))];
}

const OF_FUNNELS = ["steps", "order", "window", "equal_times", "exclusions", "actor_property", "timeframe"];
/** Of a funnel, what says only how it is shown. */
const OF_ANSWERS = ["analysis_type", "times", "group_by", "attribution", "interval", "explain_actor", "explain", "max_age", "timezone", "week_start", "filters", "include_metadata"];
const OF_SHOWN_STEPS = ["with_actors", "with_dropped"];

/** Those of a funnel's step as a cohort; null where the funnel says what a cohort cannot. */
export function ofStep(funnel: Json, step: number, dropped: boolean): Json | null {
  const { filters = [], timezone, ...rest } = funnel;
  const given = Object.entries(rest).filter(([name, value]) => value !== undefined && value !== null && !OF_ANSWERS.includes(name));
  if (!given.every(([name]) => OF_FUNNELS.includes(name))) return null;
  const steps = (funnel.steps as Json[]).map((one) => {
    const shown = Object.entries(one).filter(([name, value]) => value !== null && !OF_SHOWN_STEPS.includes(name));
    const own = Object.fromEntries(shown) as Json;
    // What the funnel says for steps that say nothing.
    const filtered = own.filters?.length ? own.filters : filters;
    return { ...(timezone && { timezone }), ...own, ...(filtered.length && { filters: filtered }) };
  });
  const said = { ...Object.fromEntries(given), steps, step: step + 1, ...(dropped && { dropped }) };
  const actor = [steps[0]!.actor_property ?? funnel.actor_property].flat()[0];
  return { ...(actor && { actor_property: actor }), funnel: said };
}
