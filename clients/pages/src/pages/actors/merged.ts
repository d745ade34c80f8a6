/** Newest events of several collections as one list, as far back as all of them are known. */
import type { StoredEvent } from "acumen-client";

export interface Newest {
  collection: string;
  /** Newest first. */
  events: StoredEvent[];
  /** Whether there are none before these. */
  whole: boolean;
}

export interface Happening {
  collection: string;
  event: StoredEvent;
}

const timeOf = (event: StoredEvent) => instant(event.keen.timestamp);

/** Microseconds, which dates of browsers do not have. */
function instant(text: string): number {
  const digits = /\.(\d+)Z$/.exec(text)?.[1] ?? "";
  return Math.floor(Date.parse(text) / 1000) * 1_000_000 + Number(digits.padEnd(6, "0").slice(0, 6));
}

/** Before this, in µs, a collection that is not whole may have events that are not known. */
export function horizonOf(lists: readonly Newest[]): number {
  return Math.max(-Infinity, ...lists.filter(({ whole }) => !whole).map(({ events }) => (events.length ? timeOf(events.at(-1)!) : Infinity)));
}

export function merged(lists: readonly Newest[]): Happening[] {
  const horizon = horizonOf(lists);
  const all = lists.flatMap(({ collection, events }) => events.map((event) => ({ collection, event })));
  return all.filter(({ event }) => timeOf(event) >= horizon).sort((a, b) => timeOf(b.event) - timeOf(a.event));
}

/** The collections of which more must be known before older events can be shown. */
export function holdingUp(lists: readonly Newest[]): string[] {
  const horizon = horizonOf(lists);
  return lists.filter(({ whole, events }) => !whole && (!events.length || timeOf(events.at(-1)!) >= horizon)).map(({ collection }) => collection);
}
