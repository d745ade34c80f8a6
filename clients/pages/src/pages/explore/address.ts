/** The explorer's state as an address: it can be shared, and the browser's back button goes through it. */
import type { Question, SavedQuery } from "acumen-client";
import { here } from "../../router.ts";
import { withFrameOf } from "./frames.ts";

export interface Asked {
  question: Question | null;
  /** A chart's type; empty: what suits the answer. */
  type: string;
  view: string;
  /** The name of the saved query that was opened. */
  saved: string;
}

/** How many questions may stand side by side. */
export const SLOTS = [1, 2, 3, 4] as const;

const LINKED = "linked";

/** The name of a parameter of one of several questions: `q`, `q2`. */
const named = (name: string, at: number) => (at === 1 ? name : `${name}${at}`);

export function askedIn(query: URLSearchParams, at = 1): Asked {
  let question: Question | null = null;
  try {
    const read: unknown = JSON.parse(query.get(named("q", at)) ?? "null");
    if (read && typeof read === "object" && "analysis_type" in read) question = read as Question;
  } catch {
    // Somebody has cut the address: it is as if there was none.
  }
  return {
    question,
    type: query.get(named("type", at)) ?? "",
    view: query.get(named("view", at)) ?? "chart",
    saved: query.get(named("saved", at)) ?? "",
  };
}

/** Whether all questions have the same timeframe. */
export const areLinked = (query: URLSearchParams) => query.get(LINKED) === "1";

/** The address with one question changed, or taken away; the others stay, but for a timeframe that all share. */
export function withAsked(asked: Asked | null, at: number, { path, query } = here()): string {
  write(query, asked, at);
  if (asked?.question && areLinked(query)) {
    for (const other of SLOTS) {
      const one = askedIn(query, other);
      if (other !== at && one.question) write(query, { ...one, question: withFrameOf(one.question, asked.question) }, other);
    }
  }
  if (!SLOTS.some((other) => other > 1 && query.has(named("q", other)))) query.delete(LINKED);
  return `${path}?${query}`;
}

export function withLink(linked: boolean): string {
  const { path, query } = here();
  if (linked) query.set(LINKED, "1");
  else query.delete(LINKED);
  const { question } = askedIn(query);
  return linked && question ? withAsked(askedIn(query), 1, { path, query }) : `${path}?${query}`;
}

function write(query: URLSearchParams, asked: Asked | null, at: number): void {
  const { question = null, type = "", view = "chart", saved = "" } = asked ?? {};
  const values = { q: question ? JSON.stringify(question) : "", type, view: view === "chart" ? "" : view, saved };
  for (const [name, value] of Object.entries(values)) {
    if (value) query.set(named(name, at), value);
    else query.delete(named(name, at));
  }
}

/** Take a question away; those after it move up. */
export function without(at: number): string {
  const { path, query } = here();
  const kept = SLOTS.filter((one) => one !== at).map((one) => askedIn(query, one));
  for (const one of SLOTS) write(query, kept[one - 1] ?? null, one);
  if (!kept[1]?.question) query.delete(LINKED);
  return `${path}?${query}`;
}

export function addressOf({ question, type, view, saved }: Asked, path = here().path): string {
  const query = new URLSearchParams();
  if (question) query.set("q", JSON.stringify(question));
  if (type) query.set("type", type);
  if (view !== "chart") query.set("view", view);
  if (saved) query.set("saved", saved);
  return `${path}?${query}`;
}

export function exploreSaved(to: (...parts: string[]) => string, { query, query_name, metadata }: SavedQuery): string {
  const set = Object.entries(query).filter(([, value]) => value !== null);
  const { type: said, chart_type }: Record<string, unknown> = metadata?.visualization ?? {};
  const type = said ?? chart_type;
  const question = Object.fromEntries(set) as Question;
  const asked = { question, type: typeof type === "string" ? type : "", view: "chart", saved: query_name };
  return addressOf(asked, to("explore"));
}
