/**
 * The queue of recorded events and its sender, the same on every platform.
 *
 * An event stays in the queue until the server has given its verdict. Whatever is sent twice on the way
 * (after an answer that got lost, by two tabs at once) is stored once, by the event's uniqueness token. The
 * server keeps a token for 31 days unless its operator chose another time, so an event that waited longer is
 * reported, not sent.
 */

/** An event as it waits: its JSON text, made when it was recorded. */
export interface Entry {
  /** Collection. */
  c: string;
  /** The event's JSON. */
  e: string;
  /** When it was recorded, in milliseconds since 1970. */
  t: number;
}

/** Where entries outlive the process. All calls may fail: an entry that is not kept stays in memory. */
export interface Store {
  /** Keep an entry; its key, or null where the store is full. */
  add(entry: Entry): Promise<IDBValidKey | null>;
  /** The oldest entries with their keys, `max` at most. */
  read(max: number): Promise<[IDBValidKey, Entry][]>;
  remove(keys: IDBValidKey[]): Promise<void>;
}

export interface Answer {
  status: number;
  /** The body, parsed; undefined where it is no JSON. */
  json: any;
  /** Milliseconds that the server asks to wait. */
  wait?: number | undefined;
}

export type DropReason = "refused" | "too_large" | "expired" | "queue_full" | "not_json" | "closed";

/** An event that will never be sent, and why. */
export interface Drop {
  reason: DropReason;
  message: string;
  collection: string;
  /** The event as it would have been sent; null where it has no JSON. */
  event: any;
}

/** What keeps events from being sent for now: they are kept and sent later. */
export interface Trouble {
  /** HTTP status, 0 where no answer came. */
  status: number;
  code: string;
  message: string;
}

export interface OutboxOptions {
  post(body: string, bytes: number, leaving: boolean): Promise<Answer>;
  store?: Promise<Store | undefined> | undefined;
  /** Run the job while no other tab runs one. */
  exclusive?: (job: () => Promise<void>) => Promise<void>;
  /** Until when nothing may be sent: read, or set where it is given. Shared by tabs. */
  hold?: (until?: number) => number;
  /** Whether events may be sent at all. */
  allowed?: () => boolean;
  queueEventsMax: number;
  queueBytesMax: number;
  batchBytesMax: number;
  batchEventsMax: number;
  eventAgeMaxDays: number;
  flushSeconds: number;
  onDrop: (drop: Drop) => void;
  onTrouble: (trouble: Trouble) => void;
}

export interface Outbox {
  /** Queue an event; never throws. */
  add(collection: string, make: () => object): void;
  /** Send what waits, unless the server asked to wait; true where nothing is left. */
  flush(): Promise<boolean>;
  /** Send, as a page that goes away, what has had no answer yet. */
  leave(): void;
  /** Forget all events; whether none was recorded meanwhile. */
  clear(): Promise<boolean>;
  /** Look for events at once, though the last try found no network. */
  wake(): void;
  /**
   * Flush until nothing is left or the time is over; what is left then is reported, unless it is
   * stored.
   */
  close(milliseconds: number): Promise<void>;
}

interface Item extends Entry {
  /** Its length in bytes, with room for a comma. */
  n: number;
  /** Its key in the store, once it is there. */
  k?: IDBValidKey;
  /** Being sent. */
  busy?: boolean;
}

const READ_MAX = 250;
const RETRY_FIRST = 1e3;
const RETRY_MAX = 3e5;
const EVENT_BYTES_MAX = 9e5;
const PERMANENT = /^Invalid(Collection|Property)(Name|Value)Error$/;

const NAMELESS = "a collection needs a name, as text";

const encoder = new TextEncoder();
const named = (collection: unknown): boolean => typeof collection === "string" && !!collection;
export const bytesOf = (text: string): number => encoder.encode(text).length;

