/** Events as they arrive, over server-sent events that are read from a fetched stream. */
import { ApiError, ConnectionError } from "./errors.ts";
import { lines } from "./extracting.ts";
import { errorOf, pause, type CallOptions, type Http } from "./http.ts";
import type { Filter, StoredEvent } from "./questions.ts";

export interface TailOptions extends CallOptions {
  filters?: readonly Filter[];
  /** Go on after this event: the `cursor` of an earlier tail. */
  after?: string;
  /** Told when events were left out, because they came faster than they were read. */
  onGap?: (events: number) => void;
  /** Told when the connection begins, and when it broke and is tried again. */
  onState?: (state: "open" | "waiting", error?: Error) => void;
}

/** The server says something every 15 seconds. */
const SILENCE_SECONDS_MAX = 45;
const RETRY_SECONDS_MAX = 30;

/** The events of a collection from now on; an abort of its signal ends it. */
export class Tail implements AsyncIterable<StoredEvent> {
  /** The place after the last event that was read. */
  cursor: string | undefined;
  readonly #http: Http;
  readonly #collection: string;
  readonly #options: TailOptions;

  constructor(http: Http, collection: string, options: TailOptions) {
    this.#http = http;
    this.#collection = collection;
    this.#options = options;
    this.cursor = options.after;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<StoredEvent, void, undefined> {
    const { signal, onState } = this.#options;
    let failures = 0;
    while (!signal?.aborted) {
      let wait = 0;
      try {
        for await (const event of this.#connection(() => (failures = 0))) {
          yield event;
          if (signal?.aborted) return;
        }
      } catch (error) {
        if (signal?.aborted) return;
        const passing =
          error instanceof ConnectionError || (error instanceof ApiError && again(error.status));
        if (!passing) throw error;
        wait = (error instanceof ApiError && error.retryAfter) || 0;
        onState?.("waiting", error);
      }
      wait = Math.max(wait, Math.min(RETRY_SECONDS_MAX, 0.5 * 2 ** failures++) * (0.5 + Math.random() / 2));
      await pause(wait * 1000, signal).catch(() => undefined);
    }
  }

  /** One connection's events, until it ends. */
  async *#connection(opened: () => void): AsyncGenerator<StoredEvent, void, undefined> {
    const { signal, filters, onGap, onState } = this.#options;
    const silence = new AbortController();
    const ended = (): void => silence.abort(signal!.reason);
    signal?.addEventListener("abort", ended, { once: true });
    let timer: ReturnType<typeof setTimeout> | undefined;
    const heard = (): void => {
      clearTimeout(timer);
      timer = setTimeout(() => silence.abort(), SILENCE_SECONDS_MAX * 1000);
    };
    heard();
    try {
      const path = this.#http.path("events", this.#collection, "tail");
      const query = { filters, after: this.cursor };
      const response = await this.#http
        .once("GET", path, { key: "read", query, signal: silence.signal }, false)
        .catch((error: unknown) => {
          if (signal?.aborted) throw error;
          throw error instanceof ConnectionError ? error : new ConnectionError(String(error));
        });
      if (!response.ok) throw await errorOf(response);
      if (!response.body || !/event-stream/.test(response.headers.get("content-type") ?? "")) {
        throw new ConnectionError("The answer is no stream of events.");
      }
      onState?.("open");
      let message: Record<string, string> = {};
      for await (const line of lines(response.body)) {
        heard();
        if (line) {
          const at = line.indexOf(":");
          const name = at < 0 ? line : line.slice(0, at);
          const value = at < 0 ? "" : line.slice(at + 1).replace(/^ /, "");
          if (name === "data" && "data" in message) message["data"] += "\n" + value;
          else if (name) message[name] = value;
          continue;
        }
        const { event = "message", data, id } = message;
        message = {};
        if (data === undefined) {
          if (id !== undefined) this.cursor = id;
          continue;
        }
        opened();
        if (event === "event") {
          const found = JSON.parse(data) as StoredEvent;
          if (id !== undefined) this.cursor = id;
          yield found;
          // A reader that takes its time is not a silent server.
          heard();
        } else if (event === "gap") {
          if (id !== undefined) this.cursor = id;
          const told: unknown = JSON.parse(data);
          onGap?.(typeof told === "number" ? told : Number((told as any)?.events ?? 0));
        }
      }
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener("abort", ended);
      silence.abort();
    }
  }
}

const again = (status: number): boolean => status === 429 || status >= 500;
