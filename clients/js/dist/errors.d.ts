/** The root of all errors of this package. */
export declare class AcumenError extends Error {
    name: string;
}
/** The client was not given what this call needs. */
export declare class ConfigurationError extends AcumenError {
    name: string;
}
/** No answer came, or none that Acumen gives; whether the server did what was asked is unknown. */
export declare class ConnectionError extends AcumenError {
    name: string;
}
/** The server answered with an error. */
export declare class ApiError extends AcumenError {
    name: string;
    /** HTTP status. */
    readonly status: number;
    /** The server's `error_code`; empty where something in between answered. */
    readonly code: string;
    /** What the server's log calls the request. */
    readonly requestId: string | undefined;
    /** Seconds after which it may be asked again. */
    readonly retryAfter: number | undefined;
    constructor(message: string, about: {
        status: number;
        code: string;
        requestId?: string;
        retryAfter?: number;
    });
}
