/** The fields of a funnel: its steps, their order, and what else is asked of them. */
import { Check, CollectionOf, Conditions, Count, GroupBy, merged, More, Pick, PropertyOf, Span, Who, within } from "./fields.tsx";
import type { FormProps } from "./index.tsx";
import type { Json } from "./own.ts";

export const ORDERS = [
  ["ordered", "One after the other"],
  ["strict", "With no other step between"],
  ["", "In any order"],
] as const;
const EQUAL_TIMES = [
  ["", "In the order of the steps"],
  ["apart", "Do not follow each other"],
] as const;
const COUNTINGS = [
  ["", "Each actor once"],
  ["sessions", "Sessions"],
  ["conversions", "Every conversion"],
] as const;
/** What only a funnel with an order takes. */
const OF_ORDER = ["window", "equal_times", "exclusions", "hold", "attribution", "counting", "session_gap", "times", "explain_actor", "group_by", "interval"];
const OF_STEPS = ["min_gap", "max_gap"];

export const KNOWN = ["steps", "order", "actor_property", "filters", ...OF_ORDER];

export function FunnelForm({ form, context }: FormProps) {
  const { own, set } = form;
  const steps: Json[] = own.steps;
  const order: string = own.order ?? "";
  const ordered = order !== "" && order !== "any";
  const first = steps[0]?.event_collection;
  const all = steps.map((one) => one.event_collection);
  const change = (next: Json[]) => set({ steps: next });
  const reorder = (chosen: string | undefined) => {
    if (chosen) return set({ order: chosen });
    // Without an order the API refuses what only an order explains.
    const without = steps.map((one) => merged(one, Object.fromEntries(OF_STEPS.map((name) => [name, undefined]))));
    set({ order: undefined, steps: without, ...Object.fromEntries(OF_ORDER.map((name) => [name, undefined])) });
  };
  const groups = Array.isArray(own.group_by) ? own.group_by[0] : own.group_by;
  return (
    <>
      <Who form={form} of={all} />
      <fieldset>
        <legend>{ordered ? "Who did this, then that" : "Who did all of this"}</legend>
        {steps.map((step, at) => (
          <Step key={at} form={form} step={step} at={at} of={steps} ordered={ordered} context={context} change={change} />
        ))}
        <p class="fault" role={form.fault("steps") ? "alert" : undefined}>
          {steps.some((_, at) => form.fault(`steps[${at}]`)) ? "" : form.fault("steps")}
        </p>
        <button type="button" class="quiet add" onClick={() => change([...steps, { event_collection: "" }])}>
          + Step
        </button>
      </fieldset>
      <Pick form={{ ...form, own: { order: order === "any" ? "" : order }, set: (patch) => reorder(patch.order) }} name="order" label="Steps follow" choices={ORDERS} />
      {ordered && <Span form={form} name="window" label="Within, from the first to the last" />}
      <Conditions form={form} id="filter" of={[first]} context={context} />
      {ordered ? (
        <>
          <GroupBy form={{ ...form, own: { ...own, group_by: groups } }} of={all} />
          {groups && (
            <Pick form={form} name="attribution" label="The group is that of" choices={[["", "The first step"], ["last", "The last step that was reached"], ...steps.map((_, at) => [String(at + 1), `Step ${at + 1}`] as const)]} />
          )}
          <Check form={{ ...form, own: { times: Boolean(own.times) }, set: ({ times }) => set({ times }) }} name="times" label="How long each step takes" />
          {own.times && (groups || own.interval) && <p class="hint">Of groups and over time the times stand under “JSON”; the chart has those of a funnel in one piece.</p>}
          <More label="More about the order" open={["equal_times", "exclusions", "hold", "counting", "session_gap"].some((name) => own[name] !== undefined || form.fault(name))}>
            <Pick form={form} name="counting" label="A number counts" choices={COUNTINGS} />
            {own.counting === "sessions" && <Span form={form} name="session_gap" label="A session ends after" unit="minutes" placeholder="30" />}
            <Pick form={form} name="equal_times" label="Steps at the same time" choices={EQUAL_TIMES} />
            <PropertyOf form={form} name="hold" label="With the same value in all steps" of={all} placeholder="Any property" />
            <Exclusions form={form} context={context} steps={steps} />
          </More>
        </>
      ) : (
        <p class="hint">With an order, a funnel can be split by groups and by time, and says how long its steps take.</p>
      )}
    </>
  );
}

