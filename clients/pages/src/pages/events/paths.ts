/** Properties of one event by their paths. */
import type { StoredEvent } from "acumen-client";

export interface PathValue {
  path: string;
  value: string | number | boolean;
}

const SHOWN_MAX = 40;

/** Undefined where the event has none. Clients name their properties: one may be called `constructor`. */
export function valueAt(event: StoredEvent, path: string): unknown {
  let value: unknown = event;
  for (const part of path.split(".")) {
    const has = typeof value === "object" && value !== null && Object.hasOwn(value, part);
    value = has ? (value as Record<string, unknown>)[part] : undefined;
  }
  return value;
}

/** The values that are no lists, without those that the server adds. */
export function valuesOf(event: StoredEvent): PathValue[] {
  const found: PathValue[] = [];
  const walk = (value: unknown, path: string) => {
    if (typeof value === "string" || typeof value === "number" || typeof value === "boolean") found.push({ path, value });
    else if (value && typeof value === "object" && !Array.isArray(value)) {
      for (const [name, inner] of Object.entries(value)) walk(inner, path ? `${path}.${name}` : name);
    }
  };
  const { keen: _, ...own } = event;
  walk(own, "");
  return found;
}

/** Whether it is a random text that says nothing to people: what differs otherwise comes before it. */
export const isRandom = (value: unknown) => typeof value === "string" && /^[0-9a-f-]{20,}$/i.test(value);

/** Paths that probably say who did it, the likeliest first. */
export function likelyActors(paths: readonly string[]): string[] {
  const rank = (path: string) => {
    const parts = path.toLowerCase().split(/[._]|(?<=[a-z])(?=[A-Z])/);
    const who = parts.some((part) => /^(user|customer|actor|person|account|member|visitor|userid)$/.test(part));
    const named = parts.some((part) => /^(id|uuid|guid|e?mail|userid|login)$/.test(part));
    return (who ? 2 : 0) + (named ? 1 : 0);
  };
  return paths.filter((path) => rank(path) > 0).sort((a, b) => rank(b) - rank(a));
}

export function shownValue(value: unknown): string {
  const text = typeof value === "string" ? value : JSON.stringify(value);
  return text.length > SHOWN_MAX ? `${text.slice(0, SHOWN_MAX)}…` : text === "" ? "(empty)" : text;
}
