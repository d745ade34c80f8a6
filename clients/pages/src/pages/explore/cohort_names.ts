/** The cohorts that a question may name. */
import type { Acumen } from "acumen-client";
import { useHere } from "../../context.ts";
import { useLoaded } from "../../loading.ts";

type Named = readonly (readonly [name: string, title: string])[];

/** Forms have many filters: all of them ask once. */
let known: { client: Acumen; names: Promise<Named> } | null = null;

/** After a change of cohorts. */
export const forgetCohorts = (): void => void (known = null);

async function namesOf(client: Acumen): Promise<Named> {
  // Without them a question is as it was: nothing is said of it.
  const all = await client.cohorts.list().catch(() => []);
  return all.map(({ name, display_name }) => [name, display_name || name] as const);
}

/** Names and titles; none where they may not be told. */
export function useCohorts(): Named {
  const { client, project } = useHere();
  const found = useLoaded(async () => {
    if (!project.permissions.includes("queries")) return [];
    if (known?.client !== client) known = { client, names: namesOf(client) };
    return known.names;
  }, [client]);
  return found.value ?? [];
}
