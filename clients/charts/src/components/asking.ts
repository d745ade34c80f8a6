// Requests to the server: shared among charts that ask the same, tried again where that may help, ended when
// nobody waits any more.

export interface Ask {
  url: string;
  key: string;
  /** The body of a POST. */
  body?: string;
}

/** The message is the server's, and empty where it sent none; the status is 0 where nothing came. */
export class AskError extends Error {
  constructor(
    message: string,
    readonly status: number,
    readonly code: string | null,
    /** Seconds until it may be asked again; none are enough where no answers are left. */
    readonly after = 0,
  ) {
    super(message);
    this.name = "AskError";
  }
}

interface Shared {
  answer: Promise<unknown>;
  controller: AbortController;
  users: number;
  /** Told how many seconds the next try is away. */
  waiting: Set<(seconds: number) => void>;
  ended: number;
}

export interface AskOptions {
  signal: AbortSignal;
  /** Whether an answer that was there before this call will not do. */
  fresh?: boolean;
  onWait?: (seconds: number) => void;
}

const SHARED_MS = 2000;
const TRIES = 5;
const WAIT_SECONDS_MAX = 60;
const TIMEOUT_MS = 330_000;
/** A longer address may be refused on the way. */
const TOKEN_IN_URL_MAX = 1800;

const shared = new Map<string, Shared>();

function pause(seconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, seconds * 1000);
    signal.addEventListener("abort", () => (clearTimeout(timer), reject(signal.reason)), { once: true });
  });
}

function send({ url, key, body }: Ask, signal: AbortSignal): Promise<Response> {
  const target = new URL(url, document.baseURI);
  const headers: Record<string, string> = {};
  // A token in the address spares the browser's asking for leave first; a key should not stand in logs.
  const inUrl = key.startsWith("ae1.") && target.origin !== location.origin && key.length < TOKEN_IN_URL_MAX;
  if (inUrl) target.searchParams.set("api_key", key);
  else if (key) headers.authorization = key;
  if (body !== undefined) headers["content-type"] = "application/json";
  return fetch(target, {
    method: body === undefined ? "GET" : "POST",
    headers,
    body,
    signal,
    credentials: key === "session" ? "same-origin" : "omit",
    referrerPolicy: "strict-origin",
  });
}

async function read(response: Response): Promise<unknown> {
  let value: unknown;
  try {
    value = JSON.parse(await response.text());
  } catch (error) {
    if (error instanceof SyntaxError) throw new AskError("", response.status, null);
    throw error;
  }
  if (response.ok) return value;
  const { message, error_code: code } = (value ?? {}) as { message?: unknown; error_code?: unknown };
  const text = typeof message === "string" ? message : "";
  const after = saidAfter(response) ?? 0;
  throw new AskError(text, response.status, typeof code === "string" ? code : null, after);
}

/** Seconds after which the server may be asked again, if it says so. */
function saidAfter({ status, headers }: Response): number | null {
  const said = headers.get("retry-after");
  // a 429 that does not say when it ends does not end by waiting
  if (said === null) return status === 429 ? Infinity : null;
  const seconds = Number(said) >= 0 ? Number(said) : (Date.parse(said) - Date.now()) / 1000;
  return seconds >= 0 ? seconds : 0;
}

/** Seconds to wait before the next try; null where none would help. */
function waitAfter(response: Response | null, attempt: number): number | null {
  const grown = 2 ** attempt * (0.5 + Math.random() / 2);
  if (!response) return attempt < 1 ? grown : null;
  if (![429, 502, 503].includes(response.status) || attempt >= TRIES - 1) return null;
  const seconds = saidAfter(response);
  if (seconds === null) return grown;
  return seconds <= WAIT_SECONDS_MAX ? seconds + Math.random() * 0.5 : null;
}

async function answered(request: Ask, entry: Shared): Promise<unknown> {
  const { signal } = entry.controller;
  const timer = setTimeout(() => entry.controller.abort(new DOMException("", "TimeoutError")), TIMEOUT_MS);
  try {
    for (let attempt = 0; ; attempt++) {
      let response: Response | null = null;
      try {
        response = await send(request, signal);
      } catch (error) {
        if (signal.aborted) throw error;
      }
      const wait = response?.ok ? null : waitAfter(response, attempt);
      if (wait === null) {
        if (response) return await read(response);
        throw new AskError("", 0, null);
      }
      for (const tell of entry.waiting) tell(wait);
      await pause(wait, signal);
    }
  } catch (error) {
    if (error instanceof AskError || (signal.aborted && signal.reason?.name !== "TimeoutError")) throw error;
    throw new AskError("", 0, null);
  } finally {
    clearTimeout(timer);
  }
}

function entryFor(name: string, request: Ask, options: AskOptions): Shared {
  const found = shared.get(name);
  if (found && (!found.ended || (!options.fresh && Date.now() - found.ended < SHARED_MS))) return found;
  const entry = {
    controller: new AbortController(),
    users: 0,
    waiting: new Set(),
    ended: 0,
  } as unknown as Shared;
  entry.answer = answered(request, entry).finally(() => {
    entry.ended = Date.now();
    setTimeout(() => shared.get(name) === entry && shared.delete(name), SHARED_MS);
  });
  entry.answer.catch(() => shared.get(name) === entry && shared.delete(name));
  shared.set(name, entry);
  return entry;
}

/** The answer to a request or to an equal one under way. Rejects with AskError, or as `signal` says. */
export function ask(request: Ask, options: AskOptions): Promise<unknown> {
  const name = JSON.stringify(request);
  const entry = entryFor(name, request, options);
  const { signal, onWait } = options;
  entry.users++;
  if (onWait) entry.waiting.add(onWait);
  return new Promise((resolve, reject) => {
    const left = () => {
      reject(signal.reason);
      if (!--entry.users && !entry.ended) {
        shared.delete(name);
        entry.controller.abort();
      }
    };
    if (signal.aborted) return left();
    signal.addEventListener("abort", left, { once: true });
    entry.answer.then(resolve, reject).finally(() => {
      signal.removeEventListener("abort", left);
      if (onWait) entry.waiting.delete(onWait);
    });
  });
}
