/**
 * Who is here, and what they may do: the only module that knows how.
 *
 * The session is in a cookie that no script sees. Where a key is asked for, the word `session` stands for it.
 */
import { Acumen, ApiError } from "acumen-client";

export type Role = "viewer" | "editor" | "owner";

export interface Organisation {
  id: string;
  name: string;
  owner: boolean;
}

export interface Project {
  id: string;
  name: string;
  /** `key`: the session began with one that may not do everything. */
  role: Role | "key";
  organisation_id: string;
  permissions: string[];
}

export interface Person {
  id: string;
  email: string;
  name: string;
  two_factor: boolean;
  /** Who logs in with a provider may have none. */
  password: boolean;
}

export interface Session {
  /** Null where the session began with a key. */
  person: Person | null;
  organisations: Organisation[];
  projects: Project[];
  session: { id: string; expires_at: string };
  /** Whether they may see how the server is. */
  operates: boolean;
}

/** What goes into the header `Authorization`. */
export const TOKEN = "session";
/** A longer address of a page is not kept through a log-in elsewhere. */
const NEXT_MAX = 2000;
/** Set while there may be a cookie. */
const PERHAPS = "acumen.session";
/** The project that was looked at last. */
const LATEST = "acumen.project";
/** The columns that were chosen for tables of events. */
export const COLUMNS = "acumen.columns";

let whenEnded = () => {};

/** What to do once the server knows the session no more. */
export function onEnd(act: () => void): void {
  whenEnded = act;
}

export function ended(): void {
  localStorage.removeItem(PERHAPS);
  whenEnded();
}

/** The session of this browser, if there is one. */
export async function restore(): Promise<Session | null> {
  return localStorage.getItem(PERHAPS) ? current() : null;
}

export const current = () => call<Session>("GET", "/account");

export interface WithPassword {
  email: string;
  password: string;
  code?: string;
}

export function logIn(given: WithPassword): Promise<Session> {
  return begin("/account/sessions", given);
}

export async function logInWithKey(project_id: string, key: string): Promise<Session> {
  const session = await begin("/account/sessions", { project_id, key });
  if (session.projects[0]?.permissions.includes("queries")) return session;
  await logOut();
  throw new Error("This key may not read. Take the read or the master key.");
}

/** Accept an invitation, as who is logged in or as somebody new. */
export function join(given: { token: string; email?: string; name?: string; password?: string }): Promise<Session> {
  return begin("/account/join", given);
}

/** What the button of the server's provider says; null where it has none. */
export async function openIdLabel(): Promise<string | null> {
  return (await send<{ label: string | null }>("GET", "/account/openid")).label;
}

/** Where to go to log in with the provider. */
export async function beginOpenId({ next, invitation }: { next?: string | null; invitation?: string }): Promise<string> {
  const page = next?.startsWith("/app/") && next.length <= NEXT_MAX ? next : undefined;
  return (await send<{ location: string }>("POST", "/account/openid/begin", { next: page, invitation })).location;
}

async function begin(path: string, given: unknown): Promise<Session> {
  await send("POST", path, given);
  return entered();
}

/** The session that has just begun. */
export async function entered(): Promise<Session> {
  try {
    const session = await send<Session>("GET", "/account");
    localStorage.setItem(PERHAPS, "1");
    return session;
  } catch (error) {
    if (!isEnd(error)) throw error;
    throw new Error("Your browser kept no cookie of this site. Does it allow cookies, and is the address right?");
  }
}

/** End the session; who uses this browser next finds nothing of it. */
export async function logOut(): Promise<void> {
  localStorage.removeItem(PERHAPS);
  localStorage.removeItem(LATEST);
  localStorage.removeItem(COLUMNS);
  await send("DELETE", "/account/sessions/current");
}

export const remember = ({ id }: Project) => localStorage.setItem(LATEST, id);

/** The project that this browser looked at last; where it knows none, the newest. */
export function latest({ projects }: Session): Project | undefined {
  const id = localStorage.getItem(LATEST);
  return projects.find((one) => one.id === id) ?? projects.at(-1);
}

export function mayEdit({ permissions }: Project): boolean {
  return permissions.includes("edits");
}

/** Whether the definitions of saved queries may be listed. */
export function mayDefine({ permissions }: Project): boolean {
  return permissions.includes("definitions");
}

/** Whether all that the master key may do, such as making keys. */
export function mayManage({ permissions }: Project): boolean {
  return permissions.includes("master");
}

/** A call of the API that the SDK does not make. Throws ApiError; who is not logged in any more is led to log in. */
export async function call<T = void>(method: string, path: string, body?: unknown, signal?: AbortSignal): Promise<T> {
  return (await exchange<T>(method, path, { body, signal })).value;
}

interface Sent {
  body?: unknown;
  headers?: Record<string, string>;
  signal?: AbortSignal | undefined;
}

/** As `call`, with headers both ways. */
export async function exchange<T>(method: string, path: string, sent: Sent): Promise<{ value: T; headers: Headers }> {
  try {
    return await answered<T>(method, path, sent);
  } catch (error) {
    if (isEnd(error)) ended();
    throw error;
  }
}

async function send<T>(method: string, path: string, body?: unknown): Promise<T> {
  return (await answered<T>(method, path, { body })).value;
}

async function answered<T>(method: string, path: string, { body, headers, signal }: Sent) {
  const all: Record<string, string> = { ...headers, authorization: TOKEN };
  if (body !== undefined) all["content-type"] = "application/json";
  const answer = await fetch(path, { method, headers: all, body: JSON.stringify(body), signal: signal ?? null }).catch((error) => {
    if (signal?.aborted) throw error;
    throw new Error("The server did not answer. Is it running, and are you online?");
  });
  const text = await answer.text();
  if (answer.ok) return { value: (text ? JSON.parse(text) : undefined) as T, headers: answer.headers };
  throw refusal(answer.status, text);
}

/** The error that an answer is. */
export function refusal(status: number, text: string): ApiError {
  let said: { message?: unknown; error_code?: unknown } = {};
  try {
    said = JSON.parse(text);
  } catch {
    // Something in between answered.
  }
  return new ApiError(String(said.message ?? `HTTP ${status}`), { status, code: String(said.error_code ?? "") });
}

function isEnd(error: unknown): boolean {
  return error instanceof ApiError && error.code === "NotLoggedInError";
}

/** The SDK's client for a project. */
export function clientOf({ id }: Project): Acumen {
  return new Acumen({ url: location.origin, projectId: id, masterKey: TOKEN, fetch: inHeader(TOKEN) });
}

/** A client that records with a key: a session does not. */
export function recorderOf({ id }: Project, key: string): Acumen {
  return new Acumen({ url: location.origin, projectId: id, writeKey: key, fetch: inHeader(key) });
}

/** The SDK writes keys into addresses and sends no cookies; a session needs both the other way round. */
function inHeader(key: string): typeof fetch {
  return async (target, init) => {
    const url = new URL(String(target));
    url.searchParams.delete("api_key");
    const headers = { ...(init?.headers as Record<string, string>), Authorization: key };
    const answer = await fetch(url, { ...init, headers, credentials: "same-origin" });
    if (answer.status === 401 && key === TOKEN) ended();
    return answer;
  };
}
