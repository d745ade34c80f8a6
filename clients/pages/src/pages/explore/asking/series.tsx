/** The fields of several named questions, what is computed of them, and what they are compared with. */
import type { ComponentChildren } from "preact";
import { ANALYSES, takesTarget, NUMERIC } from "../../../question.ts";
import { Choice, Field } from "../../../ui/field.tsx";
import { Check, CollectionOf, Conditions, Count, Line, merged, More, Pick, PropertyOf, within, type Form } from "./fields.tsx";
import { ALSO, labelsOf, listOf, relabelled, withAlso, withShown } from "./labels.ts";
import { isOwn, type Json } from "./own.ts";
import type { FormProps } from "./index.tsx";

const COMPARES = [
  ["", "Nothing"],
  ["previous_period", "The period before"],
  ["previous_year", "The same dates a year before"],
  ["same_weekdays", "The same weekdays before"],
] as const;
const OF_SERIES = ANALYSES.filter(([name]) => !isOwn(name) && !["select_unique", "extraction"].includes(name));

const FILLS = [
  ["", "As its analysis says"],
  ["0", "0"],
  ["null", "Nothing"],
  ["previous", "The value before"],
] as const;

export const KNOWN = ["series", "formulas", "compare", "group_by", "top", "filters", "interval", "fill", "completeness", "show", ...ALSO];

/** The same object with one of its names changed; the order stays. */
function renamed(all: Json, from: string, to: string): Json {
  return Object.fromEntries(Object.entries(all).map(([name, value]) => [name === from ? to : name, value]));
}

function nextName(taken: readonly string[]): string {
  const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
  return [...letters].find((one) => !taken.includes(one)) ?? `S${taken.length + 1}`;
}

export function SeriesForm({ form, context }: FormProps) {
  const { own, set } = form;
  const series: Json = own.series ?? {};
  const formulas: Json = own.formulas ?? {};
  const names = Object.keys(series);
  const taken = [...names, ...Object.keys(formulas)];
  const collections = Object.values(series).map((one) => (one as Json).event_collection);
  const put = (patch: Json) => set({ series: patch });
  const groups = [own.group_by ?? []].flat();
  const plainGroup = groups.length < 2 && (groups[0] === undefined || typeof groups[0] === "string");
  return (
    <>
      <fieldset>
        <legend>Series</legend>
        {names.map((name, at) => {
          const part = within(form, series[name], `series.${name}`, (patch) => put({ ...series, [name]: merged(series[name], patch) }));
          return (
            <One key={at} form={part} at={at} name={name} taken={taken} context={context} rename={(to) => set({ ...relabelled(own, name, to), series: renamed(series, name, to) })}
              remove={names.length > 1 ? () => set({ ...relabelled(own, name, null), series: Object.fromEntries(Object.entries(series).filter(([one]) => one !== name)) }) : null}>
              <Also form={form} id={`series-${at}`} name={name} />
            </One>
          );
        })}
        <button type="button" class="quiet add" onClick={() => put({ ...series, [nextName(taken)]: { event_collection: collections[0] ?? "", analysis_type: "count" } })}>
          + Series
        </button>
      </fieldset>
      <Formulas form={form} formulas={formulas} taken={taken} />
      {typeof own.compare === "object" ? <p class="hint">They are compared with a time that is written as JSON; it stays.</p> : <Pick form={form} name="compare" label="Compared with" choices={COMPARES} />}
      {plainGroup ? (
        <PropertyOf form={{ ...form, own: { group_by: groups[0] }, set: ({ group_by }) => set({ group_by, ...(group_by ? {} : { top: undefined }) }) }} name="group_by" label="Group by" of={collections} placeholder="Nothing" />
      ) : (
        <p class="hint">They are grouped by more than a field can say; it stays.</p>
      )}
      {groups.length > 0 && <Top form={form} names={taken} />}
      <Shown form={form} />
      <Pick form={{ ...form, own: { fill: own.fill === 0 ? "0" : own.fill }, set: ({ fill }) => set({ fill: fill === "0" ? 0 : fill }) }} name="fill" label="Where nothing is" choices={FILLS} />
      <Completeness form={form} />
      <Conditions form={form} id="filter" of={collections} context={context} legend="Only events for which, of all series" />
    </>
  );
}

interface OneProps extends FormProps {
  at: number;
  name: string;
  taken: string[];
  rename: (to: string) => void;
  remove: (() => void) | null;
  children: ComponentChildren;
}

function One({ form, at, name, taken, context, rename, remove, children }: OneProps) {
  const { own, set } = form;
  const id = `series-${at}`;
  const analysis = String(own.analysis_type);
  const choose = (chosen: string) => set({ analysis_type: chosen, ...(takesTarget(chosen) ? {} : { target_property: undefined }), percentile: chosen === "percentile" ? (own.percentile ?? 90) : undefined });
  const call = (to: string) => to && !taken.includes(to) && rename(to);
  return (
    <div class="step" role="group" aria-label={`Series ${at + 1}`}>
      <Line id={`${id}-name`} label={`Series ${at + 1}: name`} value={name} commit={call} />
      {remove && (
        <button type="button" class="quiet icon" aria-label={`Remove series ${at + 1}`} onClick={remove}>
          ×
        </button>
      )}
      <Field id={`${id}-analysis`} label="Calculate" error={form.fault("analysis_type")}>
        <Choice id={`${id}-analysis`} value={analysis} choices={OF_SERIES} choose={choose} error={form.fault("analysis_type")} />
      </Field>
      <CollectionOf form={form} label="Of events in" id={`${id}-collection`} />
      {takesTarget(analysis) && <PropertyOf form={form} name="target_property" id={`${id}-target`} label="Of property" of={[own.event_collection]} {...(NUMERIC.has(analysis) && { preferred: "num" })} />}
      {analysis === "percentile" && <Count form={form} name="percentile" id={`${id}-percentile`} label="Per cent" />}
      <More label="Which of them" open={Boolean(own.filters || form.fault("filters"))}>
        <Conditions form={form} id={`${id}-filter`} of={[own.event_collection]} context={context} />
      </More>
      {children}
    </div>
  );
}

