export interface Ask {
    url: string;
    key: string;
    /** The body of a POST. */
    body?: string;
}
/** The message is the server's, and empty where it sent none; the status is 0 where nothing came. */
export declare class AskError extends Error {
    readonly status: number;
    readonly code: string | null;
    /** Seconds until it may be asked again; none are enough where no answers are left. */
    readonly after: number;
    constructor(message: string, status: number, code: string | null, 
    /** Seconds until it may be asked again; none are enough where no answers are left. */
    after?: number);
}
export interface AskOptions {
    signal: AbortSignal;
    /** Whether an answer that was there before this call will not do. */
    fresh?: boolean;
    onWait?: (seconds: number) => void;
}
/** The answer to a request or to an equal one under way. Rejects with AskError, or as `signal` says. */
export declare function ask(request: Ask, options: AskOptions): Promise<unknown>;
