/** The root of all errors of this package. */
export class AcumenError extends Error {
  override name = "AcumenError";
}

/** The client was not given what this call needs. */
export class ConfigurationError extends AcumenError {
  override name = "ConfigurationError";
}

/** No answer came, or none that Acumen gives; whether the server did what was asked is unknown. */
export class ConnectionError extends AcumenError {
  override name = "ConnectionError";
}

/** The server answered with an error. */
export class ApiError extends AcumenError {
  override name = "ApiError";
  /** HTTP status. */
  readonly status: number;
  /** The server's `error_code`; empty where something in between answered. */
  readonly code: string;
  /** What the server's log calls the request. */
  readonly requestId: string | undefined;
  /** Seconds after which it may be asked again. */
  readonly retryAfter: number | undefined;

  constructor(
    message: string,
    about: { status: number; code: string; requestId?: string; retryAfter?: number },
  ) {
    super(message);
    this.status = about.status;
    this.code = about.code;
    this.requestId = about.requestId;
    this.retryAfter = about.retryAfter;
  }
}
