/** What is stored: every collection with its properties. */
import { useState } from "preact/hooks";
import { useHere } from "../../context.ts";
import { useLoaded } from "../../loading.ts";
import { schemaOf } from "../../schema.ts";
import { Empty, Loading, Problem } from "../../ui/states.tsx";
import { FindActor } from "../actors/find.tsx";
import { countText } from "../../words.ts";

const SHOWN_MAX = 200;
const NAMED_MAX = 6;

export function DataPage() {
  const { client, mayEdit, to } = useHere();
  const { value, error, reload } = useLoaded((signal) => schemaOf(client, signal), [client]);
  const [wanted, setWanted] = useState("");
  if (error) return <><h1>Data</h1><Problem error={error} retry={reload} /></>;
  if (!value) return <Loading what="collections" />;
  if (!value.length) {
    return (
      <Empty title="No data yet">
        <p>A collection comes into being with its first event.</p>
        <a class="button main" href={to()}>
          Send the first event
        </a>{" "}
        {mayEdit && (
          <a class="button" href={to("import")}>
            Import a file
          </a>
        )}
      </Empty>
    );
  }
  const text = wanted.toLowerCase();
  const found = value.filter(({ name, properties }) => name.toLowerCase().includes(text) || properties.some((one) => one.name.toLowerCase().includes(text)));
  return (
    <>
      <div class="row spread">
        <h1>Data</h1>
        <div class="row">
          <input type="search" aria-label="Search collections and properties" placeholder="Search" value={wanted}
            onInput={(event) => setWanted(event.currentTarget.value)} />
          {mayEdit && (
            <a class="button" href={to("import")}>
              Import a file
            </a>
          )}
        </div>
      </div>
      <FindActor schema={value} />
      <ul class="list">
        {found.slice(0, SHOWN_MAX).map(({ name, properties }) => {
          const own = properties.filter((one) => !one.name.startsWith("keen."));
          return (
            <li key={name}>
              <div class="grow">
                <a class="name" href={to("data", name)}>
                  {name}
                </a>
                <p class="small">
                  {own.slice(0, NAMED_MAX).map((one) => one.name).join(", ")}
                  {own.length > NAMED_MAX && ` and ${own.length - NAMED_MAX} more`}
                </p>
              </div>
              <p class="small aside">{countText(own.length, "property", "properties")}</p>
              <a href={to("live", name)} aria-label={`Live view of ${name}`}>
                Live
              </a>
            </li>
          );
        })}
      </ul>
      {found.length === 0 && <p>Neither a collection nor a property is called “{wanted}”.</p>}
      {found.length > SHOWN_MAX && <p class="note">The first {SHOWN_MAX} of {found.length.toLocaleString()} are shown; search for others.</p>}
    </>
  );
}
