/** Properties of sessions in a question: what the sessions are, said so that it holds in another question too. */
import type { Question } from "acumen-client";

type Json = Record<string, any>;

const EVENTS = ["starting_event", "returning_event", "from", "to"];
const LISTS = ["steps", "exclusions", "events"];

const isObject = (value: unknown): value is Json => typeof value === "object" && value !== null && !Array.isArray(value);

/** Whether a filter or a group in it names what a session is like. */
export function namesSessions(value: unknown): boolean {
  if (Array.isArray(value)) return value.some(namesSessions);
  return isObject(value) && (typeof value.session === "string" || Object.entries(value).some(([name, one]) => name !== "property_value" && namesSessions(one)));
}

/** The different collections that a question names. */
function collectionsOf(question: Json): string[] {
  const parts = [question, ...EVENTS.map((name) => question[name]), ...LISTS.flatMap((name) => question[name] ?? []), ...Object.values(question.series ?? {})];
  const names = parts.filter(isObject).map((one) => one.event_collection);
  return [...new Set(names.filter((name) => typeof name === "string" && name))] as string[];
}

/** The question with all that its sessions are by default; without `session` where none of its filters or groups needs it. */
export function withSessions(question: Question): Question {
  const { session, ...rest } = question as Json;
  if (!namesSessions(rest)) return rest as Question;
  const { events, ...given }: Json = isObject(session) ? session : {};
  const own = Array.isArray(events) && events.length ? events : collectionsOf(rest).map((event_collection) => ({ event_collection }));
  const actor = given.actor_property ?? rest.actor_property;
  return { ...rest, session: { ...given, ...(actor && { actor_property: actor }), events: own } } as unknown as Question;
}
