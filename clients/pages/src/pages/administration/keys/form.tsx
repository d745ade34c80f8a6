/** The fields of an access key: what it may do, and what narrows that. */
import { useHere } from "../../../context.ts";
import { useLoaded } from "../../../loading.ts";
import { schemaOf, valuesFrom, type Property } from "../../../schema.ts";
import { described, Field, TextField } from "../../../ui/field.tsx";
import { Filters } from "../../explore/filters.tsx";
import { OPERATIONS, PERMITTED, QUOTAS, type KeyDraft } from "./draft.ts";
import { DatasetNames, NameLists } from "./names.tsx";

interface KeyFormProps {
  draft: KeyDraft;
  set: (draft: KeyDraft) => void;
  faults: Record<string, string>;
}

export function KeyForm({ draft, set, faults }: KeyFormProps) {
  const change = (patch: Partial<KeyDraft>) => set({ ...draft, ...patch });
  const may = (name: string) => draft.permitted.includes(name);
  return (
    <>
      <TextField id="name" label="Name" value={draft.name} set={(name) => change({ name })} error={faults.name}
        hint="Who or what it is for. People who manage the project see it." autocomplete="off" />
      <Checks legend="What it may do" choices={PERMITTED} chosen={draft.permitted} error={faults.permitted}
        set={(permitted) => change({ permitted })}
        hint="A saved query is computed each time it is asked for, or its result is kept: the server renews it every so many hours, and answers at once." />
      {may("writes") && <OfWrites draft={draft} change={change} faults={faults} />}
      {(may("queries") || may("schema")) && <OfQueries draft={draft} change={change} faults={faults} />}
      {(may("saved_queries") || may("cached_queries") || may("query_definition")) && (
        <OfSaved draft={draft} change={change} faults={faults} />
      )}
      {may("datasets") && <OfDatasets draft={draft} change={change} faults={faults} />}
      <OfLimits draft={draft} change={change} faults={faults} />
    </>
  );
}

interface PartProps {
  draft: KeyDraft;
  change: (patch: Partial<KeyDraft>) => void;
  faults: Record<string, string>;
}

interface ChecksProps {
  legend: string;
  choices: readonly (readonly [name: string, label: string])[];
  chosen: string[];
  set: (chosen: string[]) => void;
  error: string | undefined;
  hint?: string;
}

function Checks({ legend, choices, chosen, set, error, hint }: ChecksProps) {
  // In the order of the choices, whatever order they were chosen in.
  const toggle = (name: string, on: boolean) =>
    set(choices.map(([one]) => one).filter((one) => (one === name ? on : chosen.includes(one))));
  return (
    <fieldset>
      <legend>{legend}</legend>
      {choices.map(([name, label]) => (
        <label class="check" key={name}>
          <input type="checkbox" checked={chosen.includes(name)} onChange={(event) => toggle(name, event.currentTarget.checked)} />
          {label}
        </label>
      ))}
      {hint && <p class="hint">{hint}</p>}
      <p class="fault" role={error ? "alert" : undefined}>
        {error}
      </p>
    </fieldset>
  );
}

function OfWrites({ draft, change, faults }: PartProps) {
  const error = faults["options.writes.autofill"];
  return (
    <section class="card part" aria-labelledby="of-writes">
      <h3 id="of-writes">Events it sends</h3>
      <Field id="autofill" label="Written into every event (JSON, may stay empty)" error={error}
        hint={<>It wins over what the event says: <code>{'{"customer": {"id": "c1"}}'}</code></>}>
        <textarea {...described("autofill", error)} class="json" rows={3} spellcheck={false} value={draft.autofill}
          onInput={(event) => change({ autofill: event.currentTarget.value })} />
      </Field>
    </section>
  );
}

