/** A key that was just made, and how a program uses it. */
import { useHere } from "../../../context.ts";
import { useLoaded } from "../../../loading.ts";
import { keySnippets } from "../../../snippets.ts";
import { Code, Snippets } from "../../../ui/code.tsx";
import { Loading } from "../../../ui/states.tsx";
import { manage } from "../api.ts";
import type { AccessKey } from "./draft.ts";
import type { Seen, Shown } from "./preview.tsx";

export function Made({ made }: { made: AccessKey }) {
  const { client, project, to } = useHere();
  /** Those of which the key sees events first. */
  const collectionsOf = async ({ permitted, options }: AccessKey) => {
    const { collections } = await manage<Shown>(project, "POST", "key-preview", { permitted, options });
    const rank = ({ visible, events }: Seen) => (events ? 2 : 0) + (visible ? 1 : 0);
    return collections.sort((a, b) => rank(b) - rank(a)).map(({ name }) => name);
  };
  // Without these the commands have a word in their place.
  const known = useLoaded(
    async (signal) => {
      const [collections, saved] = await Promise.all([
        collectionsOf(made).catch(() => []),
        client.savedQueries.list({ signal }).catch(() => []),
      ]);
      return {
        collection: collections[0] ?? "COLLECTION",
        saved: saved.find(({ query_name, refresh_rate }) => mayRead(made, query_name, !!refresh_rate))?.query_name ?? "NAME",
      };
    },
    [client],
  );
  const commands = known.value && keySnippets(project.id, made.key!, made.permitted, known.value);
  return (
    <>
      <div class="note" role="status">
        <h2>{made.name}</h2>
        <p>This is the key. Give it to the program it is for.</p>
        <Code text={made.key!} what="the key" />
      </div>
      {!commands ? <Loading what="an example" lines={2} /> : null}
      {commands && Object.keys(commands).length > 0 && (
        <>
          {Object.entries(commands).map(([what, languages]) => (
            <section key={what} class="gap" aria-label={what}>
              <h3>{what}</h3>
              <Snippets label={`${what} with the key`} of={languages} />
            </section>
          ))}
        </>
      )}
      <p class="row gap">
        <a class="button main" href={to("settings", "keys")}>
          Done
        </a>
      </p>
    </>
  );
}

function mayRead({ permitted, options }: AccessKey, name: string, isKept: boolean): boolean {
  const right = isKept ? "cached_queries" : "saved_queries";
  const { allowed, blocked } = options[right] ?? {};
  return permitted.includes(right) && (!allowed || allowed.includes(name)) && !blocked?.includes(name);
}
