/** A key that was just made, and how a program uses it. */
import { useHere } from "../../../context.ts";
import { useLoaded } from "../../../loading.ts";
import { schemaOf } from "../../../schema.ts";
import { keySnippets } from "../../../snippets.ts";
import { Code, Snippets } from "../../../ui/code.tsx";
import { Loading } from "../../../ui/states.tsx";
import type { AccessKey } from "./draft.ts";

export function Made({ made }: { made: AccessKey }) {
  const { client, project, to } = useHere();
  // Without these the commands have a word in their place.
  const known = useLoaded(
    async (signal) => {
      const [collections, saved] = await Promise.all([
        schemaOf(client, signal).catch(() => []),
        client.savedQueries.list({ signal }).catch(() => []),
      ]);
      return {
        collection: collections[0]?.name ?? "COLLECTION",
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
          <p class="gap">A command that uses it:</p>
          <Snippets label="What to do with the key" of={commands} />
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
