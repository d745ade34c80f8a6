/** Recording whose outcome the caller waits for, and the queue of programs that are no pages. */
import { answerOf } from "./browser.ts";
import { eventOf, type Properties } from "./events.ts";
import type { CallOptions, Http } from "./http.ts";
import { createOutbox, type Outbox, type OutboxOptions } from "./outbox.ts";

/** An event that the server will never store. */
export interface Refusal {
  collection: string;
  /** Its place in the list that was given. */
  index: number;
  event: Properties;
  name: string;
  description: string;
}

export interface Outcome {
  stored: number;
  /** How many of these were stored before, by their tokens. */
  duplicates: number;
  refused: Refusal[];
}

/** Below the server's limits of 50,000 events and 10,000,000 bytes. */
const BATCH_EVENTS_MAX = 10_000;
const BATCH_BYTES_MAX = 4e6;

/** Send one event; it is stored when this returns. */
export async function record(
  http: Http,
  collection: string,
  event: Properties,
  options: CallOptions,
): Promise<void> {
  const body = eventOf([event], Date.now());
  await http.json("POST", http.path("events", collection), {
    key: "write",
    body,
    repeatable: true,
    signal: options.signal,
  });
}

/** Send many events, in as many requests as they need; one that fails ends it. */
export async function recordMany(
  http: Http,
  events: Readonly<Record<string, readonly Properties[]>>,
  options: CallOptions,
): Promise<Outcome> {
  const outcome: Outcome = { stored: 0, duplicates: 0, refused: [] };
  let batch: { collection: string; index: number; event: Properties }[] = [];
  let size = 0;
  const send = async (): Promise<void> => {
    if (!batch.length) return;
    const body: Record<string, Properties[]> = Object.create(null);
    for (const { collection, event } of batch) (body[collection] ??= []).push(event);
    const request = { key: "write", body, repeatable: true, signal: options.signal } as const;
    const answer = await http.json("POST", http.path("events"), request);
    const at: Record<string, number> = Object.create(null);
    for (const { collection, index, event } of batch) {
      at[collection] = (at[collection] ?? -1) + 1;
      const verdict = answer.body[collection][at[collection]!];
      if (verdict.success) outcome.stored++;
      else outcome.refused.push({ collection, index, event, ...verdict.error });
    }
    outcome.duplicates += Number(answer.headers.get("acumen-duplicates") ?? 0);
    batch = [];
    size = 0;
  };
  for (const [collection, list] of Object.entries(events)) {
    for (const [index, given] of list.entries()) {
      const event = eventOf([given], Date.now());
      const needed = JSON.stringify(event).length * 1.2 + collection.length;
      if (batch.length >= BATCH_EVENTS_MAX || size + needed > BATCH_BYTES_MAX) await send();
      batch.push({ collection, index, event });
      size += needed;
    }
  }
  await send();
  return outcome;
}

export interface SenderOptions {
  /** How long events are gathered before they are sent, in seconds; default 1. */
  flushSeconds?: number;
  /** How many events may wait; what comes then is dropped and told. Default 100,000. */
  queueEventsMax?: number;
  /** Bytes of the events that wait in memory; default 64 MB. */
  queueBytesMax?: number;
  /** How old a queued event may be to be still sent: below the server's ACUMEN_TOKEN_DAYS. Default 30. */
  eventAgeMaxDays?: number;
  /** How long the end of the program waits for the server, in seconds; default 5. */
  exitSeconds?: number;
  /** Told of each event that will never be sent; by default a warning in the console. */
  onDrop?: OutboxOptions["onDrop"];
  /** Told of each try that failed. */
  onTrouble?: OutboxOptions["onTrouble"];
  /** Where events outlive the program, as `openFileStore` makes one. */
  store?: OutboxOptions["store"];
}

/**
 * The queue of a program on Node, Deno, Bun or a server's worker: sent in the background and at its
 * end.
 */
export function createSender(http: Http, options: SenderOptions): Outbox {
  const key = http.key("write")!;
  const url = http.target.url.replace(/\/+$/, "") + http.path("events");
  const outbox = createOutbox({
    async post(body) {
      const headers = { Authorization: key, "Content-Type": "application/json" };
      const signal = AbortSignal.timeout(6e4);
      return answerOf(await (http.target.fetch ?? fetch)(url, { method: "POST", body, headers, signal }));
    },
    store: options.store,
    queueEventsMax: options.queueEventsMax ?? 100_000,
    queueBytesMax: options.queueBytesMax ?? 64e6,
    batchBytesMax: BATCH_BYTES_MAX,
    batchEventsMax: BATCH_EVENTS_MAX,
    eventAgeMaxDays: options.eventAgeMaxDays ?? 30,
    flushSeconds: options.flushSeconds ?? 1,
    onDrop:
      options.onDrop ??
      ((drop) => console.warn("Acumen: event not sent:", drop.reason, drop.message, drop.event)),
    onTrouble: options.onTrouble ?? (() => {}),
  });
  const milliseconds = (options.exitSeconds ?? 5) * 1e3;
  const { process } = globalThis as { process?: { once?(name: string, act: () => void): void } };
  // Nothing else is to be done by then; the requests keep the program alive until they are answered.
  process?.once?.("beforeExit", () => void outbox.close(milliseconds));
  return outbox;
}
