/** Delete events: which, how many they are, and a confirmation by their collection's name. */
import { useState } from "preact/hooks";
import { ApiError } from "acumen-client";
import { useHere } from "../../../context.ts";
import { useLoaded } from "../../../loading.ts";
import { isWhole, type Condition } from "../../../question.ts";
import { schemaOf } from "../../../schema.ts";
import { Combobox } from "../../../ui/combobox.tsx";
import { Dialog } from "../../../ui/dialog.tsx";
import { Choice, described, Field, TextField } from "../../../ui/field.tsx";
import { textOf } from "../../../ui/states.tsx";
import { dayAfter, midnight, viewersZone } from "../../../zones.ts";
import { countText } from "../../../words.ts";
import { Filters } from "../../explore/filters.tsx";
import { optionsOf } from "../../explore/properties.tsx";
import { manage } from "../api.ts";

const WHAT = [
  ["some", "Events that match filters or a time"],
  ["property", "A property of all events"],
  ["all", "The whole collection"],
] as const;

interface Wanted {
  collection: string;
  what: string;
  property: string;
  filters: Condition[];
  from: string;
  to: string;
}

const NOTHING: Wanted = { collection: "", what: "some", property: "", filters: [], from: "", to: "" };

export function Erase({ done }: { done: () => void }) {
  const { client, project, say } = useHere();
  const { value: schema = [], reload } = useLoaded((signal) => schemaOf(client, signal), [client]);
  const [wanted, setWanted] = useState(NOTHING);
  const [state, setState] = useState<{ busy: boolean; error: unknown; count: number | null }>({ busy: false, error: null, count: null });
  const change = (patch: Partial<Wanted>) => {
    setWanted({ ...wanted, ...patch });
    setState({ busy: false, error: null, count: null });
  };
  const properties = schema.find(({ name }) => name === wanted.collection)?.properties ?? [];
  const lacks = lacking(wanted);
  const count = async (event: Event) => {
    event.preventDefault();
    setState({ busy: true, error: null, count: null });
    try {
      const { result } = await manage<{ result: number }>(project, "POST", "queries/count", countOf(wanted));
      setState({ busy: false, error: null, count: result });
    } catch (error) {
      setState({ busy: false, error, count: null });
    }
  };
  const erase = async () => {
    const goes = await sent(() => manage(project, "DELETE", `events/${addressOf(wanted)}`));
    say(goes ? "The deletion goes on in the background." : "Deleted: no answer has them any more.");
    setWanted(NOTHING);
    setState({ busy: false, error: null, count: null });
    reload();
    done();
  };
  const error = state.error === null ? undefined : textOf(state.error);
  return (
    <section class="card part" aria-labelledby="erase">
      <h2 id="erase">Delete events</h2>
      <form onSubmit={count} noValidate>
        <Field id="erase-collection" label="In the collection">
          <Combobox id="erase-collection" value={wanted.collection} placeholder="Collection" free
            options={schema.map(({ name }) => ({ value: name }))} commit={(collection) => change({ collection })} />
        </Field>
        <Field id="erase-what" label="What">
          <Choice id="erase-what" value={wanted.what} choices={WHAT} choose={(what) => change({ what })} />
        </Field>
        {wanted.what === "property" && (
          <Field id="erase-property" label="Property, with all that is nested in it">
            <Combobox id="erase-property" value={wanted.property} placeholder="Property" free
              options={optionsOf(properties.filter(({ name }) => !name.startsWith("keen.")))} commit={(property) => change({ property })} />
          </Field>
        )}
        {wanted.what === "some" && (
          <>
            <Filters id="erase-filter" draft={{ event_collection: wanted.collection, timeframe: "", timezone: viewersZone() }}
              filters={wanted.filters} properties={properties} change={(filters) => change({ filters })} error={undefined} />
            <div class="row two">
              <Field id="erase-from" label="From the day (may stay empty)">
                <input {...described("erase-from")} type="date" value={wanted.from} max={wanted.to}
                  onChange={(event) => change({ from: event.currentTarget.value })} />
              </Field>
              <Field id="erase-to" label="To the day, included">
                <input {...described("erase-to")} type="date" value={wanted.to} min={wanted.from}
                  onChange={(event) => change({ to: event.currentTarget.value })} />
              </Field>
            </div>
            <p class="hint">Days are those of {viewersZone()}, by keen.timestamp.</p>
          </>
        )}
        <p class="fault" role={error ? "alert" : undefined}>
          {error}
        </p>
        <button type="submit" class="main" disabled={state.busy || lacks !== ""}>
          Count what would go
        </button>
        {lacks && wanted.collection && <p class="hint">{lacks}</p>}
      </form>
      {state.count !== null && (
        <Confirm wanted={wanted} count={state.count} erase={erase} close={() => setState({ ...state, count: null })} />
      )}
    </section>
  );
}

