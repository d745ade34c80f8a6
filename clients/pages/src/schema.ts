/** What there is in a project: collections, and properties with their types. */
import type { Acumen } from "acumen-client";
import { viewersZone } from "./zones.ts";

export interface Property {
  name: string;
  type: string;
}

export interface CollectionSchema {
  name: string;
  properties: Property[];
}

const TYPES: Record<string, string> = {
  num: "number",
  string: "text",
  bool: "true or false",
  list: "list",
  datetime: "time",
  geo: "place",
  null: "nothing yet",
};

export const typeName = (type: string): string => TYPES[type] ?? type;

export async function schemaOf(client: Acumen, signal: AbortSignal): Promise<CollectionSchema[]> {
  const listed = await client.collections.list({ signal });
  return listed.map(({ name, properties = {} }) => ({
    name,
    properties: Object.entries(properties)
      .map(([property, type]) => ({ name: property, type }))
      // What was sent, before what the server adds.
      .sort((a, b) => rank(a.name) - rank(b.name) || (a.name < b.name ? -1 : 1)),
  }));
}

const rank = (name: string) => (name.startsWith("keen.") ? 1 : 0);

/** Where values of a property of any collection are suggested from: the first that has it. */
export function valuesFrom(schema: readonly CollectionSchema[]) {
  return (name: string) => ({
    event_collection: schema.find(({ properties }) => properties.some((one) => one.name === name))?.name ?? "",
    timeframe: "",
    timezone: viewersZone(),
  });
}
