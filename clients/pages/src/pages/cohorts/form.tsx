/** The form of a cohort: what its actors did, which step of a funnel they came to, or a list of them. */
import type { ActorCohort, CohortDefinition, Timeframe } from "acumen-client";
import { useState } from "preact/hooks";
import { useHere } from "../../context.ts";
import { useLoaded } from "../../loading.ts";
import { go } from "../../router.ts";
import { schemaOf, type CollectionSchema } from "../../schema.ts";
import { slugOf } from "../../slug.ts";
import { faultsOf, useSubmit } from "../../submit.ts";
import { Choice, described, Field } from "../../ui/field.tsx";
import { Loading, Problem } from "../../ui/states.tsx";
import { countText } from "../../words.ts";
import { viewersZone } from "../../zones.ts";
import { Check, CollectionOf, Conditions, Count, merged, More, Pick, PropertyOf, Span, within, type Form } from "../explore/asking/fields.tsx";
import { ORDERS, Step } from "../explore/asking/funnel.tsx";
import { likelyActor } from "../explore/asking/own.ts";
import { forgetCohorts } from "../explore/cohort_names.ts";
import { faultAt } from "../explore/faults.ts";
import { Frame } from "../explore/when.tsx";
import { actorsIn, asHow, howOf, lacking, tidied, type How } from "./definition.ts";
import { titleOf } from "./words.ts";

type Json = Record<string, any>;

const KINDS = [
  ["behaviour", "By what they did"],
  ["funnel", "By a funnel’s step"],
  ["static", "A list"],
] as const;
const HOWS: readonly (readonly [How, string])[] = [
  ["at_least", "did at least so often"],
  ["at_most", "did at most so often"],
  ["exactly", "did exactly so often"],
  ["between", "did so often, from … to …"],
  ["never", "never did"],
  ["in_cohort", "are in the cohort"],
  ["not_in_cohort", "are not in the cohort"],
];

/** The definition that an address begins with; null where it asks for none. */
export function givenIn(query: URLSearchParams): Json | null {
  if (query.has("new")) return {};
  try {
    const found: unknown = JSON.parse(query.get("of") ?? "null");
    return found && typeof found === "object" ? (found as Json) : null;
  } catch {
    // Somebody has cut the address.
    return {};
  }
}

/** Whether the values of a property are numbers, as the events have them. */
export const areNumbers = (schema: readonly CollectionSchema[], property: unknown): boolean =>
  schema.some(({ properties }) => properties.some(({ name, type }) => name === property && type === "num"));

interface FormProps {
  given: Json;
  saved?: ActorCohort;
  done?: () => void;
}

export function CohortForm(props: FormProps) {
  const { client } = useHere();
  const known = useLoaded(async (signal) => ({ schema: await schemaOf(client, signal), cohorts: await client.cohorts.list({ signal }) }), [client]);
  if (known.error) return <Problem error={known.error} retry={known.reload} />;
  if (!known.value) return <Loading what="the form" lines={6} />;
  return <Fields {...props} schema={known.value.schema} cohorts={known.value.cohorts} />;
}

function beginning(schema: readonly CollectionSchema[]): Json {
  const [first] = schema;
  const actor = schema.map(({ properties }) => likelyActor(properties)).find(Boolean);
  return { ...(actor && { actor_property: actor }), all: [{ event_collection: first?.name ?? "", at_least: 1, timeframe: "this_30_days", timezone: viewersZone() }] };
}