export function createOutbox(options: OutboxOptions): Outbox {
  const { post, onDrop, batchBytesMax, batchEventsMax } = options;
  const allowed = options.allowed ?? (() => true);
  const exclusive = options.exclusive ?? ((job) => job());
  let heldUntil = 0;
  const hold = options.hold ?? ((until) => (until === undefined ? heldUntil : (heldUntil = until)));
  /** The events of this process that have no verdict yet. */
  const items = new Set<Item>();
  const saves = new Set<Promise<void>>();
  /** Keys of what has its verdict and could not be removed from the store. */
  const gone = new Set<IDBValidKey>();
  let bytes = 0;
  let failures = 0;
  let offline = false;
  let running: Promise<boolean> | undefined;
  let timer: any;
  let timerAt = Infinity;

  const drop = (item: Pick<Entry, "c" | "e">, reason: DropReason, message: string): void => {
    let event = null;
    try {
      event = JSON.parse(item.e);
    } catch {
      // Not what this wrote into the store.
    }
    try {
      onDrop({ reason, message, collection: String(item.c), event });
    } catch {
      // What a callback throws is not the sender's affair.
    }
  };

  const forget = (item: Item): void => {
    if (items.delete(item)) bytes -= item.n;
  };

  const schedule = (milliseconds: number): void => {
    const at = Date.now() + milliseconds;
    if (at >= timerAt) return;
    clearTimeout(timer);
    timerAt = at;
    timer = setTimeout(() => {
      timerAt = Infinity;
      void flush();
    }, milliseconds);
    // In Node a queue alone keeps no program running: what is left is sent at its end.
    timer.unref?.();
  };

  const add = (collection: string, make: () => object): void => {
    let text: string;
    try {
      text = JSON.stringify(make());
    } catch (error) {
      return drop({ c: collection, e: "null" }, "not_json", String(error));
    }
    if (!named(collection)) return drop({ c: collection, e: text }, "refused", NAMELESS);
    const item: Item = { c: collection, e: text, t: Date.now(), n: bytesOf(text) + 1 };
    if (item.n > EVENT_BYTES_MAX + 1) return drop(item, "too_large", item.n + " bytes");
    if (items.size >= options.queueEventsMax || bytes + item.n > options.queueBytesMax) {
      return drop(item, "queue_full", items.size + " events");
    }
    items.add(item);
    bytes += item.n;
    const saving = save(item).then(() => {
      saves.delete(saving);
    });
    saves.add(saving);
    schedule(options.flushSeconds * 1e3);
  };

  const save = async (item: Item): Promise<void> => {
    try {
      const store = await options.store;
      const key = await store?.add({ c: item.c, e: item.e, t: item.t });
      if (key === null) {
        // Full, but for one that has been sent meanwhile.
        if (items.has(item) && !item.busy) {
          forget(item);
          drop(item, "queue_full", "the stored queue");
        }
      } else if (key !== undefined) {
        item.k = key;
        // Answered before it was stored.
        if (!items.has(item)) await store!.remove([key]);
      }
    } catch {
      // It stays in memory.
    }
  };

  /** Take items out of the queue for good. */
  const settle = async (done: Item[]): Promise<void> => {
    done.forEach(forget);
    const keys = done.flatMap((item) => item.k ?? []);
    if (keys.length) {
      try {
        await (await options.store)!.remove(keys);
      } catch {
        // Another start of this program sends them again, and the server knows their tokens.
        keys.forEach((key) => gone.add(key));
      }
    }
  };

  /** Wait before the next try: as long as the server asks, else twice as long after each failure. False. */
  const postpone = (answer: Partial<Answer>, message: string): false => {
    const own = Math.min(RETRY_MAX, RETRY_FIRST * 2 ** failures++);
    const wait =
      answer.wait === undefined ? own * (0.5 + Math.random() / 2) : answer.wait * (1 + Math.random() / 10);
    offline = !answer.status;
    hold(Date.now() + wait);
    try {
      options.onTrouble({
        status: answer.status ?? 0,
        code: answer.json?.error_code ?? "",
        message: answer.json?.message ?? message,
      });
    } catch {
      // As above.
    }
    return false;
  };

  const batches = (all: Item[]): Item[][] => {
    const found: Item[][] = [];
    let size = Infinity;
    for (const item of all) {
      const needed = item.n + item.c.length + 9;
      size += needed;
      if (size > batchBytesMax || found[found.length - 1]!.length >= batchEventsMax) {
        found.push([]);
        size = needed;
      }
      found[found.length - 1]!.push(item);
    }
    return found;
  };

  /** Send a batch; whether every event of it got its verdict. */
  const send = async (batch: Item[], leaving = false): Promise<boolean> => {
    const byCollection = new Map<string, Item[]>();
    for (const item of batch) {
      item.busy = true;
      byCollection.set(item.c, [...(byCollection.get(item.c) ?? []), item]);
    }
    const lists = [...byCollection].map(
      ([name, list]) => JSON.stringify(name) + ":[" + list.map((i) => i.e) + "]",
    );
    const body = "{" + lists + "}";
    try {
      const answer = await post(body, bytesOf(body), leaving);
      const { status, json } = answer;
      if (status === 200) return await judge(byCollection, answer);
      if (status !== 413 && !(status === 400 && json?.error_code)) return postpone(answer, "HTTP " + status);
      if (batch.length > 1) {
        // One of them is to blame, or all together are too much for something in between.
        const middle = batch.length >> 1;
        return (await send(batch.slice(0, middle))) && (await send(batch.slice(middle)));
      }
      await settle(batch);
      drop(batch[0]!, status === 413 ? "too_large" : "refused", json?.message ?? "HTTP " + status);
      return true;
    } catch (error) {
      return postpone({}, String(error));
    } finally {
      for (const item of batch) item.busy = false;
    }
  };

  const judge = async (sent: Map<string, Item[]>, answer: Answer): Promise<boolean> => {
    const done: Item[] = [];
    const refused: [Item, any][] = [];
    let whole = true;
    for (const [name, list] of sent) {
      const verdicts = answer.json?.[name];
      list.forEach((item, index) => {
        const verdict = verdicts?.length === list.length && verdicts[index];
        if (verdict?.success === true) done.push(item);
        else if (verdict?.success === false && PERMANENT.test(verdict.error?.name)) {
          done.push(item);
          refused.push([item, verdict.error]);
        } else whole = false;
      });
    }
    await settle(done);
    for (const [item, error] of refused) drop(item, "refused", error.name + ": " + error.description);
    if (!whole) return postpone(answer, "not an answer of Acumen");
    failures = 0;
    return true;
  };

  /** What waits: the oldest of the store and what could not be stored. */
  const waiting = async (): Promise<Item[]> => {
    const known = new Map<IDBValidKey, Item>();
    for (const item of items) if (item.k !== undefined) known.set(item.k, item);
    const found = new Set<Item>();
    try {
      const stored = (await (await options.store)?.read(READ_MAX)) ?? [];
      for (const [key, entry] of stored) {
        if (!named(entry.c)) {
          await (await options.store)!.remove([key]);
          drop(entry, "refused", NAMELESS);
        } else if (!gone.has(key)) found.add(known.get(key) ?? { ...entry, k: key, n: bytesOf(entry.e) + 1 });
      }
      // Another tab has sent what is not there any more.
      if (stored.length < READ_MAX) for (const item of known.values()) if (!found.has(item)) forget(item);
    } catch {
      // The store can not be read; what this process put there is in memory too.
      known.clear();
    }
    for (const item of items) if (item.k === undefined || !known.size) found.add(item);
    return [...found].filter((item) => !item.busy);
  };

  const drain = async (): Promise<boolean> => {
    await Promise.all(saves);
    for (;;) {
      if (!allowed()) return clear();
      if (Date.now() < hold()) return false;
      const oldest = Date.now() - options.eventAgeMaxDays * 864e5;
      const all = await waiting();
      const old = all.filter((item) => item.t < oldest);
      await settle(old);
      for (const item of old) drop(item, "expired", "recorded " + new Date(item.t).toISOString());
      const fresh = all.filter((item) => item.t >= oldest);
      if (!all.length) return !items.size;
      for (const batch of batches(fresh)) if (!(await send(batch))) return false;
    }
  };

  const flush = (): Promise<boolean> =>
    (running ??= (async () => {
      let empty = false;
      try {
        await exclusive(async () => {
          // A fault of our own, too, is reported, and tried again.
          empty = await drain().catch((error) => postpone({}, String(error)));
        });
      } finally {
        running = undefined;
        if (!empty) schedule(Math.max(RETRY_FIRST / 4, hold() - Date.now()));
      }
      return empty;
    })());

  const leave = (): void => {
    if (!allowed()) return;
    const held = Date.now() < hold();
    const left = [...items].filter((item) => !item.busy && !(held && item.k !== undefined));
    for (const batch of batches(left).slice(0, 2)) void send(batch, true);
  };

  const clear = async (): Promise<boolean> => {
    const now = Date.now();
    items.clear();
    bytes = 0;
    try {
      const store = await options.store;
      // What is recorded after leave was given again, while this waited, stays.
      const left = (entries: [IDBValidKey, Entry][]) =>
        entries.filter(([, entry]) => !allowed() || entry.t < now);
      for (let all; (all = left(await store!.read(READ_MAX))).length;)
        await store!.remove(all.map(([key]) => key));
    } catch {
      // Nothing is stored.
    }
    return !items.size;
  };

  const wake = (): void => {
    if (offline) {
      failures = 0;
      hold(0);
    }
    schedule(0);
  };

  const close = async (milliseconds: number): Promise<void> => {
    const deadline = Date.now() + milliseconds;
    while (!(await flush()) && Date.now() < deadline) {
      const wait = Math.min(deadline, Math.max(hold(), Date.now() + 20)) - Date.now();
      await new Promise((resolve) => setTimeout(resolve, Math.max(0, wait)));
    }
    clearTimeout(timer);
    for (const item of [...items]) {
      if (item.k !== undefined) continue;
      forget(item);
      drop(item, "closed", "no answer before the end");
    }
  };

  return { add, flush, leave, clear, wake, close };
}
