export interface Ask {
    url: string;
    key: string;
    /** The body of a POST. */
    body?: string;
}
export declare class AskError extends Error {
    readonly status: number;
    readonly code: string | null;
    constructor(message: string, status: number, code: string | null);
}
export interface AskOptions {
    signal: AbortSignal;
    /** Whether an answer that was there before this call will not do. */
    fresh?: boolean;
    onWait?: (seconds: number) => void;
    texts: {
        unreachable: string;
        unreadable: string;
    };
}
/** The answer to a request or to an equal one under way. Rejects with AskError, or as `signal` says. */
export declare function ask(request: Ask, options: AskOptions): Promise<unknown>;
