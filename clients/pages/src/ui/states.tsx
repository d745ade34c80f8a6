/** What stands where an answer will be: not yet, nothing, or what went wrong. */
import { ApiError } from "acumen-client";
import type { ComponentChildren } from "preact";

export function Loading({ what, lines = 3 }: { what: string; lines?: number }) {
  return (
    <div class="loading" role="status">
      <span class="unseen">Loading {what}</span>
      {Array.from({ length: lines }, (_, at) => (
        <span class="bone" key={at} />
      ))}
    </div>
  );
}

export function Empty({ title, children }: { title: string; children?: ComponentChildren }) {
  return (
    <div class="empty">
      <h2>{title}</h2>
      {children}
    </div>
  );
}

const BY_CODE: Record<string, string> = {
  AdminOnlyEndpointError: "Your key or role does not allow this.",
  ForbiddenError: "Your key or role does not allow this.",
};

export function textOf(error: unknown): string {
  if (error instanceof ApiError) return BY_CODE[error.code] ?? error.message;
  if (error instanceof Error && error.name === "ConnectionError") {
    return "The server did not answer. Is it running, and are you online?";
  }
  return error instanceof Error ? error.message : String(error);
}

export function Problem({ error, retry }: { error: unknown; retry?: () => void }) {
  const code = error instanceof ApiError ? error.code : "";
  const request = error instanceof ApiError ? error.requestId : undefined;
  return (
    <div class="problem" role="alert">
      <p>{textOf(error)}</p>
      {request && (
        <p class="small">
          {code}, request <code>{request}</code>
        </p>
      )}
      {retry && (
        <button type="button" onClick={retry}>
          Try again
        </button>
      )}
    </div>
  );
}
