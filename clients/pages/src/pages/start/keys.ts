/** The key with which events are sent: one that may nothing else. */
import type { Acumen } from "acumen-client";
import { pathOf } from "../../router.ts";
import { call, mayManage, type Project } from "../../session.ts";

const NAME = "Sending events";

/** A key of the project that may only write; null where there is none, or none that may be seen. */
export async function writeKeyOf(client: Acumen, signal?: AbortSignal): Promise<string | null> {
  const keys = await client.accessKeys.list({ signal });
  const found = keys.find((one) => one.is_active && one.permitted.length === 1 && one.permitted[0] === "writes");
  return found?.key ?? null;
}

/** A key to send with: for owners one that may do nothing else, for editors the project's write key. */
export async function keyToSend(client: Acumen, project: Project): Promise<string> {
  if (mayManage(project)) return makeWriteKey(client);
  return (await call<{ write_key: string }>("GET", pathOf("/3.0/projects", project.id, "own-keys"))).write_key;
}

async function makeWriteKey(client: Acumen): Promise<string> {
  return (await client.accessKeys.create({ name: NAME, permitted: ["writes"] })).key;
}
