/** Calls for who manages a project, and how their answers are written. */
import { call, type Project } from "../../session.ts";
import type { AccessKey } from "./keys/draft.ts";

/** A call below the project. Throws ApiError. */
export function manage<T = void>(project: Project, method: string, path: string, body?: unknown): Promise<T> {
  return call<T>(method, `/3.0/projects/${encodeURIComponent(project.id)}/${path}`, body);
}

const PAGE = 200;
const PAGES_MAX = 50;

/** All access keys, oldest first. */
export async function keysOf(project: Project): Promise<AccessKey[]> {
  const found: AccessKey[] = [];
  for (let page = 1; page <= PAGES_MAX; page++) {
    const some = await manage<AccessKey[]>(project, "GET", `keys?per_page=${PAGE}&page=${page}`);
    found.push(...some);
    if (some.length < PAGE) break;
  }
  return found;
}

export function secondsText(seconds: number): string {
  return `${seconds.toLocaleString(undefined, { maximumFractionDigits: 1 })} s`;
}

/** A day of the server's as the viewer writes days. */
export function dayText(day: string): string {
  return new Date(`${day}T00:00:00Z`).toLocaleDateString(undefined, { dateStyle: "medium", timeZone: "UTC" });
}
