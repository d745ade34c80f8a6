/** The organisation API, as its owners use it with a session. */
import { call } from "../../../session.ts";

export interface OwnedProject {
  id: string;
  name: string;
  users: { email: string }[];
  preferences: Record<string, any>;
}

export interface DeletedProject {
  id: string;
  name: string;
  deleted_at: string;
  restorable_until: string;
}

export interface Held {
  id: string;
  name: string;
  events: number;
  bytes: number;
  collections: number;
}

export function organise<T = void>(organisation: string, method: string, path: string, body?: unknown): Promise<T> {
  return call<T>(method, `/3.0/organizations/${encodeURIComponent(organisation)}/${path}`, body);
}
