/** Ask for a file of events. */
import { useState } from "preact/hooks";
import { useHere } from "../../../context.ts";
import { useLoaded } from "../../../loading.ts";
import { isWhole, type Condition } from "../../../question.ts";
import { schemaOf } from "../../../schema.ts";
import { Combobox } from "../../../ui/combobox.tsx";
import { Dialog } from "../../../ui/dialog.tsx";
import { Choice, described, Field } from "../../../ui/field.tsx";
import { dayAfter, midnight, viewersZone } from "../../../zones.ts";
import { Filters } from "../../explore/filters.tsx";
import { manage } from "../api.ts";

const TYPES = [
  ["text/csv", "CSV, for spreadsheets"],
  ["application/json", "NDJSON: an event in each line"],
  ["application/vnd.apache.parquet", "Parquet"],
] as const;

/** What is known already, as from the explorer. */
export interface Wanted {
  event_collection?: string;
  filters?: Condition[];
}

interface ExportFormProps {
  of: Wanted;
  done: () => void;
  close: () => void;
}

export function ExportForm({ of, done, close }: ExportFormProps) {
  const { client, project } = useHere();
  const { value: schema = [] } = useLoaded((signal) => schemaOf(client, signal), [client]);
  const [collection, setCollection] = useState(of.event_collection ?? "");
  const [filters, setFilters] = useState<Condition[]>(of.filters ?? []);
  const [from, setFrom] = useState("");
  const [to, setTo] = useState("");
  const [type, setType] = useState<string>(TYPES[0][0]);
  const [packed, setPacked] = useState(false);
  const zone = viewersZone();
  const properties = schema.find(({ name }) => name === collection)?.properties ?? [];
  const act = async () => {
    if (!collection) throw new Error("Choose a collection.");
    if (!filters.every(isWhole)) throw new Error("Finish each filter, or remove it.");
    const timeframe = { ...(from && { start: midnight(from, zone) }), ...(to && { end: midnight(dayAfter(to), zone) }) };
    await manage(project, "POST", "queries/extraction", {
      event_collection: collection,
      delivery: "link",
      content_type: type,
      ...(packed && type !== "application/vnd.apache.parquet" && { content_encoding: "gzip" }),
      ...(filters.length && { filters }),
      ...((from || to) && { timeframe }),
    });
    done();
  };
  return (
    <Dialog title="Make a file of events" action="Make it" act={act} close={close}>
      <Field id="export-collection" label="Events in">
        <Combobox id="export-collection" value={collection} placeholder="Collection" free options={schema.map(({ name }) => ({ value: name }))}
          commit={setCollection} />
      </Field>
      <Filters id="export-filter" draft={{ event_collection: collection, timeframe: "", timezone: zone }} filters={filters}
        properties={properties} change={setFilters} error={undefined} />
      <div class="row two">
        <Field id="export-from" label="From the day">
          <input {...described("export-from")} type="date" value={from} max={to} onChange={(event) => setFrom(event.currentTarget.value)} />
        </Field>
        <Field id="export-to" label="To, included">
          <input {...described("export-to")} type="date" value={to} min={from} onChange={(event) => setTo(event.currentTarget.value)} />
        </Field>
      </div>
      <p class="hint">Both may stay empty: all time. Days are those of {zone}.</p>
      <Field id="export-type" label="As">
        <Choice id="export-type" value={type} choices={TYPES} choose={setType} />
      </Field>
      {type !== "application/vnd.apache.parquet" && (
        <label class="check">
          <input type="checkbox" checked={packed} onChange={(event) => setPacked(event.currentTarget.checked)} />
          Packed with gzip
        </label>
      )}
    </Dialog>
  );
}
