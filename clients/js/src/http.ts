/** Requests to one server: keys, time limits, repeats, errors. */
import { ApiError, ConfigurationError, ConnectionError } from "./errors.ts";

export interface Keys {
  /** An access key is given as the key of what it may do; the master key does for all three. */
  writeKey?: string | undefined;
  readKey?: string | undefined;
  masterKey?: string | undefined;
  organizationKey?: string | undefined;
}

export interface Target extends Keys {
  /** Where Acumen answers: `https://stats.example`. */
  url: string;
  projectId?: string | undefined;
  organizationId?: string | undefined;
  /** Seconds after which a request that has no answer fails; default 310, since a question may take 300. */
  timeoutSeconds?: number | undefined;
  /** How often a request that may be repeated is sent again after a failure, a 429 or a 503; default 2. */
  retries?: number | undefined;
  /** Another `fetch` than the global one. */
  fetch?: typeof fetch | undefined;
}

/** What every call takes as its last argument. */
export interface CallOptions {
  signal?: AbortSignal | undefined;
}

export type KeyName = "write" | "read" | "master" | "organization" | "none";
export type QueryValue = string | number | boolean | object | null | undefined;

export interface Request extends CallOptions {
  key: KeyName;
  query?: Record<string, QueryValue> | undefined;
  body?: unknown;
  headers?: Record<string, string>;
  /** Whether it does no harm to send it twice; default: all but POST. */
  repeatable?: boolean;
}

const RETRY_SECONDS_MAX = 30;
/** Browsers ask a server for leave before a request with a key in a header. */
const IN_BROWSER = typeof document !== "undefined" || typeof (globalThis as any).importScripts === "function";

export const inBrowser = (): boolean => IN_BROWSER;

/** Wait; an abort ends it with its reason. */
export const pause = (milliseconds: number, signal?: AbortSignal): Promise<void> =>
  new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason);
    const ended = (): void => {
      clearTimeout(timer);
      reject(signal!.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", ended);
      resolve();
    }, milliseconds);
    signal?.addEventListener("abort", ended, { once: true });
  });

export const segment = (text: string): string => encodeURIComponent(text);

export const retrySecondsOf = (response: Response): number | undefined => {
  const text = response.headers.get("retry-after");
  if (!text) return undefined;
  const seconds = Number(text) >= 0 ? Number(text) : (Date.parse(text) - Date.now()) / 1000;
  return Number.isNaN(seconds) ? undefined : Math.max(0, seconds);
};

export class Http {
  readonly target: Target;
  readonly #base: string;

  constructor(target: Target) {
    if (!/^https?:\/\//.test(target.url)) {
      throw new ConfigurationError(`the address must begin with http:// or https://: ${target.url}`);
    }
    this.target = target;
    this.#base = target.url.replace(/\/+$/, "");
  }

  get projectId(): string {
    if (!this.target.projectId) throw new ConfigurationError("this call needs projectId");
    return this.target.projectId;
  }

  /** `/3.0/projects/P/…` */
  path(...segments: string[]): string {
    return ["/3.0/projects", this.projectId, ...segments]
      .map((part, at) => (at ? segment(part) : part))
      .join("/");
  }

  key(name: KeyName): string | undefined {
    const { writeKey, readKey, masterKey, organizationKey } = this.target;
    if (name === "none") return undefined;
    const key = {
      write: writeKey ?? masterKey,
      read: readKey ?? masterKey,
      master: masterKey,
      organization: organizationKey,
    };
    if (!key[name]) throw new ConfigurationError(`this call needs ${name}Key`);
    return key[name];
  }

  /** The answer, once its header is there and it is no error. */
  async send(method: string, path: string, request: Request): Promise<Response> {
    const repeatable = request.repeatable ?? method !== "POST";
    for (let attempt = 0; ; attempt++) {
      const last = !repeatable || attempt >= (this.target.retries ?? 2);
      let wait = (0.5 + Math.random() / 2) * 2 ** attempt * 0.5;
      try {
        const response = await this.once(method, path, request);
        if (response.ok) return response;
        const error = await errorOf(response);
        wait = error.retryAfter ?? wait;
        if (last || ![429, 502, 503].includes(error.status) || wait > RETRY_SECONDS_MAX) throw error;
      } catch (error) {
        if (request.signal?.aborted) throw request.signal.reason;
        if (last || !(error instanceof ConnectionError)) throw error;
      }
      await pause(wait * 1000, request.signal);
    }
  }

  /** The answer's JSON, and the header it came with. */
  async json<T = any>(
    method: string,
    path: string,
    request: Request,
  ): Promise<{ body: T; headers: Headers }> {
    const response = await this.send(method, path, request);
    const text = await response.text().catch((error: unknown) => {
      if (request.signal?.aborted) throw request.signal.reason;
      throw new ConnectionError("The answer broke off.", { cause: error });
    });
    if (!text) return { body: undefined as T, headers: response.headers };
    try {
      return { body: JSON.parse(text) as T, headers: response.headers };
    } catch {
      throw new ConnectionError(`The answer of ${this.#base} is not JSON: ${text.slice(0, 100)}`);
    }
  }

  async once(method: string, path: string, request: Request, timed = true): Promise<Response> {
    const key = this.key(request.key);
    const url = new URL(this.#base + path);
    for (const [name, value] of Object.entries(request.query ?? {})) {
      if (value === undefined) continue;
      url.searchParams.set(name, typeof value === "object" ? JSON.stringify(value) : String(value));
    }
    const headers: Record<string, string> = { ...request.headers };
    const plain = inBrowser() && (method === "GET" || method === "POST") && /write|read/.test(request.key);
    if (key && plain) url.searchParams.set("api_key", key);
    else if (key) headers["Authorization"] = key;
    const body = request.body === undefined ? undefined : JSON.stringify(request.body);
    if (body !== undefined && !plain) headers["Content-Type"] = "application/json";
    const abort = new AbortController();
    const ended = (): void => abort.abort(request.signal!.reason);
    if (request.signal?.aborted) throw request.signal.reason;
    request.signal?.addEventListener("abort", ended, { once: true });
    const seconds = this.target.timeoutSeconds ?? 310;
    const timer = timed ? setTimeout(() => abort.abort(), seconds * 1000) : undefined;
    try {
      const options = { method, headers, body, signal: abort.signal, credentials: "omit" } as RequestInit;
      return await (this.target.fetch ?? fetch)(url, options);
    } catch (error) {
      if (request.signal?.aborted) throw request.signal.reason;
      const reason = abort.signal.aborted
        ? `no answer within ${seconds} seconds`
        : String((error as any)?.cause ?? error);
      throw new ConnectionError(`${this.#base}: ${reason}`, { cause: error });
    } finally {
      clearTimeout(timer);
    }
  }
}

export async function errorOf(response: Response): Promise<ApiError> {
  const text = await response.text().catch(() => "");
  let told: { message?: string; error_code?: string } = {};
  try {
    told = JSON.parse(text) ?? {};
  } catch {
    // Something in between answered.
  }
  const about = { status: response.status, code: told.error_code ?? "" } as ConstructorParameters<
    typeof ApiError
  >[1];
  const requestId = response.headers.get("x-request-id");
  const retryAfter = retrySecondsOf(response);
  if (requestId) about.requestId = requestId;
  if (retryAfter !== undefined) about.retryAfter = retryAfter;
  return new ApiError(told.message ?? `HTTP ${response.status}: ${text.slice(0, 200)}`, about);
}