function Fields({ given, saved, done, schema, cohorts }: FormProps & { schema: CollectionSchema[]; cohorts: ActorCohort[] }) {
  const { client, to, say } = useHere();
  const { actor_property: who, all, any, funnel } = given;
  const [own, setOwn] = useState<Json>(() => (all || any || funnel ? tidied({ actor_property: who, all, any, funnel }) : beginning(schema)));
  const [kind, setKind] = useState(funnel ? "funnel" : "behaviour");
  const [title, setTitle] = useState(saved ? titleOf(saved) : "");
  const [pasted, setPasted] = useState("");
  const [typed, setNumbers] = useState<string | null>(null);
  const numbers = (typed ?? (areNumbers(schema, own.actor_property) ? "numbers" : "texts")) === "numbers";
  const name = saved?.name ?? slugOf(title);
  const taken = !saved && cohorts.some((one) => one.name === name);
  const definition = { actor_property: own.actor_property, ...(kind === "static" ? { actors: actorsIn(pasted, numbers) } : kind === "funnel" ? { funnel: own.funnel } : { all: own.all, any: own.any }) };
  const { busy, error, submit } = useSubmit(async () => {
    if (!name) throw new Error("It needs a title with letters or digits.");
    const lacks = lacking(definition);
    if (lacks) throw new Error(lacks);
    await client.cohorts.put(name, { ...tidied(definition), display_name: title } as CohortDefinition);
    forgetCohorts();
    say(`“${title}” is saved.`);
    done?.();
    go(to("cohorts", name));
  });
  const form: Form = { own, set: (patch) => setOwn(merged(own, patch)), schema, fault: faultAt(error) };
  const choose = (chosen: string) => {
    setKind(chosen);
    if (chosen === "funnel" && !own.funnel) form.set({ funnel: { order: "ordered", steps: [{ event_collection: "" }, { event_collection: "" }], step: 2, timeframe: "this_30_days" } });
    if (chosen === "behaviour" && !own.all && !own.any) form.set(beginning(schema));
  };
  const others = cohorts.filter((one) => one.name !== saved?.name).map((one) => [one.name, titleOf(one)] as const);
  return (
    <>
      <h1>{saved ? `Change “${titleOf(saved)}”` : "New cohort"}</h1>
      <form class="cohort card" onSubmit={submit}>
        <Field id="title" label="Title" hint={name ? <>Questions call it <code>{name}</code>.</> : undefined} {...(taken && { warning: "There is a cohort of this name already; saving replaces it." })}>
          <input {...described("title")} value={title} maxLength={200} required onInput={(event) => setTitle(event.currentTarget.value)} />
        </Field>
        {!saved && (
          <Field id="kind" label="Who is in it">
            <Choice id="kind" value={kind} choices={KINDS} choose={choose} />
          </Field>
        )}
        <PropertyOf form={form} name="actor_property" label="Told from each other by" of={schema.map((one) => one.name)} placeholder="A property, as user.id" hint={own.actor_property ? undefined : "Empty: what the project’s settings say."} />
        {kind === "behaviour" && <Behaviour form={form} cohorts={others} />}
        {kind === "funnel" && own.funnel && <OfFunnel form={form} />}
        {kind === "static" && <Pasted text={pasted} set={setPasted} numbers={numbers} setNumbers={setNumbers} count={actorsIn(pasted, numbers).length} />}
        <p class="fault" role={error ? "alert" : undefined}>
          {Object.values(faultsOf(error))[0]}
        </p>
        <div class="row">
          <button type="submit" class="main" disabled={busy}>
            Save
          </button>
          <a class="button quiet" href={saved ? to("cohorts", saved.name) : to("cohorts")}>
            Cancel
          </a>
        </div>
      </form>
    </>
  );
}

interface BehaviourProps {
  form: Form;
  /** Names and titles of other cohorts. */
  cohorts: (readonly [string, string])[];
}

function Behaviour({ form, cohorts }: BehaviourProps) {
  const some = Boolean(form.own.any?.length);
  return (
    <>
      <Part form={form} name="all" legend="Those who did all of this" cohorts={cohorts} />
      <More label="And at least one of several things" open={some}>
        <Part form={form} name="any" legend="And one of these, or more" cohorts={cohorts} />
      </More>
    </>
  );
}

function Part({ form, name, legend, cohorts }: BehaviourProps & { name: "all" | "any"; legend: string }) {
  const list: Json[] = form.own[name] ?? [];
  const change = (next: Json[]) => form.set({ [name]: next.length ? next : undefined });
  return (
    <fieldset>
      <legend>{legend}</legend>
      {list.map((one, at) => {
        const put = (next: Json) => change(list.map((old, index) => (index === at ? next : old)));
        const part = within(form, one, `${name}[${at}]`, (patch) => put(merged(one, patch)));
        return <ConditionOf key={at} form={part} id={`${name}-${at}-`} label={`Condition ${at + 1}`} cohorts={cohorts} put={put} remove={() => change(list.filter((_, index) => index !== at))} />;
      })}
      <button type="button" class="quiet add" onClick={() => change([...list, { event_collection: "", at_least: 1, timeframe: list[0]?.timeframe, timezone: list[0]?.timezone }])}>
        + Condition
      </button>
    </fieldset>
  );
}

interface ConditionProps extends BehaviourProps {
  id: string;
  label: string;
  put: (condition: Json) => void;
  remove: () => void;
}

