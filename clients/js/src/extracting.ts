/**
 * Extractions of any size: in one answer where that is possible, else through a file that the server
 * makes.
 */
import { AcumenError, ApiError, ConnectionError } from "./errors.ts";
import { pause, type CallOptions, type Http } from "./http.ts";
import type { Extraction, StoredEvent } from "./questions.ts";

export interface ExtractOptions extends CallOptions {
  /** How far the file is, while the server makes it. */
  onProgress?: (progress: { events: number; of: number | null }) => void;
}

const LOOK_SECONDS_MAX = 5;

/** The events, one by one. */
export async function* extract(
  http: Http,
  question: Extraction & { event_collection: string },
  options: ExtractOptions,
): AsyncGenerator<StoredEvent, void, undefined> {
  const { signal } = options;
  const request = { key: "read", repeatable: true, signal } as const;
  const path = http.path("queries", "extraction");
  try {
    const { body } = await http.json("POST", path, { ...request, body: question });
    return yield* body.result as StoredEvent[];
  } catch (error) {
    if (!(error instanceof ApiError && /^(QueryLimitError|InvalidParameterError)$/.test(error.code)))
      throw error;
    if (error.code === "InvalidParameterError" && !((question.latest ?? 0) > 1e5)) throw error;
  }
  const asked = { ...question, delivery: "link", content_type: "application/json" };
  const begun = await http.json("POST", path, { key: "read", signal, body: asked });
  let { job } = begun.body;
  const jobPath = http.path("extractions", job.id);
  try {
    for (let wait = 0.05; job.state !== "done"; wait = Math.min(LOOK_SECONDS_MAX, wait * 1.5)) {
      if (job.state !== "queued" && job.state !== "running")
        throw new AcumenError(`The extraction failed: ${job.message}`);
      await pause(wait * 1000, signal);
      job = (await http.json("GET", jobPath, request)).body;
      options.onProgress?.(job.progress);
    }
    const file = new URL(job.file_url, http.target.url);
    const response = await http.once("GET", file.pathname + file.search, { key: "none", signal }, false);
    if (!response.ok || !response.body)
      throw new AcumenError(`The file of the extraction: HTTP ${response.status}`);
    for await (const line of lines(response.body)) if (line) yield JSON.parse(line) as StoredEvent;
  } finally {
    // The server keeps a file for 30 days; this one has been read, or will not be.
    await http.send("DELETE", jobPath, { key: "read" }).catch(() => undefined);
  }
}

/** The lines of a stream of UTF-8; the last one too, if it has no end. */
export async function* lines(stream: ReadableStream<Uint8Array>): AsyncGenerator<string, void, undefined> {
  const reader = stream.getReader();
  const decoder = new TextDecoder();
  let rest = "";
  try {
    for (;;) {
      const { done, value } = await reader.read().catch((error: unknown) => {
        throw new ConnectionError("The answer broke off.", { cause: error });
      });
      const parts = (rest + decoder.decode(value, { stream: !done })).split(done ? /\r\n|\r|\n/ : /\r\n|\r(?!$)|\n/);
      rest = parts.pop()!;
      yield* parts;
      if (done) break;
    }
    if (rest) yield rest;
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}
