/** The fields of what is asked about the events of actors: life cycles, stickiness, sessions, paths. */
import { Check, Conditions, Count, GroupBy, Line, merged, More, Pick, PropertyOf, Span, Text, Who, type Form } from "./fields.tsx";
import { collectionsIn, EventsOf } from "./events.tsx";
import type { FormProps } from "./index.tsx";
import type { Json } from "./own.ts";

const EVENTS = ["event_collection", "events", "actor_property", "filters"];
export const KNOWN: Record<string, string[]> = {
  lifecycle: [...EVENTS, "first_in", "group_by", "interval"],
  stickiness: [...EVENTS, "histogram", "month_days", "interval"],
  sessions: [...EVENTS, "gap", "cut", "longest", "page_property", "pages", "measures", "group_by", "attribution", "interval"],
  paths: [...EVENTS, "by", "from", "to", "depth", "nodes", "least", "counting", "gap", "window", "collapse_repeats", "rename"],
};

/** What all of these begin with. */
function Whose({ form, context, named = false }: FormProps & { named?: boolean }) {
  return (
    <>
      <EventsOf form={form} context={context} named={named} />
      <Who form={form} of={collectionsIn(form.own)} />
    </>
  );
}

export function LifecycleForm({ form, context }: FormProps) {
  const of = collectionsIn(form.own);
  return (
    <>
      <Whose form={form} context={context} />
      <Pick form={form} name="first_in" label="New is who was never seen" choices={[["", "At any time before"], ["timeframe", "In the timeframe before"]]} />
      <GroupBy form={{ ...form, own: { ...form.own, group_by: [form.own.group_by].flat()[0] } }} of={of} />
      <Conditions form={form} id="filter" of={of} context={context} />
    </>
  );
}

export function StickinessForm({ form, context }: FormProps) {
  const { own, set } = form;
  const of = collectionsIn(own);
  const ways = [["", "How many come each day, week and month"], ["histogram", "On how many days they come"]] as const;
  const way = { ...form, own: { way: own.histogram ? "histogram" : "" }, set: ({ way }: Json) => set(way ? { histogram: true, month_days: undefined } : { histogram: undefined, interval: undefined }) };
  return (
    <>
      <Whose form={form} context={context} />
      <Pick form={way} name="way" label="Say" choices={ways} />
      {!own.histogram && <Pick form={daysOf(form)} name="month_days" label="A month has" choices={[["", "30 days"], ["28", "28 days"]]} />}
      <Conditions form={form} id="filter" of={of} context={context} />
    </>
  );
}

const daysOf = (form: Form): Form => ({ ...form, set: ({ month_days: days }) => form.set({ month_days: days && Number(days) }) });

const MEASURES = ["sessions", "actors", "events", "events_per_session", "bounces", "bounce_rate", "duration_average", "duration_median", "duration_p90", "unfinished", "entries", "exits"];

export function SessionsForm({ form, context }: FormProps) {
  const { own, set } = form;
  const of = collectionsIn(own);
  const measures: string[] = own.measures ?? [];
  const offered = [...MEASURES.filter((name) => own.page_property || !/^(entries|exits)$/.test(name)), ...measures.filter((name) => !MEASURES.includes(name))];
  const toggle = (name: string, on: boolean) => {
    const next = offered.filter((one) => (one === name ? on : measures.includes(one)));
    set({ measures: next.length ? next : undefined });
  };
  const cut = { ...form, set: ({ cut: on }: Json) => set({ cut: on ? "daily" : undefined }) };
  const grouped = own.group_by !== undefined;
  return (
    <>
      <Whose form={form} context={context} />
      <Span form={form} name="gap" label="A session ends after a break of" unit="minutes" placeholder="30" />
      {!grouped && <PropertyOf form={form} name="page_property" label="Begins and ends with" of={of} placeholder="A property, as page" />}
      <GroupBy form={{ ...form, own: { ...own, group_by: Array.isArray(own.group_by) ? own.group_by[0] : own.group_by } }} of={of} />
      {grouped && <Pick form={form} name="attribution" label="The group is that of" choices={[["", "Its first event"], ["exit", "Its last event"]]} />}
      <Conditions form={form} id="filter" of={of} context={context} />
      <More label="More about sessions" open={["cut", "longest", "pages", "measures"].some((name) => own[name] !== undefined || form.fault(name))}>
        <Check form={cut} name="cut" label="Midnight ends a session too" />
        <Span form={form} name="longest" label="No longer than" unit="hours" />
        {own.page_property && <Count form={form} name="pages" label="How many are named" placeholder="10" />}
        <fieldset>
          <legend>Say of them</legend>
          <div class="choices">
            {offered.map((name) => (
              <label class="check" key={name}>
                <input type="checkbox" checked={measures.includes(name)} onChange={(event) => toggle(name, event.currentTarget.checked)} />
                {name.replaceAll("_", " ")}
              </label>
            ))}
          </div>
          <p class="hint">None chosen: what is usual.</p>
        </fieldset>
      </More>
    </>
  );
}

