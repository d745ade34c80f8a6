/** From a number of cohorts, life cycles and days to the actors that it counts: a funnel of sets says who they are. */
import type { Question, Timeframe } from "acumen-client";
import { inGroup, ofStep, type ActorWords, type Behind, type Place } from "./behind.ts";
import { dayIn } from "./days.ts";
import { dayAfter, midnight } from "./zones.ts";

type Json = Record<string, any>;

const LISTED = ["retention", "lifecycle", "stickiness"];

const none = (why: string): Behind => ({ kind: "none", why });

/** Null where a number counts no actors. */
export function ofActors(question: Question, place: Place): Behind | null {
  if (question.session && LISTED.includes(question.analysis_type))
    return none("What their sessions are like is told of one timeframe, and a list of actors has several. Filter and group by properties of events to see who they are.");
  switch (question.analysis_type) {
    case "retention":
      return ofCohort(question, place);
    case "lifecycle":
      return ofLife(question, place);
    case "stickiness":
      return ofDay(question, place);
    case "paths":
      return none("Paths say how many go where, not who. A funnel of the same steps says who.");
    case "sessions":
      return none("Sessions are counted, not listed. A filter and a timeline show those of one actor.");
    default:
      return null;
  }
}

/** Who did an event of this kind in a time, or did not. */
function step(question: Json, event: Json, timeframe: unknown, more: Json = {}): Json {
  const filters = [...(question.filters ?? []), ...(event.filters ?? []), ...(more.filters ?? [])];
  const actor_property = event.actor_property ?? question.actor_property;
  const { inverted } = more;
  return { event_collection: event.event_collection, ...(actor_property && { actor_property }), filters, timeframe, ...(inverted && { inverted }) };
}

/** Those of the last step of a funnel without an order. */
function listed({ timezone, week_start }: Json, steps: Json[], words: ActorWords): Behind {
  const asked = { analysis_type: "funnel", ...(timezone !== undefined && { timezone }), ...(week_start && { week_start }), steps };
  const found = ofStep(asked, steps.length - 1);
  const first = ofStep(asked, 0);
  if (found.kind === "none" || first.kind === "none") return found;
  // Who did not do the last one has events of the first.
  const shown = steps.at(-1)!.inverted ? { ...found, not: null, events: first.events } : found;
  return { ...shown, words };
}

function ofCohort(question: Json, place: Place): Behind {
  const { starting_event: start, returning_event, cohort, first_in, returned, brackets, period_type, group_by } = question;
  const { timeframe, within, whole } = place;
  if (group_by) return none("Of groups the cohorts stand together here. Ask for one group, by a filter, to see who is behind its numbers.");
  if (!timeframe || !whole) return none("This stands for all cohorts together. Choose a number of one of them.");
  if (period_type === "rolling") return none("Each actor has periods of its own here, which no timeframe says. With periods of the calendar they can be listed.");
  const [from] = (brackets?.[place.index] ?? [place.index]) as number[];
  if (from === 0 && returning_event) return none("Who came back within the starting period cannot be listed. Choose a later period.");
  if (!within) return none("This period is not whole.");
  const earlier = first_in === "history" ? { end: timeframe.start } : { start: whole.start, end: timeframe.start };
  const isFirst = first_in !== "history" && timeframe.start === whole.start;
  const first = cohort === "recurring" || isFirst ? [] : [step(question, start, earlier, { inverted: true })];
  const period = returned === "on_or_after" ? { start: within.start, end: whole.end } : within;
  const began = step(question, start, timeframe);
  const steps = from === 0 ? [...first.length ? [first[0]!] : [], began] : [began, ...first, step(question, returning_event ?? start, period)];
  // The first step of a funnel is never inverted.
  const ordered = steps[0]!.inverted ? [began, first[0]!] : steps;
  return listed(question, ordered, {
    about: "Actors of this cohort who were there in this period.",
    reached: "Who came back",
    lost: "Who started and did not",
    events: "Their kind of event in this period",
    nobody: "Nobody came back.",
  });
}

const LIFE: Record<string, string> = {
  new: "Active in this period, and never before.",
  returning: "Active in this period, and in the one before.",
  resurrected: "Active in this period and earlier, and not in the one before.",
  dormant: "Active in the period before, and not in this one.",
};

function ofLife(question: Json, place: Place): Behind {
  const { timeframe, within, whole, groups } = place;
  const entries = [question.group_by ?? []].flat() as (string | Json)[];
  const label = String(groups?.[entries.length] ?? "");
  const about = LIFE[label];
  if (question.events) return none("Who is active in several collections cannot be listed. Ask about one of them.");
  if (!timeframe || !groups || !about) return none("Choose one of the parts.");
  if (label !== "new" && !within) return none("The period before the first one is not part of the answer. Choose a later one, or a longer timeframe.");
  const ofGroup = entries.map((entry, at) => inGroup(entry, groups[at]));
  const did = (frame: unknown, inverted = false) => step(question, question, frame, { filters: ofGroup, ...(inverted && { inverted }) });
  const start = question.first_in === "timeframe" && whole ? { start: whole.start } : {};
  const isFirst = question.first_in === "timeframe" && whole?.start === timeframe.start;
  const steps: Record<string, () => Json[]> = {
    new: () => (isFirst ? [did(timeframe)] : [did(timeframe), did({ ...start, end: timeframe.start }, true)]),
    returning: () => [did(within), did(timeframe)],
    resurrected: () => [did(timeframe), did(within, true), did({ ...start, end: within!.start })],
    dormant: () => [did(within), did(timeframe, true)],
  };
  return listed(question, steps[label]!(), { about, reached: "Who they are", lost: "Others", events: "Events", nobody: "Nobody." });
}

/** Who came on a day, or in the days that end with it. */
function ofDay(question: Json, place: Place): Behind {
  const { timeframe, groups } = place;
  const label = String(groups?.[0] ?? "");
  const days = { dau: 1, wau: 7, mau: question.month_days ?? 30 }[label] as number | undefined;
  if (question.events) return none("Who is active in several collections cannot be listed. Ask about one of them.");
  if (!timeframe || !days) return none("This is computed of others. Choose the actors of a day, a week or a month.");
  const zone: unknown = question.timezone ?? "UTC";
  if (typeof zone !== "string") return none("Days of a zone without a name cannot be listed.");
  const day = dayIn(zone, timeframe.start);
  // Days of an absolute timeframe may begin by another clock than the zone's.
  const isOfZone = Date.parse(midnight(day, zone)) === Date.parse(timeframe.start);
  const earlier = () => new Date(Date.parse(timeframe.start) - (days - 1) * 86_400_000).toISOString();
  const frame: Timeframe = { start: isOfZone ? midnight(dayAfter(day, 1 - days), zone) : earlier(), end: timeframe.end };
  const about = days === 1 ? "Who was active on this day." : `Who was active in the ${days} days that end with this one.`;
  return listed(question, [step(question, question, frame)], { about, reached: "Who they are", lost: "", events: "Their events", nobody: "Nobody." });
}