function ConditionOf({ form, id, label, cohorts, put, remove }: ConditionProps) {
  const { own, schema } = form;
  const how = howOf(own);
  const choices = HOWS.filter(([one]) => !one.endsWith("in_cohort") || cohorts.length || one === how);
  const change = (chosen: string) => put(asHow(own, chosen as How, own.event_collection ?? schema[0]?.name ?? "", cohorts[0]?.[0] ?? ""));
  const counted = (name: string, called: string) => <Count form={form} name={name} id={id + name} label={called} />;
  return (
    <div class="step" role="group" aria-label={label}>
      <Field id={`${id}how`} label={`${label}: they`} error={form.fault("in_cohort")}>
        <Choice id={`${id}how`} value={how} choices={choices} choose={change} />
      </Field>
      <button type="button" class="quiet icon" aria-label={`Remove ${label.toLowerCase()}`} onClick={remove}>
        ×
      </button>
      {how === "in_cohort" || how === "not_in_cohort" ? (
        <Pick form={form} name={how} id={`${id}cohort`} label="Cohort" choices={cohorts} />
      ) : (
        <>
          <CollectionOf form={form} label="Events in" id={`${id}collection`} />
          <div class="row two">
            {(how === "at_least" || how === "between") && counted("at_least", how === "between" ? "From" : "Times")}
            {(how === "at_most" || how === "between") && counted("at_most", how === "between" ? "To" : "Times")}
            {how === "exactly" && counted("exactly", "Times")}
          </div>
          <During form={form} id={id} />
          <More label="Which of them" open={Boolean(own.filters || own.actor_property || form.fault("filters"))}>
            <Conditions form={form} id={`${id}filter`} of={[own.event_collection]} context={{ timeframe: own.timeframe ?? "", timezone: String(own.timezone ?? "UTC") }} />
            <PropertyOf form={form} name="actor_property" id={`${id}actor`} label="Who, if called otherwise" of={[own.event_collection]} placeholder="As above" />
          </More>
        </>
      )}
    </div>
  );
}

function During({ form, id = "" }: { form: Form; id?: string }) {
  const { timeframe = "", timezone = viewersZone() } = form.own;
  const change = (frame: Timeframe) => form.set({ timeframe: frame || undefined, timezone: frame ? timezone : undefined });
  return <Frame id={id} timeframe={timeframe} timezone={String(timezone)} error={form.fault("timeframe")} hint={timeframe ? `In ${timezone}; it moves with every question.` : ""} change={change} />;
}

function OfFunnel({ form }: { form: Form }) {
  const own: Json = form.own.funnel;
  const steps: Json[] = own.steps;
  const [first] = steps;
  const zone = first?.timezone ?? viewersZone();
  const put = (patch: Json) => form.set({ funnel: merged(own, patch) });
  const part = within(form, own, "funnel", put);
  const last = own.step ?? steps.length;
  // A funnel has no zone of its own: its steps have.
  const zoned = (next: Json[]) => next.map((one) => ({ timezone: zone, ...one }));
  const change = (next: Json[]) => put({ steps: zoned(next), step: Math.min(last === steps.length ? next.length : last, next.length) });
  const ordered = Boolean(own.order && own.order !== "any");
  const context = { timeframe: own.timeframe ?? "", timezone: String(zone) };
  return (
    <>
      <fieldset>
        <legend>Steps of the funnel</legend>
        {steps.map((step, at) => (
          <Step key={at} form={part} step={step} at={at} of={steps} ordered={ordered} context={context} change={change} />
        ))}
        <button type="button" class="quiet add" onClick={() => change([...steps, { event_collection: "" }])}>
          + Step
        </button>
      </fieldset>
      <Pick form={part} name="order" label="Steps follow" choices={ORDERS} />
      {ordered && <Span form={part} name="window" label="Within, from the first to the last" />}
      <During form={{ ...part, own: { timeframe: own.timeframe, timezone: zone }, set: ({ timeframe }) => put({ timeframe, steps: zoned(steps) }) }} />
      <Pick form={{ ...part, own: { step: String(last) }, set: ({ step }) => put({ step: Number(step), ...(Number(step) < 2 && { dropped: undefined }) }) }} name="step" label="In the cohort are those who came to" choices={steps.map((_, at) => [String(at + 1), `Step ${at + 1}`] as const)} />
      {last > 1 && <Check form={part} name="dropped" label={`Rather those who came to step ${last - 1} and not to step ${last}`} />}
    </>
  );
}

interface PastedProps {
  text: string;
  set: (text: string) => void;
  numbers: boolean;
  setNumbers: (kind: string) => void;
  count: number;
}

function Pasted({ text, set, numbers, setNumbers, count }: PastedProps) {
  return (
    <>
      <Field id="actors" label="Actors" hint={`One in each line; of a table, the first column. ${count ? `${countText(count, "actor")}, each once.` : ""}`}>
        <textarea {...described("actors")} rows={10} spellcheck={false} value={text} onInput={(event) => set(event.currentTarget.value)} />
      </Field>
      <Field id="as" label="Read as" hint="The number 7 and the text “7” are not the same actor.">
        <Choice id="as" value={numbers ? "numbers" : "texts"} choices={[["texts", "Texts"], ["numbers", "Numbers, where they are"]]} choose={setNumbers} />
      </Field>
    </>
  );
}
