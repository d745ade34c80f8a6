/** One collection: its newest events, and its properties with their types. */
import { useState } from "preact/hooks";
import { useHere } from "../../context.ts";
import { lazy } from "../../lazy.tsx";
import { useLoaded } from "../../loading.ts";
import { schemaOf } from "../../schema.ts";
import { mayDefine } from "../../session.ts";
import { Tabs } from "../../ui/tabs.tsx";
import { Empty, Loading, Problem } from "../../ui/states.tsx";
import { viewersZone } from "../../zones.ts";
import { Profiles } from "./profile.tsx";
import { exploring } from "./questions.ts";
import { EventTable } from "../events/table.tsx";

const EVENTS = 50;
const ReadersOf = lazy(() => import("../pipelines/index.ts"), "ReadersOf");

export function CollectionPage({ name }: { name: string }) {
  const { client, project, to } = useHere();
  const [view, setView] = useState("events");
  const schema = useLoaded(async (signal) => (await schemaOf(client, signal)).find((one) => one.name === name) ?? null, [client, name]);
  const latest = useLoaded(async (signal) => (await client.extraction(name, { latest: EVENTS }, { signal })).result, [client, name]);
  if (schema.error) return <><h1>{name}</h1><Problem error={schema.error} retry={schema.reload} /></>;
  if (schema.value === null) {
    return (
      <Empty title="There is no such collection">
        <p>No event of a collection with this name has been recorded.</p>
        <a class="button" href={to("data")}>
          All collections
        </a>
      </Empty>
    );
  }
  const properties = schema.value?.properties ?? [];
  const tabs = [
    { id: "events", label: "Newest events" },
    { id: "properties", label: `Properties (${properties.length})` },
    ...(mayDefine(project) ? [{ id: "readers", label: "What reads it" }] : []),
  ];
  return (
    <>
      <div class="row spread">
        <h1>{name}</h1>
        <div class="row">
          <a class="button" href={to("live", name)}>
            Live
          </a>
          <a class="button" href={exploring(to("explore"), { analysis_type: "count", event_collection: name, interval: "daily" })}>
            Explore
          </a>
        </div>
      </div>
      <Tabs label={`Of ${name}`} tabs={tabs} chosen={view} choose={setView}>
        {view === "readers" && <ReadersOf collection={name} />}
        {view === "properties" && <Profiles collection={name} properties={properties} />}
        {view === "events" && latest.error ? <Problem error={latest.error} retry={latest.reload} /> : null}
        {view === "events" && !latest.value && latest.busy && <Loading what="events" lines={6} />}
        {view === "events" && latest.value && (
          <>
            <div class="row spread tools">
              <p class="small">The newest {latest.value.length.toLocaleString()}, by their own time; times are yours ({viewersZone()}).</p>
              <button type="button" class="quiet" onClick={latest.reload}>
                Look again
              </button>
            </div>
            <EventTable collection={name} events={latest.value} properties={properties} />
          </>
        )}
      </Tabs>
    </>
  );
}
