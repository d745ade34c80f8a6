/** Fields of questions whose form is the question itself. */
import type { ComponentChildren } from "preact";
import { useEffect, useState } from "preact/hooks";
import { isOfCohort, type Condition } from "../../../question.ts";
import type { CollectionSchema, Property } from "../../../schema.ts";
import { Combobox } from "../../../ui/combobox.tsx";
import { Choice, described, Field } from "../../../ui/field.tsx";
import { Filters, type Context } from "../filters.tsx";
import { optionsOf } from "../properties.tsx";
import { useCohorts } from "../cohort_names.ts";
import { conditionText } from "../operators.ts";
import type { Json } from "./own.ts";

/** What every field of a form works with. */
export interface Form {
  own: Json;
  /** Undefined takes a parameter away. */
  set: (patch: Json) => void;
  schema: CollectionSchema[];
  /** What the API says is wrong with the field of this path. */
  fault: (path: string) => string | undefined;
}

export type Choices = readonly (readonly [string, string])[];

/** Part of a question, as a form of its own. */
export function within(form: Form, part: Json, path: string, set: (patch: Json) => void): Form {
  return { ...form, own: part, set, fault: (name) => form.fault(`${path}.${name}`) };
}

export const merged = (part: Json, patch: Json): Json =>
  Object.fromEntries(Object.entries({ ...part, ...patch }).filter(([, value]) => value !== undefined));

export const propertiesOf = (schema: CollectionSchema[], ...collections: unknown[]): Property[] => {
  const found = new Map<string, Property>();
  for (const { name, properties } of schema) {
    if (collections.includes(name)) for (const one of properties) if (!found.has(one.name)) found.set(one.name, one);
  }
  return [...found.values()];
};

interface Named {
  form: Form;
  name: string;
  label: string;
  /** The control's id; by default the parameter's name. */
  id?: string;
  hint?: ComponentChildren;
}

const said = (value: unknown) => (value === undefined ? "" : typeof value === "string" ? value : JSON.stringify(value));

/** One of several words; the first is that of the server, which is not sent. */
export function Pick({ form, name, label, id = name, hint, choices, initial = "" }: Named & { choices: Choices; initial?: string }) {
  const value = said(form.own[name]) || initial;
  const all = choices.some(([one]) => one === value) ? choices : [...choices, [value, value] as const];
  const error = form.fault(name);
  return (
    <Field id={id} label={label} hint={hint} error={error}>
      <Choice id={id} value={value} choices={all} error={error} choose={(chosen) => form.set({ [name]: chosen === initial ? undefined : chosen })} />
    </Field>
  );
}

export function Check({ form, name, label, usual = false }: Named & { usual?: boolean }) {
  const value = form.own[name] ?? usual;
  return (
    <label class="check">
      <input type="checkbox" checked={Boolean(value)} onChange={(event) => form.set({ [name]: event.currentTarget.checked === usual ? undefined : event.currentTarget.checked })} />
      {label}
    </label>
  );
}

interface LineProps {
  id: string;
  value: string;
  error?: string | undefined;
  commit: (text: string) => void;
  number?: boolean;
  label?: string;
  placeholder?: string;
}

/** A line that says what was typed once it is left, or by Enter. */
export function Line({ id, value, error, commit, number = false, label, placeholder }: LineProps) {
  const [typed, setTyped] = useState(value);
  useEffect(() => setTyped(value), [value]);
  const leave = () => typed !== value && commit(typed.trim());
  return (
    <input {...described(id, error)} aria-label={label} placeholder={placeholder} inputMode={number ? "numeric" : undefined} value={typed} spellcheck={false} autocomplete="off"
      onInput={(event) => setTyped(event.currentTarget.value)} onBlur={leave} onKeyDown={(event) => event.key === "Enter" && leave()} />
  );
}

export function Text({ form, name, label, id = name, hint, placeholder }: Named & { placeholder?: string }) {
  const error = form.fault(name);
  return (
    <Field id={id} label={label} hint={hint} error={error}>
      <Line id={id} value={said(form.own[name])} error={error} commit={(text) => form.set({ [name]: text || undefined })} {...(placeholder && { placeholder })} />
    </Field>
  );
}

/** A whole number; another text is sent as it is, and the API says what is wrong with it. */
export function Count({ form, name, label, id = name, hint, placeholder }: Named & { placeholder?: string }) {
  const error = form.fault(name);
  const commit = (text: string) => form.set({ [name]: text === "" ? undefined : /^-?\d+$/.test(text) ? Number(text) : text });
  return (
    <Field id={id} label={label} hint={hint} error={error}>
      <Line id={id} value={said(form.own[name])} error={error} commit={commit} number {...(placeholder && { placeholder })} />
    </Field>
  );
}

const UNITS = ["minutes", "hours", "days", "weeks"];

