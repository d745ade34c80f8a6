/** What a browser gives the queue: a database, locks among tabs, requests that outlive the page. */
import {
  createOutbox,
  type Answer,
  type Drop,
  type Entry,
  type Outbox,
  type Store,
  type Trouble,
} from "./outbox.ts";
import { eventOf, type Properties, type Source } from "./events.ts";

export interface TrackerOptions {
  /** Where Acumen answers: `https://stats.example`. */
  url: string;
  projectId: string;
  writeKey: string;
  /** Properties of every event. */
  properties?: Source | undefined;
  /**
   * Record nothing where the browser asks for it (Do Not Track, Global Privacy Control) until
   * `optIn()`. True.
   */
  respectPrivacySignals?: boolean;
  /** Record nothing before `optIn()`; default false. */
  requireConsent?: boolean;
  /** How long events are gathered before they are sent, in seconds; default 1. */
  flushSeconds?: number;
  /** How many events may wait, in this page and in the browser's database; more are dropped. 10,000. */
  queueEventsMax?: number;
  /** How old a queued event may be to be still sent: below the server's ACUMEN_TOKEN_DAYS. Default 30. */
  eventAgeMaxDays?: number;
  /** Told of each event that will never be sent; by default a warning in the console. */
  onDrop?: (drop: Drop) => void;
  /** Told of each try that failed. */
  onTrouble?: (trouble: Trouble) => void;
}

export interface Tracker {
  /** Record an event: it is queued and sent in the background. Never throws. */
  track(collection: string, properties?: Properties, time?: number): void;
  /** Add properties to every later event; a function is called for each. */
  set(properties: Source): void;
  /** Send what waits; true once nothing is left. */
  flush(): Promise<boolean>;
  /** Record nothing more, forget what waits, and remember that. */
  optOut(): void;
  /** Record, whatever the browser's signals say, and remember that. */
  optIn(): void;
  /** Whether nothing is recorded. */
  readonly optedOut: boolean;
}

/** Bytes of a batch: two may be on their way when a page goes, and 64 KiB of its requests outlive it. */
const BATCH_BYTES_MAX = 3e4;
const KEEPALIVE_BYTES_MAX = 64_000;
const ANSWER_MAX = 3e4;
const HOLD_MAX = 36e5;
const LEASE = 15e3;

const nowhere: Record<string, string> = {};
const page = typeof document === "undefined" ? undefined : document;

/**
 * A text that the browser remembers for this site, or this page where it may not; set where it is
 * given.
 */
export function remember(name: string, value?: string): string | undefined {
  try {
    if (value !== undefined) localStorage.setItem("acumen." + name, value);
    return localStorage.getItem("acumen." + name) ?? undefined;
  } catch {
    if (value !== undefined) nowhere[name] = value;
    return nowhere[name];
  }
}

const waitOf = (text: string | null): number | undefined => {
  if (!text) return undefined;
  const milliseconds = +text >= 0 ? +text * 1e3 : Date.parse(text) - Date.now();
  return Math.min(HOLD_MAX, Math.max(0, milliseconds)) || undefined;
};

/** An answer as the queue wants it. */
export const answerOf = async (response: Response): Promise<Answer> => ({
  status: response.status,
  wait: waitOf(response.headers.get("retry-after")),
  json: await response.json().catch(() => undefined),
});

/** The queue of one project in this browser's database, shared by all pages of the site. */
async function openStore(name: string, eventsMax: number): Promise<Store | undefined> {
  const opening = indexedDB.open(name, 1);
  opening.onupgradeneeded = () => opening.result.createObjectStore("e", { autoIncrement: true });
  const database = await new Promise<IDBDatabase>((resolve, reject) => {
    opening.onsuccess = () => resolve(opening.result);
    opening.onerror = reject;
  });
  database.onversionchange = () => database.close();
  /** Run requests in one transaction; what `act` returns is called once it is done. */
  const run = <T>(mode: IDBTransactionMode, act: (store: IDBObjectStore) => () => T): Promise<T> =>
    new Promise((resolve, reject) => {
      const transaction = database.transaction("e", mode);
      const result = act(transaction.objectStore("e"));
      transaction.oncomplete = () => resolve(result());
      transaction.onabort = reject;
    });
  return {
    add: (entry) =>
      run("readwrite", (store) => {
        let key: IDBValidKey | null = null;
        const count = store.count();
        count.onsuccess = () => {
          if (count.result < eventsMax)
            store.add(entry).onsuccess = (event: any) => (key = event.target.result);
        };
        return () => key;
      }),
    read: (max) =>
      run("readonly", (store) => {
        const keys = store.getAllKeys(null, max);
        const entries = store.getAll(null, max);
        return () => keys.result.map((key, index) => [key, entries.result[index] as Entry]);
      }),
    remove: (keys) =>
      run("readwrite", (store) => {
        keys.forEach((key) => store.delete(key));
        return () => undefined;
      }),
  };
}

