/** Properties of any collection, and values as their types have them. */
import type { CollectionSchema, Property } from "../../schema.ts";

/** The properties of all collections, each once. */
export function allProperties(schema: readonly CollectionSchema[]): Property[] {
  const found = new Map<string, Property>();
  for (const one of schema.flatMap(({ properties }) => properties)) if (!found.has(one.name)) found.set(one.name, one);
  return [...found.values()];
}

/** What was typed, as the property's type has it. */
export function typed(text: string, type: string | undefined): unknown {
  if (type === "num" && text.trim() !== "" && Number.isFinite(Number(text))) return Number(text);
  if (type === "bool" && /^(true|false)$/.test(text)) return text === "true";
  return text;
}