/** A length of time: how many of what. */
export function Span({ form, name, label, id = name, hint, unit: usual = "days", placeholder = "any" }: Named & { unit?: string; placeholder?: string }) {
  const error = form.fault(name);
  const value = said(form.own[name]);
  const [, number = value, unit = ""] = /^(\S*?)_([a-z]+?)$/.exec(value) ?? [];
  const [wanted, setWanted] = useState(usual);
  const own = unit && !unit.endsWith("s") ? `${unit}s` : unit || wanted;
  const all = UNITS.includes(own) ? UNITS : [...UNITS, own];
  const write = (text: string, of: string) => form.set({ [name]: text ? `${text}_${of}` : undefined });
  return (
    <Field id={id} label={label} hint={hint} error={error}>
      <div class="span">
        <Line id={id} value={number} error={error} number placeholder={placeholder} commit={(text) => write(text, own)} />
        <Choice id={`${id}-unit`} label={`${label}: unit`} value={own} choices={all.map((one) => [one, one] as const)}
          choose={(chosen) => (setWanted(chosen), number && write(number, chosen))} />
      </div>
    </Field>
  );
}

/** A property of the collections. */
export function PropertyOf({ form, name, label, id = name, hint, of, placeholder = "Property", preferred }: Named & { of: unknown[]; placeholder?: string; preferred?: string }) {
  const error = form.fault(name);
  return (
    <Field id={id} label={label} hint={hint} error={error}>
      <Combobox id={id} placeholder={placeholder} value={said(form.own[name])} options={optionsOf(propertiesOf(form.schema, ...of), preferred)} free prefer="beginning"
        commit={(chosen) => form.set({ [name]: chosen || undefined })} error={error} />
    </Field>
  );
}

/** Whose they are. */
export function Who({ form, of }: { form: Form; of: unknown[] }) {
  const hint = form.own.actor_property ? undefined : "Empty: what the project's settings say.";
  return <PropertyOf form={form} name="actor_property" label="Who" of={of} placeholder="A property, as user.id" hint={hint} />;
}

/** One group, by a property of the event that begins it. */
export function GroupBy({ form, of, label = "Group by" }: { form: Form; of: unknown[]; label?: string }) {
  return <PropertyOf form={form} name="group_by" label={label} of={of} placeholder="Nothing" />;
}

export function CollectionOf({ form, label, id = "event_collection" }: { form: Form; label: string; id?: string }) {
  const error = form.fault("event_collection");
  return (
    <Field id={id} label={label} error={error}>
      <Combobox id={id} placeholder="Collection" value={said(form.own.event_collection)} options={form.schema.map(({ name }) => ({ value: name }))} free prefer="first"
        commit={(chosen) => form.set({ event_collection: chosen })} error={error} />
    </Field>
  );
}

interface ConditionsProps {
  form: Form;
  /** What the ids of its controls begin with. */
  id: string;
  of: unknown[];
  legend?: string;
  context: Omit<Context, "event_collection">;
}

/** Filters; those that no field can say stay, and are told. */
export function Conditions({ form, id, of, legend, context }: ConditionsProps) {
  const filters: Json[] = form.own.filters ?? [];
  const cohorts = useCohorts();
  const isPlain = (one: Json) => isOfCohort(one) || (one.operator !== "or" && typeof one.property_name === "string" && !one.buckets && !one.ranges);
  const plain = filters.filter(isPlain) as Condition[];
  const others = filters.filter((one) => !isPlain(one));
  const change = (next: Condition[]) => form.set({ filters: next.length + others.length ? [...next, ...others] : undefined });
  return (
    <>
      <Filters id={id} draft={{ ...context, event_collection: String(of[0] ?? "") }} filters={plain} properties={propertiesOf(form.schema, ...of)} cohorts={cohorts} change={change}
        error={form.fault("filters")} {...(legend && { legend })} />
      {others.map((one, at) => (
        <p class="hint" key={at}>
          And {conditionText(one)}
        </p>
      ))}
    </>
  );
}

/** What is rather left as it is; it is open where something in it is said. */
export function More({ label = "More", open, children }: { label?: string; open: boolean; children: ComponentChildren }) {
  const [shown, setShown] = useState(open);
  useEffect(() => {
    if (open) setShown(true);
  }, [open]);
  return (
    <details class="more" open={shown} onToggle={(event) => setShown(event.currentTarget.open)}>
      <summary>{label}</summary>
      {children}
    </details>
  );
}

/** Parameters that have no field are told of: they stay. */
export function Kept({ own, known }: { own: Json; known: readonly string[] }) {
  const names = Object.keys(own).filter((name) => own[name] !== undefined && !known.includes(name));
  if (!names.length) return null;
  return (
    <p class="hint">
      Without a field, and asked as it is: {names.join(", ")}. Edit it as JSON.
    </p>
  );
}
