/** The explorer's state as an address: it can be shared, and the browser's back button goes through it. */
import type { Question, SavedQuery } from "acumen-client";
import { here } from "../../router.ts";

export interface Asked {
  question: Question | null;
  /** A chart's type; empty: what suits the answer. */
  type: string;
  view: string;
  /** The name of the saved query that was opened. */
  saved: string;
}

export function askedIn(query: URLSearchParams): Asked {
  let question: Question | null = null;
  try {
    const read: unknown = JSON.parse(query.get("q") ?? "null");
    if (read && typeof read === "object" && "analysis_type" in read) question = read as Question;
  } catch {
    // Somebody has cut the address: it is as if there was none.
  }
  return {
    question,
    type: query.get("type") ?? "",
    view: query.get("view") ?? "chart",
    saved: query.get("saved") ?? "",
  };
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
  const type: unknown = metadata?.visualization?.type;
  const question = Object.fromEntries(set) as Question;
  const asked = { question, type: typeof type === "string" ? type : "", view: "chart", saved: query_name };
  return addressOf(asked, to("explore"));
}
