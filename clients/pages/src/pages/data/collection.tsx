/** One collection: its newest events, and its properties with their types. */
import { useState } from "preact/hooks";
import { useHere } from "../../context.ts";
import { useLoaded } from "../../loading.ts";
import { schemaOf, typeName, type Property } from "../../schema.ts";
import { Tabs } from "../../ui/tabs.tsx";
import { Empty, Loading, Problem } from "../../ui/states.tsx";
import { viewersZone } from "../../zones.ts";
import { EventTable } from "../events/table.tsx";

const EVENTS = 50;

export function CollectionPage({ name }: { name: string }) {
  const { client, to } = useHere();
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
        {view === "properties" && <Properties name={name} properties={properties} />}
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
            <EventTable events={latest.value} properties={properties} />
          </>
        )}
      </Tabs>
    </>
  );
}

function exploring(page: string, question: object): string {
  const whole = { ...question, timeframe: "this_14_days", timezone: viewersZone() };
  return `${page}?q=${encodeURIComponent(JSON.stringify(whole))}`;
}

function Properties({ name, properties }: { name: string; properties: Property[] }) {
  const { to } = useHere();
  return (
    <div class="scroll" tabIndex={0} role="group" aria-label="Properties">
      <table>
        <thead>
          <tr>
            <th scope="col">Property</th>
            <th scope="col">Type</th>
            <th scope="col"><span class="unseen">Ask</span></th>
          </tr>
        </thead>
        <tbody>
          {properties.map((one) => (
            <tr key={one.name}>
              <th scope="row" class="path">{one.name}</th>
              <td>{typeName(one.type)}</td>
              <td class="end">
                <a aria-label={`Values of ${one.name}`} href={exploring(to("explore"), questionAbout(name, one))}>
                  {one.type === "num" ? "Average by day" : "Values"}
                </a>
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

/** What somebody wants to know of a property first. */
function questionAbout(event_collection: string, { name, type }: Property): object {
  if (type === "num") return { analysis_type: "average", event_collection, target_property: name, interval: "daily" };
  if (type === "datetime" || type === "geo") return { analysis_type: "count_unique", event_collection, target_property: name };
  const order_by = { property_name: "result", direction: "DESC" };
  return { analysis_type: "count", event_collection, group_by: [name], order_by, limit: 25 };
}
