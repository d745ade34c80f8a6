/** Requests to one server: keys, time limits, repeats, errors. */
import { ApiError } from "./errors.js";
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
export declare const inBrowser: () => boolean;
/** Wait; an abort ends it with its reason. */
export declare const pause: (milliseconds: number, signal?: AbortSignal) => Promise<void>;
export declare const segment: (text: string) => string;
export declare const retrySecondsOf: (response: Response) => number | undefined;
export declare class Http {
    #private;
    readonly target: Target;
    constructor(target: Target);
    get projectId(): string;
    /** `/3.0/projects/P/…` */
    path(...segments: string[]): string;
    key(name: KeyName): string | undefined;
    /** The answer, once its header is there and it is no error. */
    send(method: string, path: string, request: Request): Promise<Response>;
    /** The answer's JSON, and the header it came with. */
    json<T = any>(method: string, path: string, request: Request): Promise<{
        body: T;
        headers: Headers;
    }>;
    once(method: string, path: string, request: Request, timed?: boolean): Promise<Response>;
}
export declare function errorOf(response: Response): Promise<ApiError>;