/** The properties of all collections, each once, and where their values are suggested from. */
function useProperties(): { properties: Property[]; context: ReturnType<typeof valuesFrom> } {
  const { client } = useHere();
  const { value = [] } = useLoaded((signal) => schemaOf(client, signal), [client]);
  const byName = new Map(value.flatMap(({ properties }) => properties).map((one) => [one.name, one]));
  const properties = [...byName.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  return { properties, context: valuesFrom(value) };
}

function OfQueries({ draft, change, faults }: PartProps) {
  const { properties, context } = useProperties();
  return (
    <section class="card part" aria-labelledby="of-queries">
      <h3 id="of-queries">Questions, and names of properties</h3>
      <Filters id="query-filter" legend="It sees only events for which" draft={context} filters={draft.filters} properties={properties}
        change={(filters) => change({ filters })} error={faults["options.queries.filters"]} />
      <label class="check">
        <input type="checkbox" checked={draft.extraction} onChange={(event) => change({ extraction: event.currentTarget.checked })} />
        It may extract single events, not only count them
      </label>
    </section>
  );
}

function OfSaved({ draft, change, faults }: PartProps) {
  const { client } = useHere();
  const { properties, context } = useProperties();
  const { value = [] } = useLoaded((signal) => client.savedQueries.list({ signal }), [client]);
  const names = value.map(({ query_name }) => query_name);
  // Definitions are narrowed by both lists.
  const isOf = (right: string) => [right, "query_definition"].some((one) => draft.permitted.includes(one));
  return (
    <section class="card part" aria-labelledby="of-saved">
      <h3 id="of-saved">Saved queries</h3>
      <Filters id="saved-filter" legend="Results are computed only of events for which" draft={context} filters={draft.savedFilters}
        properties={properties} change={(savedFilters) => change({ savedFilters })} error={faults["options.saved_queries.filters"]} />
      {isOf("saved_queries") && (
        <NameLists id="saved" what="saved queries that are computed each time" names={names} lists={draft.saved}
          set={(saved) => change({ saved })} faults={[faults["options.saved_queries.allowed"], faults["options.saved_queries.blocked"]]} />
      )}
      {isOf("cached_queries") && (
        <NameLists id="cached" what="saved queries that are kept" names={names} lists={draft.cached}
          set={(cached) => change({ cached })} faults={[faults["options.cached_queries.allowed"], faults["options.cached_queries.blocked"]]} />
      )}
    </section>
  );
}

function OfDatasets({ draft, change, faults }: PartProps) {
  return (
    <section class="card part" aria-labelledby="of-datasets">
      <h3 id="of-datasets">Cached datasets</h3>
      <p class="hint">Datasets are computed of all events: the filters above do not hold for them.</p>
      <Checks legend="What it may do with them" choices={OPERATIONS} chosen={draft.operations}
        set={(operations) => change({ operations })} error={faults["options.datasets.operations"]} />
      <DatasetNames draft={draft} change={change} faults={faults} />
    </section>
  );
}

function OfLimits({ draft, change, faults }: PartProps) {
  const origins = faults["options.embed.origins"];
  const limited = Object.values(draft.quotas).some(Boolean) || draft.origins !== null;
  return (
    <details class="card part" open={limited || Object.keys(faults).some((name) => /quotas|embed/.test(name))}>
      <summary>Limits, and pages that may embed</summary>
      <div class="columns">
        {QUOTAS.map(([name, label]) => {
          const error = faults[`options.quotas.${name}`];
          return (
            <Field key={name} id={name} label={label} error={error}>
              <input {...described(name, error)} inputMode="numeric" placeholder="No limit" value={draft.quotas[name] ?? ""}
                onInput={(event) => change({ quotas: { ...draft.quotas, [name]: event.currentTarget.value } })} />
            </Field>
          );
        })}
      </div>
      <label class="check">
        <input type="checkbox" checked={draft.origins !== null}
          onChange={(event) => change({ origins: event.currentTarget.checked ? "" : null })} />
        Its embed tokens work on these pages only
      </label>
      {draft.origins !== null && (
        <Field id="origins" label="Origins, one a line" error={origins} hint={<>As <code>https://shop.example</code></>}>
          <textarea {...described("origins", origins)} class="json" rows={3} spellcheck={false} value={draft.origins}
            onInput={(event) => change({ origins: event.currentTarget.value })} />
        </Field>
      )}
    </details>
  );
}
