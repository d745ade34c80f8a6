/** Addresses of the explorer with a question about a collection or a property. */
import type { Property } from "../../schema.ts";
import { viewersZone } from "../../zones.ts";

export function exploring(page: string, question: object): string {
  const whole = { ...question, timeframe: "this_14_days", timezone: viewersZone() };
  return `${page}?q=${encodeURIComponent(JSON.stringify(whole))}`;
}

/** What somebody wants to know of a property first. */
export function questionAbout(event_collection: string, { name, type }: Property): object {
  if (type === "num") return { analysis_type: "average", event_collection, target_property: name, interval: "daily" };
  if (type === "datetime" || type === "geo") return { analysis_type: "count_unique", event_collection, target_property: name };
  const order_by = { property_name: "result", direction: "DESC" };
  return { analysis_type: "count", event_collection, group_by: [name], order_by, limit: 25 };
}
