/** The events of an extraction, newest first, with more on demand, and all of them as a file. */
import type { Question } from "acumen-client";
import { useState } from "preact/hooks";
import { useHere } from "../../context.ts";
import { useLoaded } from "../../loading.ts";
import { schemaOf } from "../../schema.ts";
import { Loading, Problem } from "../../ui/states.tsx";
import { addressOf } from "../explore/address.ts";
import { ExportButton, whyNoFile } from "./export.tsx";
import { namedIn } from "./columns.tsx";
import { EventTable } from "./table.tsx";

const FIRST = 50;
const MORE = 4;
const SHOWN_MAX = 3200;

export function EventList({ question }: { question: Question }) {
  const { project } = useHere();
  if (project.permissions.includes("extractions")) return <Events question={question} />;
  return <p class="note">Your key may not read single events, only answers about many. Ask an owner of the project for another one.</p>;
}

function Events({ question }: { question: Question }) {
  const { client, to } = useHere();
  const [latest, setLatest] = useState(FIRST);
  const { analysis_type: _, ...asked } = question;
  const collection = String(question.event_collection);
  const noFile = whyNoFile(question.filters);
  const found = useLoaded(
    async (signal) => (await client.query("extraction", { ...asked, latest }, { signal })).result as any[],
    [client, JSON.stringify(question), latest],
  );
  const counted = useLoaded(
    async (signal) => (await client.query("count", asked, { signal })).result as number,
    [client, JSON.stringify(question)],
  );
  const schema = useLoaded(
    async (signal) => (await schemaOf(client, signal)).find((one) => one.name === collection) ?? null,
    [client, collection],
  );
  if (found.error) return <Problem error={found.error} retry={found.reload} />;
  if (!found.value) return <Loading what="events" lines={6} />;
  const { length } = found.value;
  const whole = length < latest;
  const all = counted.value ?? (whole ? length : null);
  return (
    <div aria-busy={found.busy}>
      <div class="row spread tools">
        <p class="small" role="status">
          {whole ? `${length.toLocaleString()} in ${collection}` : `The newest ${length.toLocaleString()} of ${all?.toLocaleString() ?? "…"} in ${collection}`}; times are yours.
        </p>
        <div class="row">
          <a class="button" href={addressOf({ question: { ...question, latest: 100 }, type: "", view: "chart", saved: "" }, to("explore"))}>
            Open as a question
          </a>
          {noFile ? <span class="small">{noFile}</span> : <ExportButton question={question} />}
        </div>
      </div>
      <EventTable collection={collection} named={namedIn(question.filters)} events={found.value} properties={schema.value?.properties ?? []} />
      {!whole && latest < SHOWN_MAX && (
        <p class="gap">
          <button type="button" disabled={found.busy} onClick={() => setLatest(latest * MORE)}>
            {found.busy ? "Loading …" : "Load more"}
          </button>
        </p>
      )}
      {!whole && latest >= SHOWN_MAX && <p class="note">No more are shown here; a file has them all.</p>}
    </div>
  );
}
