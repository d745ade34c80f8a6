/** Documents of dashboards, read and stored with the version that was read, so that nobody's changes are lost. */
import { ApiError } from "acumen-client";
import { pathOf } from "../../router.ts";
import { exchange, type Project } from "../../session.ts";

export type Json = Record<string, any>;

export interface Stored {
  document: Json;
  /** Names the version. */
  tag: string;
}

const METADATA = "X-Keen-Blob-Metadata";
const TRIES = 4;

export function addressOf({ id }: Project, dashboard: string, ...rest: string[]): string {
  return pathOf("/projects", id, "dashboards", dashboard, ...rest);
}

export async function readDashboard(project: Project, id: string, signal?: AbortSignal): Promise<Stored> {
  const { value, headers } = await exchange<Json>("GET", addressOf(project, id), signal ? { signal } : {});
  return { document: value, tag: headers.get("etag") ?? "" };
}

/** With a tag only in place of that version: else an error that `isOutdated`. */
export async function storeDashboard(project: Project, id: string, document: Json, tag: string | null): Promise<void> {
  const { value: metadata } = await exchange<Json>("GET", addressOf(project, id, "metadata"), {});
  const { widgets: _, queries: __, lastModificationDate: ___, ...kept } = metadata;
  await put(project, id, document, kept, tag ? { "If-Match": tag } : {});
}

export async function makeDashboard(project: Project, id: string, document: Json): Promise<void> {
  await put(project, id, document, {}, {});
}

async function put(project: Project, id: string, document: Json, metadata: Json, condition: Record<string, string>) {
  const title = typeof document.title === "string" ? document.title : metadata.title;
  // A header holds ASCII alone.
  const said = JSON.stringify({ ...metadata, title }).replace(/[^ -~]/g, (one) => "\\u" + one.charCodeAt(0).toString(16).padStart(4, "0"));
  await exchange("PUT", addressOf(project, id), { body: document, headers: { [METADATA]: said, ...condition } });
}

export const isOutdated = (error: unknown): boolean => error instanceof ApiError && error.status === 412;

/** Change a dashboard as it is now; anew where somebody else was faster. */
export async function changeDashboard(project: Project, id: string, change: (document: Json) => Json): Promise<void> {
  for (let left = TRIES; ; left--) {
    const { document, tag } = await readDashboard(project, id);
    try {
      return await storeDashboard(project, id, change(document), tag);
    } catch (error) {
      if (!left || !isOutdated(error)) throw error;
    }
  }
}
