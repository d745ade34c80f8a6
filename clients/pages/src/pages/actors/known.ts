/** What is known of one actor: in which collections, how often, since when, and the newest events. */
import type { Acumen, Filter, StoredEvent } from "acumen-client";
import { useEffect, useRef, useState } from "preact/hooks";
import { useHere } from "../../context.ts";
import { schemaOf } from "../../schema.ts";
import type { Actor } from "./address.ts";
import { holdingUp, type Newest } from "./merged.ts";

const AT_ONCE = 3;
const FIRST = 50;
const MORE = 4;
const NEWEST_MAX = 20_000;

export interface Part extends Newest {
  count: number;
  first: string | null;
  last: string | null;
}

export interface Known {
  /** Those with events of the actor, the one with most first. */
  parts: Part[];
  /** How many collections have the property, and how many of these were looked at. */
  of: number;
  looked: number;
  failed: { collection: string; error: unknown }[];
  error: unknown;
  busy: boolean;
}

export const filtersOf = ({ property, value }: Actor): Filter[] => [
  { property_name: property, operator: "eq", property_value: value },
];

const NOTHING: Known = { parts: [], of: 0, looked: 0, failed: [], error: null, busy: true };

/** Asked collection by collection, some at once: what comes is shown at once. */
export function useActor(actor: Actor, mayExtract: boolean): Known & { more: () => void; reload: () => void } {
  const { client } = useHere();
  const [known, setKnown] = useState<Known>(NOTHING);
  const [turn, setTurn] = useState(0);
  const running = useRef(new AbortController());
  const latest = useRef(known);
  latest.current = known;
  const start = () => {
    running.current.abort(new DOMException("", "AbortError"));
    running.current = new AbortController();
    return running.current.signal;
  };
  useEffect(() => {
    const signal = start();
    setKnown(NOTHING);
    const change = (patch: (now: Known) => Partial<Known>) => signal.aborted || setKnown((now) => ({ ...now, ...patch(now) }));
    const run = async () => {
      const schema = await schemaOf(client, signal);
      const names = schema.filter(({ properties }) => properties.some(({ name }) => name === actor.property)).map(({ name }) => name);
      change(() => ({ of: names.length }));
      await eachOf(names, async (collection) => {
        try {
          const part = await partOf(client, collection, actor, mayExtract, signal);
          change(({ parts, looked }) => ({ parts: part ? [...parts, part].sort(byCount) : parts, looked: looked + 1 }));
        } catch (error) {
          change(({ failed, looked }) => ({ failed: [...failed, { collection, error }], looked: looked + 1 }));
        }
      });
      change(() => ({ busy: false }));
    };
    run().catch((error: unknown) => change(() => ({ error, busy: false })));
    return () => running.current.abort(new DOMException("", "AbortError"));
  }, [client, actor.property, JSON.stringify(actor.value), turn]);
  const more = () => {
    const { signal } = running.current;
    const names = holdingUp(latest.current.parts);
    setKnown((now) => ({ ...now, busy: true }));
    const done = eachOf(names, async (collection) => {
      const part = latest.current.parts.find((one) => one.collection === collection)!;
      const wanted = Math.min(NEWEST_MAX, part.events.length * MORE);
      const newest = await newestOf(client, collection, actor, wanted, signal);
      if (signal.aborted) return;
      setKnown((now) => ({ ...now, parts: now.parts.map((one) => (one.collection === collection ? { ...one, ...newest } : one)) }));
    });
    done.then(
      () => signal.aborted || setKnown((now) => ({ ...now, busy: false })),
      (error: unknown) => signal.aborted || setKnown((now) => ({ ...now, error, busy: false })),
    );
  };
  return { ...known, more, reload: () => setTurn((before) => before + 1) };
}

const byCount = (a: Part, b: Part) => b.count - a.count || (a.collection < b.collection ? -1 : 1);

async function eachOf(names: readonly string[], run: (name: string) => Promise<void>): Promise<void> {
  let next = 0;
  const lane = async () => {
    while (next < names.length) await run(names[next++]!);
  };
  await Promise.all(Array.from({ length: Math.min(AT_ONCE, names.length) }, lane));
}

/** Null where the actor did nothing. */
async function partOf(client: Acumen, collection: string, actor: Actor, mayExtract: boolean, signal: AbortSignal): Promise<Part | null> {
  const filters = filtersOf(actor);
  const count = (await client.query("count", { event_collection: collection, filters }, { signal })).result as number;
  if (!count) return null;
  const [first, last] = await Promise.all([edgeOf(client, collection, filters, "ASC", signal), edgeOf(client, collection, filters, "DESC", signal)]);
  const newest = mayExtract ? await newestOf(client, collection, actor, FIRST, signal) : { events: [], whole: true };
  return { collection, count, first, last, ...newest };
}

/** The first or last time; null where there are too many to tell. */
async function edgeOf(client: Acumen, event_collection: string, filters: Filter[], direction: "ASC" | "DESC", signal: AbortSignal): Promise<string | null> {
  const time = "keen.timestamp";
  const asked = { event_collection, filters, group_by: time, order_by: { property_name: time, direction }, limit: 1 };
  try {
    const { result } = await client.query<Record<string, string>[]>("count", asked, { signal });
    return result[0]?.[time] ?? null;
  } catch (error) {
    if (signal.aborted) throw error;
    return null;
  }
}

async function newestOf(client: Acumen, event_collection: string, actor: Actor, latest: number, signal: AbortSignal) {
  const asked = { event_collection, filters: filtersOf(actor), latest };
  const events = (await client.query<StoredEvent[]>("extraction", asked, { signal })).result;
  return { events, whole: events.length < latest };
}