const ENDS = [
  ["", "At the first event"],
  ["from", "At"],
  ["to", "Anywhere, and end at"],
] as const;
const COUNTINGS = [
  ["", "Each actor once"],
  ["sessions", "Sessions"],
  ["occurrences", "Every time it is there"],
] as const;

export function PathsForm({ form, context }: FormProps) {
  const { own, set } = form;
  const of = collectionsIn(own);
  const end = own.to !== undefined ? "to" : own.from !== undefined ? "from" : "";
  const ends = { ...form, own: { end }, set: ({ end: chosen }: Json) => set({ from: undefined, to: undefined, ...(chosen ? { [chosen]: own.from ?? own.to ?? "" } : {}), ...(!chosen && own.counting === "occurrences" ? { counting: undefined } : {}) }) };
  const place: unknown = end && own[end];
  const rest = ["nodes", "least", "gap", "window", "collapse_repeats", "rename"];
  return (
    <>
      <Whose form={form} context={context} named />
      <PropertyOf form={form} name="by" label="Steps are called by" of={of} placeholder="Their collections" />
      <Pick form={ends} name="end" label="Paths begin" choices={ENDS} />
      {end && (typeof place === "string" ? <Text form={{ ...form, set: (patch) => set({ [end]: patch[end] ?? "" }) }} name={end} label={end === "to" ? "They end at" : "They begin at"} placeholder="/pricing" /> : <p class="hint">They {end === "to" ? "end" : "begin"} at an event that is described as JSON; it stays.</p>)}
      <Count form={form} name="depth" label="How many steps" placeholder="5" />
      <Pick form={form} name="counting" label="A path is one of" choices={end ? COUNTINGS : COUNTINGS.slice(0, 2)} />
      <Conditions form={form} id="filter" of={of} context={context} />
      <More label="More about paths" open={rest.some((name) => own[name] !== undefined || form.fault(name))}>
        <Count form={form} name="nodes" label="How many names in each step" placeholder="10" />
        <Count form={form} name="least" label="Leave out ways of fewer paths than" placeholder="1" />
        <Span form={form} name="gap" label="A path ends after a break of" unit="minutes" placeholder={own.counting === "sessions" ? "30" : "any"} />
        <Span form={form} name="window" label="From one end to the other within" />
        <Check form={form} name="collapse_repeats" label="Repeated names are one step" usual />
        <Renames form={form} />
      </More>
    </>
  );
}

function Renames({ form }: { form: Form }) {
  const rules: Json[] = form.own.rename ?? [];
  const change = (next: Json[]) => form.set({ rename: next.length ? next : undefined });
  const put = (at: number, patch: Json) => change(rules.map((one, index) => (index === at ? merged(one, patch) : one)));
  return (
    <fieldset>
      <legend>Called otherwise</legend>
      {rules.map((one, at) => (
        <div class="step" role="group" aria-label={`Rule ${at + 1}`} key={at}>
          <Line id={`rename-${at}`} label={`Rule ${at + 1}: name, with * for any text`} placeholder="/product/*" value={String(one.match ?? "")} error={form.fault(`rename[${at}]`)} commit={(match) => put(at, { match })} />
          <button type="button" class="quiet icon" aria-label={`Remove rule ${at + 1}`} onClick={() => change(rules.filter((_, index) => index !== at))}>
            ×
          </button>
          <Line id={`rename-${at}-as`} label={`Rule ${at + 1}: is called`} placeholder="a product" value={String(one.as ?? "")} commit={(as) => put(at, { as })} />
          <p class="fault">{form.fault(`rename[${at}]`)}</p>
        </div>
      ))}
      <button type="button" class="quiet add" onClick={() => change([...rules, { match: "", as: "" }])}>
        + Name
      </button>
    </fieldset>
  );
}