interface StepProps extends FormProps {
  step: Json;
  at: number;
  of: Json[];
  ordered: boolean;
  change: (steps: Json[]) => void;
}

export function Step({ form, step, at, of, ordered, context, change }: StepProps) {
  const path = `steps[${at}]`;
  const part = within(form, step, path, (patch) => change(of.map((one, index) => (index === at ? merged(one, patch) : one))));
  const swap = () => change(of.map((one, index) => (index === at ? of[at - 1]! : index === at - 1 ? step : one)));
  const label = `Step ${at + 1}`;
  const said = ["filters", "optional", "inverted", "min_gap", "max_gap", "actor_property", "timeframe"].some((name) => step[name] || part.fault(name));
  return (
    <div class="step" role="group" aria-label={label}>
      <CollectionOf form={part} label={`${label}: collection`} id={`step-${at}`} />
      <span class="row tight">
        {at > 0 && (
          <button type="button" class="quiet icon" aria-label={`Move step ${at + 1} up`} onClick={swap}>
            ↑
          </button>
        )}
        <button type="button" class="quiet icon" aria-label={`Remove step ${at + 1}`} disabled={of.length < 2} onClick={() => change(of.filter((_, index) => index !== at))}>
          ×
        </button>
      </span>
      <More label="Which of them" open={said}>
        <Conditions form={part} id={`step-${at}-filter`} of={[step.event_collection]} context={context} />
        {at > 0 && <Check form={part} name="optional" label="Optional: nobody drops out here" />}
        {at > 0 && <Check form={part} name="inverted" label="Those who did not do it" />}
        {at > 0 && ordered && <Span form={part} name="min_gap" id={`step-${at}-min`} label="At least so long after the step before" unit="minutes" />}
        {at > 0 && ordered && <Span form={part} name="max_gap" id={`step-${at}-max`} label="At most so long after it" />}
        <PropertyOf form={part} name="actor_property" id={`step-${at}-actor`} label="Who, if called otherwise" of={[step.event_collection]} placeholder="As above" />
        {step.timeframe && <p class="hint">This step has a time of its own ({typeof step.timeframe === "string" ? step.timeframe : "from … to …"}); it stays.</p>}
      </More>
    </div>
  );
}

function Exclusions({ form, context, steps }: FormProps & { steps: Json[] }) {
  const list: Json[] = form.own.exclusions ?? [];
  const change = (next: Json[]) => form.set({ exclusions: next.length ? next : undefined });
  return (
    <fieldset>
      <legend>But not who did this between</legend>
      {list.map((one, at) => {
        const part = within(form, one, `exclusions[${at}]`, (patch) => change(list.map((old, index) => (index === at ? merged(old, patch) : old))));
        const label = `Exclusion ${at + 1}`;
        return (
          <div class="step" role="group" aria-label={label} key={at}>
            <CollectionOf form={part} label={`${label}: collection`} id={`exclusion-${at}`} />
            <button type="button" class="quiet icon" aria-label={`Remove exclusion ${at + 1}`} onClick={() => change(list.filter((_, index) => index !== at))}>
              ×
            </button>
            <div class="row two">
              <Count form={part} name="after_step" id={`exclusion-${at}-after`} label="After step" placeholder="1" />
              <Count form={part} name="before_step" id={`exclusion-${at}-before`} label="Before step" placeholder={String(steps.length)} />
            </div>
            <More label="Which of them" open={Boolean(one.filters)}>
              <Conditions form={part} id={`exclusion-${at}-filter`} of={[one.event_collection]} context={context} />
            </More>
          </div>
        );
      })}
      <button type="button" class="quiet add" onClick={() => change([...list, { event_collection: "" }])}>
        + Exclusion
      </button>
    </fieldset>
  );
}
