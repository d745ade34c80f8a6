/** What tells events of one collection apart. */
import { isRandom, valuesOf, type PathValue } from "../events/paths.ts";
import type { Happening } from "./merged.ts";

const TOLD_MAX = 3;

/**
 * For each of the events the values to show: those of properties that differ within its collection, and where
 * none does, or it is the only one, the first that it has.
 */
export function tellingOf(happenings: readonly Happening[], actor: string): (one: Happening) => PathValue[] {
  const seen = new Map<string, { events: number; paths: Map<string, { values: Set<unknown>; events: number }> }>();
  const own = ({ event }: Happening) => valuesOf(event).filter(({ path }) => path !== actor);
  for (const one of happenings) {
    const kind = seen.get(one.collection) ?? { events: 0, paths: new Map() };
    seen.set(one.collection, kind);
    kind.events++;
    for (const { path, value } of own(one)) {
      const known = kind.paths.get(path) ?? { values: new Set(), events: 0 };
      kind.paths.set(path, known);
      known.values.add(value);
      known.events++;
    }
  }
  return (one) => {
    const { events, paths } = seen.get(one.collection)!;
    // One that some events lack tells them apart too.
    const differs = ({ path }: PathValue) => paths.get(path)!.values.size > 1 || paths.get(path)!.events < events;
    const rank = (given: PathValue) => (differs(given) ? 0 : 2) + (isRandom(given.value) ? 1 : 0);
    const ordered = own(one).sort((a, b) => rank(a) - rank(b));
    const apart = ordered.filter(differs);
    return (apart.length ? apart : ordered).slice(0, TOLD_MAX);
  };
}

/** Says of an event whether another of its collection was in the same second. */
export function crowded(happenings: readonly Happening[]): (one: Happening) => boolean {
  const second = ({ collection, event }: Happening) => `${collection} ${Math.floor(Date.parse(event.keen.timestamp) / 1000)}`;
  const counts = new Map<string, number>();
  for (const one of happenings) counts.set(second(one), (counts.get(second(one)) ?? 0) + 1);
  return (one) => counts.get(second(one))! > 1;
}
