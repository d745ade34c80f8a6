/** The calls about imports, and what they are answered with. */
import { pathOf } from "../../router.ts";
import { ended, refusal, TOKEN } from "../../session.ts";

export type State = "uploading" | "uploaded" | "queued" | "running" | "done" | "failed" | "cancelled";

export interface Options {
  format?: string;
  timestamp?: string;
  timestamp_format?: string;
  timezone?: string;
  types?: Record<string, string>;
  delimiter?: string;
  encoding?: string;
}

export interface Reason {
  reason: string;
  count: number;
  lines: number[];
  numbers: number[];
}

export interface Import {
  id: string;
  state: State;
  message: string | null;
  file_name: string;
  bytes: number;
  event_collection: string | null;
  options: Options | null;
  again: boolean;
  created_date: string;
  expires_date: string;
  progress: { bytes: number; of: number };
  stored: number;
  already_stored: number;
  refused: number;
  refused_reasons: Reason[];
  refused_url: string | null;
  first: string | null;
  last: string | null;
}

export interface Column {
  name: string;
  type: string;
  given: boolean;
  empty: number | null;
  samples: string[];
  time_formats: string[];
  /** The type of nearly all values, where some are of another. */
  nearly: { type: string; count: number; of: number; others: string[] } | null;
}

export interface Times {
  column: string;
  format: string;
  timezone: string;
  earliest: string | null;
  latest: string | null;
  fit: number;
  unfit: number;
  empty: number;
  examples: { value: string; time: string }[];
  unfit_examples: { value: string; error: string }[];
}

export interface Preview {
  format: string;
  delimiter: string | null;
  encoding: string | null;
  types_changeable: boolean;
  rows: number | null;
  rows_read: number;
  complete: boolean;
  columns: Column[];
  columns_total: number;
  dated: boolean;
  suggested_time: { column: string; format: string } | null;
  time: Times | null;
  events: unknown[];
  broken: number;
  broken_examples: { number: number; line: number | null; error: string }[];
}

export const importsOf = (project: string) => pathOf("/3.0/projects", project, "imports");
export const importOf = (project: string, id: string) => pathOf("/3.0/projects", project, "imports", id);

/** Sends the file as it is; fetch would not say how far it is. */
export function upload(project: string, file: File, onProgress: (share: number) => void, signal: AbortSignal): Promise<Import> {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    const failed = () => reject(new Error("The file did not arrive whole. Is the server running, and are you online?"));
    request.open("POST", `${importsOf(project)}?name=${encodeURIComponent(file.name.slice(0, 255))}`);
    request.setRequestHeader("authorization", TOKEN);
    request.setRequestHeader("content-type", "application/octet-stream");
    request.upload.onprogress = ({ loaded, total }) => onProgress(total ? loaded / total : 0);
    request.onerror = request.onabort = failed;
    request.onload = () => {
      if (request.status === 201) return resolve(JSON.parse(request.responseText) as Import);
      const error = refusal(request.status, request.responseText);
      if (error.code === "NotLoggedInError") ended();
      reject(error);
    };
    signal.addEventListener("abort", () => request.abort());
    request.send(file);
  });
}
