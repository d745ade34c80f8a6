/**
 * Who is here, and what they may do: the only module that knows how.
 *
 * Two kinds: a person, whose cookie stands for them where the key is the word `session`; and whoever has a key
 * of a project, which this tab keeps until it is closed.
 */
import { Acumen } from "acumen-client";

export type Role = "viewer" | "editor" | "owner";

export interface Project {
  id: string;
  name: string;
  role: Role;
}

export interface Session {
  person: { name: string; email: string } | null;
  projects: Project[];
  /** What goes into the header `Authorization`. */
  authorization: string;
}

/** What log-in says to who tried; `code` is the server's. */
export class LogInError extends Error {
  constructor(
    message: string,
    readonly code = "",
  ) {
    super(message);
  }
}

const KEY = "acumen.key";
/** Set while there may be a cookie, which scripts do not see. */
const PERSON = "acumen.person";

/** The session of this tab or browser, if there is one. */
export async function restore(): Promise<Session | null> {
  const kept = sessionStorage.getItem(KEY);
  if (kept) return JSON.parse(kept) as Session;
  return localStorage.getItem(PERSON) ? ofPerson() : null;
}

async function ofPerson(): Promise<Session | null> {
  const answer = await fetch("/account", { headers: { authorization: "session" } });
  if (!answer.ok) {
    localStorage.removeItem(PERSON);
    return null;
  }
  const { person, projects } = await answer.json();
  return { person, projects, authorization: "session" };
}

export async function logInWithKey(projectId: string, key: string): Promise<Session> {
  const described = await ask(`/3.0/projects/${encodeURIComponent(projectId)}`, key);
  if (!described.ok) throw await refusal(described, "This key may not read. Take the read or the master key.");
  const { id, name } = await described.json();
  // Only the master key is told of the projects that it masters.
  const mastered = await ask("/3.0/projects", key);
  const role: Role = mastered.ok ? "owner" : "viewer";
  const session: Session = { person: null, projects: [{ id, name, role }], authorization: key };
  sessionStorage.setItem(KEY, JSON.stringify(session));
  return session;
}

export async function logInWithPassword(email: string, password: string, code: string): Promise<Session> {
  const answer = await fetch("/account/sessions", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ email, password, ...(code && { code }) }),
  });
  if (answer.status === 404 || answer.status === 405) {
    throw new LogInError("This server has no accounts. Log in with a project's key.", "no_accounts");
  }
  if (!answer.ok) throw await refusal(answer, "");
  localStorage.setItem(PERSON, "1");
  const session = await ofPerson();
  if (!session) throw new LogInError("Your browser kept no cookie of this site. Does it allow cookies?");
  return session;
}

export async function logOut(session: Session): Promise<void> {
  sessionStorage.removeItem(KEY);
  localStorage.removeItem(PERSON);
  if (session.person) {
    await fetch("/account/sessions/current", { method: "DELETE", headers: { authorization: "session" } });
  }
}

export function mayEdit({ role }: Project): boolean {
  return role !== "viewer";
}

/** The SDK's client for a project. */
export function clientOf(session: Session, project: Project): Acumen {
  const { authorization: key } = session;
  return new Acumen({ url: location.origin, projectId: project.id, masterKey: key, fetch: inHeader(key) });
}

/** The SDK writes keys into addresses and sends no cookies; a session needs both the other way round. */
function inHeader(key: string): typeof fetch {
  return (target, init) => {
    const url = new URL(String(target));
    url.searchParams.delete("api_key");
    const headers = { ...(init?.headers as Record<string, string>), Authorization: key };
    return fetch(url, { ...init, headers, credentials: "same-origin" });
  };
}

function ask(path: string, key: string): Promise<Response> {
  return fetch(path, { headers: { authorization: key } });
}

async function refusal(answer: Response, forbidden: string): Promise<LogInError> {
  const said = await answer.json().catch(() => ({}));
  const text = answer.status === 403 && forbidden ? forbidden : String(said.message ?? `HTTP ${answer.status}`);
  return new LogInError(text, String(said.error_code ?? ""));
}