/**
 * One tab at a time runs the job; without locks by a lease, which is not exact: tokens make that
 * harmless.
 */
function exclusiveIn(project: string): (job: () => Promise<void>) => Promise<void> {
  const locks = (navigator as Partial<Navigator>).locks;
  const own = Math.random() + "";
  const lease = project + ".lease";
  return async (job) => {
    if (locks) {
      let begun = false;
      const signal = new AbortController();
      const timer = setTimeout(() => signal.abort(), ANSWER_MAX * 2);
      try {
        await locks.request("acumen." + project, { signal: signal.signal }, () => {
          begun = true;
          clearTimeout(timer);
          return job();
        });
        return;
      } catch {
        // Locks are forbidden here, or the tab that holds it is frozen: go on without.
        if (begun) return;
      }
    } else {
      const [owner, until] = (remember(lease) ?? "").split(" ");
      if (owner !== own && +until! > Date.now() && +until! < Date.now() + 2 * LEASE) return;
      remember(lease, own + " " + (Date.now() + LEASE));
    }
    await job();
    if (!locks) remember(lease, "");
  };
}

/** The queue of a browser's page or worker. */
export function browserOutbox(options: TrackerOptions, allowed: () => boolean): Outbox {
  const project = options.projectId;
  const address =
    `${options.url.replace(/\/+$/, "")}/3.0/projects/${project}/events` +
    `?api_key=${encodeURIComponent(options.writeKey)}`;
  const queueEventsMax = options.queueEventsMax ?? 1e4;
  let leavingBytes = 0;

  /**
   * A text with the key in the address is a request that needs no leave of the server first (no
   * preflight).
   */
  const post = async (body: string, bytes: number, leaving: boolean): Promise<Answer> => {
    const keepalive = leavingBytes + bytes < KEEPALIVE_BYTES_MAX;
    if (leaving && !("keepalive" in Request.prototype)) {
      navigator.sendBeacon(address, body);
      return { status: 202, json: undefined };
    }
    const abort = new AbortController();
    const timer = setTimeout(() => abort.abort(), ANSWER_MAX);
    if (keepalive) leavingBytes += bytes;
    try {
      const request = { method: "POST", body, keepalive, credentials: "omit", signal: abort.signal } as const;
      return await answerOf(await fetch(address, request));
    } finally {
      clearTimeout(timer);
      if (keepalive) leavingBytes -= bytes;
    }
  };

  const outbox = createOutbox({
    post,
    allowed,
    queueEventsMax,
    queueBytesMax: 5e6,
    batchBytesMax: BATCH_BYTES_MAX,
    batchEventsMax: 1e3,
    eventAgeMaxDays: options.eventAgeMaxDays ?? 30,
    flushSeconds: options.flushSeconds ?? 1,
    store: Promise.resolve()
      .then(() => openStore("acumen." + project, queueEventsMax))
      .catch(() => undefined),
    exclusive: exclusiveIn(project),
    hold(until) {
      const held = +(remember(project + ".hold", until === undefined ? until : until + "") ?? 0);
      return held < Date.now() + 2 * HOLD_MAX ? held : 0;
    },
    onDrop:
      options.onDrop ??
      ((drop) => console.warn("Acumen: event not sent:", drop.reason, drop.message, drop.event)),
    onTrouble: options.onTrouble ?? (() => {}),
  });

  addEventListener("online", outbox.wake);
  page?.addEventListener("visibilitychange", () =>
    page.visibilityState === "hidden" ? outbox.leave() : outbox.wake(),
  );
  addEventListener("pagehide", outbox.leave);
  // What earlier pages left behind.
  setTimeout(() => void outbox.flush(), 50);
  return outbox;
}

/** Whether the browser asks not to be tracked. */
const signalled = (): boolean => {
  const asked = navigator as { globalPrivacyControl?: boolean; doNotTrack?: string | null };
  return !!asked.globalPrivacyControl || asked.doNotTrack === "1";
};

/** A recorder of events in a browser. */
export function createTracker(options: TrackerOptions): Tracker {
  const consent = options.projectId + ".consent";
  const optedOut = (): boolean => {
    const said = remember(consent);
    if (said) return said === "out";
    return !!options.requireConsent || (options.respectPrivacySignals !== false && signalled());
  };
  const outbox = browserOutbox(options, () => !optedOut());
  const sources: Source[] = options.properties ? [options.properties] : [];
  return {
    track(collection, properties = {}, time = Date.now()) {
      if (!optedOut()) outbox.add(collection, () => eventOf([...sources, properties], time));
    },
    set(properties) {
      sources.push(properties);
    },
    flush: outbox.flush,
    optOut() {
      remember(consent, "out");
      void outbox.clear();
    },
    optIn() {
      remember(consent, "in");
    },
    get optedOut() {
      return optedOut();
    },
  };
}
