/** The fields that say a question. */
import { ANALYSES, emptyStep, NUMERIC, takesGroups, takesTarget, type Draft, type Step } from "../../question.ts";
import type { CollectionSchema, Property } from "../../schema.ts";
import { Combobox } from "../../ui/combobox.tsx";
import { Choice, described, Field } from "../../ui/field.tsx";
import { Filters } from "./filters.tsx";
import { Groups, optionsOf } from "./properties.tsx";
import { When } from "./when.tsx";

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
  change: (patch: Partial<Draft>) => void;
}

export function QuestionForm({ draft, schema, faults, warnings, change }: FormProps) {
  const funnel = draft.analysis_type === "funnel";
  // A funnel's filters are about the events of its first step.
  const event_collection = funnel ? draft.steps[0]!.event_collection : draft.event_collection;
  const properties = propertiesOf(schema, event_collection);
  const reset = (name: string) => change({ event_collection: name, ...forgotten(draft, propertiesOf(schema, name)) });
  return (
    <div class="fields">
      <Field id="analysis" label="Show">
        <Choice id="analysis" value={draft.analysis_type} choices={ANALYSES} choose={(name) => change({ analysis_type: name, ...begun(draft, name) })} />
      </Field>
      {funnel ? (
        <Steps steps={draft.steps} schema={schema} change={(steps) => change({ steps })} error={faults.steps} />
      ) : (
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
      )}
      {takesTarget(draft.analysis_type) && (
        <Target draft={draft} properties={properties} faults={faults} warnings={warnings} change={change} />
      )}
      <Filters draft={{ ...draft, event_collection }} filters={draft.filters} properties={properties} change={(filters) => change({ filters })}
        error={faults.filters ?? warnings.filters} />
      {takesGroups(draft.analysis_type) && (
        <>
          <Field id="group_by" label="Group by" error={faults.group_by} warning={warnings.group_by}>
            <Groups groups={draft.group_by} properties={properties} change={(group_by) => change({ group_by })} />
          </Field>
          {draft.group_by.length > 0 && (
            <Limit draft={draft} error={faults.limit} change={change} />
          )}
        </>
      )}
      {funnel && <p class="hint">Funnels are not split by groups yet: use a filter, or compare several questions side by side.</p>}
      <When draft={draft} change={change} faults={faults} />
    </div>
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

/** A funnel begins with the collection that was chosen before, as long as no step says who. */
function begun({ analysis_type, event_collection, steps }: Draft, next: string): Partial<Draft> {
  if (next !== "funnel" || analysis_type === "funnel" || steps.some((one) => one.actor_property)) return {};
  return { steps: [emptyStep(event_collection), ...steps.slice(1)] };
}

/** What another collection does not have is forgotten with the one that had it. */
function forgotten(draft: Draft, properties: Property[]): Partial<Draft> {
  const has = (name: string) => properties.some((one) => one.name === name);
  return {
    target_property: has(draft.target_property) ? draft.target_property : "",
    filters: draft.filters.filter(({ property_name }) => has(property_name)),
    group_by: draft.group_by.filter(has),
  };
}

function Target({ draft, properties, faults, warnings, change }: Omit<FormProps, "schema"> & { properties: Property[] }) {
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

interface StepsProps {
  steps: Step[];
  schema: CollectionSchema[];
  change: (steps: Step[]) => void;
  error: string | undefined;
}

function Steps({ steps, schema, change, error }: StepsProps) {
  const set = (at: number, patch: Partial<Step>) => {
    // Mostly it is the same property that says who.
    const actor = patch.actor_property;
    change(
      steps.map((one, index) => {
        if (index === at) return { ...one, ...patch };
        return actor && !one.actor_property ? { ...one, actor_property: actor } : one;
      }),
    );
  };
  const add = () => {
    const known = steps.filter((one) => one.actor_property).at(-1)?.actor_property ?? "";
    change([...steps, { ...emptyStep(), actor_property: known }]);
  };
  return (
    <fieldset>
      <legend>Who did this, then that</legend>
      {steps.map((step, at) => (
        <div class="step" role="group" aria-label={`Step ${at + 1}`} key={at}>
          <label for={`step-${at}`}>Step {at + 1}: collection</label>
          <Combobox id={`step-${at}`} label={`Step ${at + 1}: collection`} placeholder="Collection" value={step.event_collection}
            options={schema.map(({ name }) => ({ value: name }))} free prefer="first" commit={(name) => set(at, { event_collection: name })} />
          <label for={`actor-${at}`}>Step {at + 1}: who</label>
          <Combobox id={`actor-${at}`} label={`Step ${at + 1}: who`} placeholder="Who: a property" value={step.actor_property}
            options={optionsOf(propertiesOf(schema, step.event_collection))} free prefer="beginning" commit={(name) => set(at, { actor_property: name })} />
          <button type="button" class="quiet icon" aria-label={`Remove step ${at + 1}`} disabled={steps.length < 2}
            onClick={() => change(steps.filter((_, index) => index !== at))}>
            ×
          </button>
        </div>
      ))}
      <p class="fault" role={error ? "alert" : undefined}>{error}</p>
      <button type="button" class="quiet add" onClick={add}>
        + Step
      </button>
    </fieldset>
  );
}
