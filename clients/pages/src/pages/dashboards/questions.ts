/** The questions of tiles: what they are called, and where the explorer shows them. */
import type { Question, SavedQuery } from "acumen-client";
import { saidBriefly } from "../../question.ts";
import { addressOf, exploreSaved } from "../explore/address.ts";
import { titleOf } from "../saved.tsx";
import type { Json } from "./store.ts";

const WITHOUT_ANSWER = ["text", "image", "date-picker", "filter"];

export const isQuestion = (value: unknown): value is Question =>
  typeof value === "object" && value !== null && typeof (value as Json).analysis_type === "string";

type To = (...parts: string[]) => string;

/** The explorer's address of a tile's question; null where it has none, or it is saved no more. */
export function exploreTile({ query, type }: Json, saved: readonly SavedQuery[], to: To): string | null {
  if (WITHOUT_ANSWER.includes(type)) return null;
  if (isQuestion(query)) return addressOf({ question: query, type: "", view: "chart", saved: "" }, to("explore"));
  const found = saved.find((one) => one.query_name === query);
  return found ? exploreSaved(to, found) : null;
}

export function exploreTiles(document: Json, saved: readonly SavedQuery[], to: To) {
  const widgets: Json[] = Array.isArray(document.widgets) ? document.widgets.filter(Boolean) : [];
  return widgets.flatMap((widget, at) => {
    const href = exploreTile(widget, saved, to);
    return href ? [{ id: String(at), title: tileName(widget, saved), href }] : [];
  });
}

export function tileName(widget: Json, saved: readonly SavedQuery[]): string {
  const { title, type, query, settings } = widget;
  if (typeof title === "string" && title) return title;
  if (type === "text") return "Text";
  if (type === "image") return "Image";
  if (typeof settings?.title === "string" && settings.title) return settings.title;
  if (isQuestion(query)) return saidBriefly(query);
  const found = saved.find((one) => one.query_name === query);
  return found ? titleOf(found) : typeof query === "string" ? query : "Chart";
}

/** What the tile of a drawn chart is called. */
export function chartName(chart: Element, saved: readonly SavedQuery[]): string {
  const [title, query, name] = ["title", "query", "saved-query"].map((one) => chart.getAttribute(one));
  return tileName({ title, query: query ? JSON.parse(query) : name }, saved);
}
