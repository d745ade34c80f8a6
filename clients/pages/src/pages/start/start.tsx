/** Where a project begins: the way to the first event, and what there is once there are some. */
import { useState } from "preact/hooks";
import { useHere } from "../../context.ts";
import { useLoaded } from "../../loading.ts";
import { schemaOf } from "../../schema.ts";
import { Loading, Problem } from "../../ui/states.tsx";
import { FirstEvent } from "./first_event.tsx";
import { Overview } from "./overview.tsx";

export function StartPage() {
  const { client, project, to } = useHere();
  const { value: schema, error, busy, reload } = useLoaded((signal) => schemaOf(client, signal), [client]);
  // Who came to send the first event stays to see it arrive.
  const [began, setBegan] = useState(false);
  if (error) return <Problem error={error} retry={reload} />;
  if (!schema) return <Loading what="the project" />;
  if (schema.length === 0 && !began) setBegan(true);
  return (
    <>
      <div class="row spread">
        <h1>{project.name}</h1>
        {schema.length > 0 && !began && (
          <a class="button" href={to("send")}>
            Send events
          </a>
        )}
      </div>
      {began || schema.length === 0 ? (
        <FirstEvent collections={schema.map(({ name }) => name)} look={reload} />
      ) : (
        <Overview schema={schema} busy={busy} />
      )}
    </>
  );
}
