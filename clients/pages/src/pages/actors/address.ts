/** The address of an actor's timeline: which property names the actor, and its value, of any type. */

export interface Actor {
  property: string;
  value: string | number | boolean;
}

export function timelineAddress(to: (...parts: string[]) => string, property: string, value: unknown): string {
  return `${to("actors", property)}?value=${encodeURIComponent(JSON.stringify(value))}`;
}

export function actorIn(property: string, query: URLSearchParams): Actor | null {
  const text = query.get("value");
  if (!property || text === null) return null;
  let value: unknown = text;
  try {
    value = JSON.parse(text);
  } catch {
    // Typed by hand without quotes: a text.
  }
  return ["string", "number", "boolean"].includes(typeof value) ? { property, value: value as Actor["value"] } : null;
}