interface ConfirmProps {
  wanted: Wanted;
  count: number;
  erase: () => Promise<void>;
  close: () => void;
}

function Confirm({ wanted, count, erase, close }: ConfirmProps) {
  const [typed, setTyped] = useState("");
  const { collection, what, property } = wanted;
  const act = async () => {
    if (typed !== collection) throw new Error("Type the collection's name as it stands there.");
    await erase();
  };
  const goes = {
    some: `${countText(count, "event")} of “${collection}” will go.`,
    property: `“${property}” will go from ${countText(count, "event")} of “${collection}”.`,
    all: `All of “${collection}” will go: ${countText(count, "event")}.`,
  }[what];
  return (
    <Dialog title="Delete for good?" action="Delete" danger act={act} close={close}>
      <p>
        <strong>{goes}</strong> Events that arrive until then and match go too. Nothing brings them back but a backup.
      </p>
      <TextField id="erase-typed" label={`To confirm, type ${collection}`} value={typed} set={setTyped} autocomplete="off" />
    </Dialog>
  );
}

/** What is still to be said; empty once it is enough. */
function lacking({ collection, what, property, filters, from, to }: Wanted): string {
  if (!collection) return "Choose a collection.";
  if (what === "property") return property ? "" : "Choose a property.";
  if (what === "all") return "";
  if (!filters.every(isWhole)) return "Finish each filter, or remove it.";
  return filters.length || from || to ? "" : "Give a filter or a day, or choose the whole collection.";
}

function timeframeOf({ from, to }: Wanted) {
  const zone = viewersZone();
  if (!from && !to) return undefined;
  return { ...(from && { start: midnight(from, zone) }), ...(to && { end: midnight(dayAfter(to), zone) }) };
}

/** The question that counts what the deletion would take. */
function countOf(wanted: Wanted): object {
  const { collection: event_collection, what, property, filters } = wanted;
  if (what === "all") return { event_collection };
  if (what === "property") {
    return { event_collection, filters: [{ property_name: property, operator: "exists", property_value: true }] };
  }
  return { event_collection, filters, timeframe: timeframeOf(wanted) };
}

function addressOf(wanted: Wanted): string {
  const { collection, what, property, filters } = wanted;
  const path = encodeURIComponent(collection);
  if (what === "all") return path;
  if (what === "property") return `${path}/properties/${encodeURIComponent(property)}`;
  const query = new URLSearchParams();
  if (filters.length) query.set("filters", JSON.stringify(filters));
  const timeframe = timeframeOf(wanted);
  if (timeframe) query.set("timeframe", JSON.stringify(timeframe));
  // Without a parameter it would mean the whole collection.
  if (![...query.keys()].length) throw new Error("This would delete everything.");
  return `${path}?${query}`;
}

/** Whether the work goes on after the answer. */
async function sent(ask: () => Promise<unknown>): Promise<boolean> {
  try {
    await ask();
    return false;
  } catch (error) {
    if (error instanceof ApiError && error.status === 504) return true;
    throw error;
  }
}