/** What is also computed of a series or formula. */
function Also({ form, id, name }: { form: Form; id: string; name: string }) {
  const { own, set } = form;
  const rolling = { ...form, own: { rolling: own.rolling?.[name] }, fault: () => form.fault("rolling"), set: ({ rolling: count }: Json) => set(withAlso(own, name, "rolling", count)) };
  const check = (also: "cumulative" | "share", label: string) => (
    <Check form={{ ...form, own: { [also]: listOf(own[also]).includes(name) }, set: (patch) => set(withAlso(own, name, also, patch[also] || undefined)) }} name={also} label={label} />
  );
  const said = rolling.own.rolling !== undefined || ["cumulative", "share"].some((also) => listOf(own[also]).includes(name));
  return (
    <More label="And computed of it" open={said}>
      <Count form={rolling} name="rolling" id={`${id}-rolling`} label="Rolling, over so many parts" placeholder="none" hint="Each part with those before it, as 7 days by day." />
      {check("cumulative", "Running, from the start on")}
      {check("share", "In per cent of all groups, or of all parts")}
    </More>
  );
}

/** Which labels the answer has, where there are several. */
function Shown({ form }: { form: Form }) {
  const { own, set } = form;
  const all = labelsOf(own);
  if (all.length < 2) return null;
  const shown = own.show === undefined ? all : listOf(own.show);
  return (
    <fieldset>
      <legend>Shown</legend>
      {all.map((label) => (
        <Check key={label} form={{ ...form, own: { label: shown.includes(label) }, set: (patch) => set({ show: withShown(own, label, Boolean(patch.label)) }) }} name="label" label={label} />
      ))}
      <p class="fault" role={form.fault("show") ? "alert" : undefined}>
        {form.fault("show")}
      </p>
    </fieldset>
  );
}

function Completeness({ form }: { form: Form }) {
  const { own, set } = form;
  const judged = own.completeness?.intervals;
  const choose = ({ completeness }: Json) => set({ completeness: completeness ? (judged ? own.completeness : true) : undefined });
  return (
    <>
      <Check form={{ ...form, own: { completeness: Boolean(own.completeness) }, set: choose }} name="completeness" label="How much of the newest parts is there" />
      {own.completeness && (
        <Count form={{ ...form, own: { intervals: judged }, fault: () => form.fault("completeness"), set: ({ intervals }) => set({ completeness: intervals === undefined ? true : { intervals } }) }}
          name="intervals" label="Judged by so many earlier ones" placeholder="28" hint={own.interval ? "The chart draws what is to be expected of them." : "It needs parts of time."} />
      )}
    </>
  );
}

function Formulas({ form, formulas, taken }: { form: Form; formulas: Json; taken: string[] }) {
  const change = (next: Json, others: Json = {}) => form.set({ ...others, formulas: Object.keys(next).length ? next : undefined });
  const rename = (name: string, to: string) => {
    const others = relabelled(form.own, name, to);
    change(renamed(others.formulas, name, to), others);
  };
  return (
    <fieldset>
      <legend>And computed of them</legend>
      {Object.entries(formulas).map(([name, text], at) => {
        const error = form.fault(`formulas.${name}`);
        return (
          <div class="step" role="group" aria-label={`Formula ${at + 1}`} key={at}>
            <Line id={`formula-${at}-name`} label={`Formula ${at + 1}: name`} value={name} commit={(to) => to && !taken.includes(to) && rename(name, to)} />
            <button type="button" class="quiet icon" aria-label={`Remove formula ${at + 1}`} onClick={() => change(Object.fromEntries(Object.entries(formulas).filter(([one]) => one !== name)), relabelled(form.own, name, null))}>
              ×
            </button>
            <Field id={`formula-${at}`} label="Is" error={error} hint="Of names, numbers, + − * / and parentheses.">
              <Line id={`formula-${at}`} value={String(text)} error={error} placeholder="A / B" commit={(typed) => change({ ...formulas, [name]: typed })} />
            </Field>
            <Also form={form} id={`formula-${at}`} name={name} />
          </div>
        );
      })}
      <button type="button" class="quiet add" onClick={() => change({ ...formulas, [nextFormula(taken)]: "" })}>
        + Formula
      </button>
    </fieldset>
  );
}

function nextFormula(taken: readonly string[]): string {
  const names = ["ratio", ...taken.map((_, at) => `ratio ${at + 2}`)];
  return names.find((one) => !taken.includes(one))!;
}

/** Only the first groups of the whole timeframe. */
function Top({ form, names }: { form: Form; names: string[] }) {
  const { own, set } = form;
  const top: Json | undefined = own.top;
  const limit = String(top?.limit ?? "");
  const choices = [["", "All groups"], ["5", "The 5 largest"], ["10", "The 10 largest"], ["25", "The 25 largest"]] as const;
  const part = { ...form, own: { limit }, set: ({ limit: chosen }: Json) => set({ top: chosen ? { by: names[0], other: true, ...top, limit: Number(chosen) } : undefined }) };
  return <Pick form={part} name="limit" id="top" label="How many groups" choices={choices} hint={top ? `By ${top.by}${top.other ? "; all others are one group" : ""}.` : undefined} />;
}
