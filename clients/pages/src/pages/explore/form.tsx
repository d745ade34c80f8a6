/** The fields that say a question. */
import { lazy } from "../../lazy.tsx";
import { ANALYSES, isOfCohort, NUMERIC, takesGroups, takesTarget } from "../../question.ts";
import type { CollectionSchema, Property } from "../../schema.ts";
import { Combobox } from "../../ui/combobox.tsx";
import { Choice, described, Field } from "../../ui/field.tsx";
import { asOwn, asPlain, type AnyDraft as Draft } from "./asking/draft.ts";
import { collectionOf, isOwn, type Json } from "./asking/own.ts";
import { useCohorts } from "./cohort_names.ts";
import { Filters } from "./filters.tsx";
import { Groups, optionsOf } from "./properties.tsx";
import { When } from "./when.tsx";

const OwnForm = lazy(() => import("../forms.ts"), "OwnForm");

const LIMITS = [
  ["", "All groups"],
  ["5", "The 5 largest"],
  ["10", "The 10 largest"],
  ["25", "The 25 largest"],
  ["100", "The 100 largest"],
] as const;

interface FormProps {
  draft: Draft;
  schema: CollectionSchema[];
  faults: Record<string, string>;
  warnings: Record<string, string>;
  /** What is wrong with the field of a path. */
  fault: (path: string) => string | undefined;
  change: (patch: Partial<Draft>) => void;
}

export function QuestionForm(props: FormProps) {
  const { draft, schema, change } = props;
  const choose = (name: string) => change(isOwn(name) ? asOwn(draft, name, schema) : asPlain(draft, name));
  return (
    <div class="fields">
      <Field id="analysis" label="Show">
        <Choice id="analysis" value={draft.analysis_type} choices={ANALYSES} choose={choose} />
      </Field>
      {draft.own ? <OwnFields {...props} own={draft.own} /> : <PlainFields {...props} />}
    </div>
  );
}

/** Whether a question may be divided into parts of time, or has to be. */
function partsOf(analysis: string, own: Json): "none" | "may" | "must" {
  if (analysis === "retention" || analysis === "lifecycle") return "must";
  if (analysis === "paths" || (analysis === "stickiness" && !own.histogram)) return "none";
  return analysis === "funnel" && [undefined, "any"].includes(own.order) ? "none" : "may";
}

function OwnFields({ draft, own, schema, fault, change }: FormProps & { own: Json }) {
  const analysis = draft.analysis_type;
  const set = (patch: Json) => {
    const next = Object.entries({ ...own, ...patch }).filter(([, value]) => value !== undefined);
    change({ own: Object.fromEntries(next) });
  };
  const time = { timeframe: own.timeframe ?? "", timezone: String(own.timezone ?? "UTC"), interval: String(own.interval ?? "") };
  const context = { timeframe: time.timeframe, timezone: time.timezone };
  const faults = { timeframe: fault("timeframe"), timezone: fault("timezone"), interval: fault("interval") };
  // Empty is what is not asked: all time, all together.
  const when = (patch: Partial<Json>) => set(Object.fromEntries(["timeframe", "timezone", "interval"].filter((name) => name in patch).map((name) => [name, patch[name] || undefined])));
  return (
    <>
      <OwnForm key={analysis} analysis={analysis} form={{ own, set, schema, fault }} context={context} />
      <When draft={{ ...time, event_collection: collectionOf(own), limits_parts: false }} change={when} faults={faults} parts={partsOf(analysis, own)} />
    </>
  );
}

function PlainFields({ draft, schema, faults, warnings, change }: FormProps) {
  const cohorts = useCohorts();
  const properties = propertiesOf(schema, draft.event_collection);
  const reset = (name: string) => change({ event_collection: name, ...forgotten(draft, propertiesOf(schema, name)) });
  return (
    <>
      <Field id="event_collection" label="Of events in" error={faults.event_collection} warning={warnings.event_collection}>
        <Combobox
          id="event_collection"
          placeholder="Collection"
          value={draft.event_collection}
          options={schema.map(({ name }) => ({ value: name }))}
          free
          prefer="first"
          commit={reset}
          error={faults.event_collection}
        />
      </Field>
      {takesTarget(draft.analysis_type) && (
        <Target draft={draft} properties={properties} faults={faults} warnings={warnings} change={change} />
      )}
      <Filters draft={draft} filters={draft.filters} properties={properties} cohorts={cohorts} change={(filters) => change({ filters })}
        error={faults.filters ?? warnings.filters} />
      {takesGroups(draft.analysis_type) && (
        <>
          <Field id="group_by" label="Group by" error={faults.group_by} warning={warnings.group_by}>
            <Groups groups={draft.group_by} properties={properties} cohorts={cohorts} change={(group_by) => change({ group_by })} />
          </Field>
          {draft.group_by.length > 0 && (
            <Limit draft={draft} error={faults.limit} change={change} />
          )}
        </>
      )}
      <When draft={draft} change={change} faults={faults} parts={takesGroups(draft.analysis_type) ? "may" : "none"} />
    </>
  );
}

/** The largest groups. With an interval the server has those of each part, which are different ones. */
function Limit({ draft, error, change }: Pick<FormProps, "draft" | "change"> & { error: string | undefined }) {
  const { limit, limits_parts: ofParts } = draft;
  const inParts = draft.interval !== "" && draft.timeframe !== "";
  if (inParts && !ofParts) {
    return (
      <div class="field">
        <p class="hint">All groups are asked for, since the largest would be others in each part. The chart draws the largest of all.</p>
      </div>
    );
  }
  const hint = inParts ? "Of each part these are its own largest, so lines may break off." : undefined;
  return (
    <Field id="limit" label="How many groups" error={error} hint={hint}>
      <Choice id="limit" value={limit} choices={LIMITS} error={error}
        choose={(chosen) => change({ limit: chosen, limits_parts: ofParts && chosen !== "" })} />
    </Field>
  );
}

function propertiesOf(schema: CollectionSchema[], name: string): Property[] {
  return schema.find((one) => one.name === name)?.properties ?? [];
}

/** What another collection does not have is forgotten with the one that had it. */
function forgotten(draft: Draft, properties: Property[]): Partial<Draft> {
  const has = (name: string) => properties.some((one) => one.name === name);
  return {
    target_property: has(draft.target_property) ? draft.target_property : "",
    filters: draft.filters.filter((one) => isOfCohort(one) || has(one.property_name)),
    group_by: draft.group_by.filter((one) => typeof one !== "string" || has(one)),
  };
}

function Target({ draft, properties, faults, warnings, change }: Omit<FormProps, "schema" | "fault"> & { properties: Property[] }) {
  const preferred = NUMERIC.has(draft.analysis_type) ? "num" : undefined;
  return (
    <>
      <Field id="target_property" label="Of property" error={faults.target_property} warning={warnings.target_property}>
        <Combobox
          id="target_property"
          placeholder="Property"
          value={draft.target_property}
          options={optionsOf(properties, preferred)}
          free
          prefer="beginning"
          commit={(name) => change({ target_property: name })}
          error={faults.target_property}
        />
      </Field>
      {draft.analysis_type === "percentile" && (
        <Field id="percentile" label="Per cent" error={faults.percentile}>
          <input
            {...described("percentile", faults.percentile)}
            type="number"
            step="any"
            value={draft.percentile}
            onChange={(event) => change({ percentile: event.currentTarget.value })}
          />
        </Field>
      )}
    </>
  );
}
