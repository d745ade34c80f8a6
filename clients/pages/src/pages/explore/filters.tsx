/** The conditions under which an event counts. */
import { useEffect, useRef, useState } from "preact/hooks";
import { useHere } from "../../context.ts";
import { isOfCohort, type Condition, type Draft } from "../../question.ts";
import type { Property } from "../../schema.ts";
import { Combobox, type Option } from "../../ui/combobox.tsx";
import { Choice } from "../../ui/field.tsx";
import { IN_GROUP, OF_COHORTS, operatorsOf, valueOf, type Operand } from "./operators.ts";
import { optionsOf } from "./properties.tsx";

const SUGGESTED_MAX = 50;
const JOINED_MAX = 500;
const TYPING_MS = 200;

/** What suggestions of values are asked about. */
export type Context = Pick<Draft, "event_collection" | "timeframe" | "timezone">;

interface FiltersProps {
  /** Where each property has a collection of its own: by property. */
  draft: Context | ((property: string) => Context);
  filters: Condition[];
  properties: Property[];
  change: (filters: Condition[]) => void;
  error: string | undefined;
  /** Where a page has several: what their ids begin with. */
  id?: string;
  legend?: string;
  /** Names and titles of the cohorts that a filter may name. */
  cohorts?: readonly (readonly [string, string])[];
}

export function Filters(props: FiltersProps) {
  const { draft, filters, properties, change, error, id = "filter", legend = "Only events for which", cohorts = [] } = props;
  const replace = (at: number, one: Condition) => change(filters.map((old, index) => (index === at ? one : old)));
  const add = () => change([...filters, { property_name: "", operator: "eq", property_value: undefined }]);
  return (
    <fieldset>
      <legend>{legend}</legend>
      {filters.map((one, at) => isOfCohort(one) ? (
        <CohortRow key={at} id={`${id}-${at}`} at={at} condition={one} cohorts={cohorts} change={(next) => replace(at, next)}
          remove={() => change(filters.filter((_, index) => index !== at))} />
      ) : (
        <Row
          key={at}
          id={`${id}-${at}`}
          at={at}
          condition={one}
          draft={typeof draft === "function" ? draft(one.property_name) : draft}
          properties={properties}
          change={(next) => replace(at, next)}
          remove={() => change(filters.filter((_, index) => index !== at))}
        />
      ))}
      <p class="fault" role={error ? "alert" : undefined}>
        {error}
      </p>
      <button type="button" class="quiet add" onClick={add}>
        + Filter
      </button>
      {cohorts.length > 0 && (
        <button type="button" class="quiet add" onClick={() => change([...filters, { operator: "in_cohort", property_value: cohorts[0]![0] } as Condition])}>
          + Cohort
        </button>
      )}
    </fieldset>
  );
}

interface RowProps {
  id: string;
  at: number;
  condition: Condition;
  draft: Context;
  properties: Property[];
  change: (condition: Condition) => void;
  remove: () => void;
}

function Row({ id, at, condition, draft, properties, change, remove }: RowProps) {
  const type = properties.find(({ name }) => name === condition.property_name)?.type;
  const operators = condition.operator === IN_GROUP.name ? [...operatorsOf(type), IN_GROUP] : operatorsOf(type);
  const operator = operators.find(({ name }) => name === condition.operator) ?? operators[0]!;
  const choose = (property_name: string) => {
    const fitting = operatorsOf(properties.find(({ name }) => name === property_name)?.type);
    const [first] = fitting;
    const { name, operand } = fitting.find(({ name }) => name === condition.operator) ?? first!;
    change({ property_name, operator: name, property_value: beginning(operand) });
  };
  const operate = (name: string) => {
    const next = operators.find((one) => one.name === name)!;
    const kept = next.operand === operator.operand ? condition.property_value : beginning(next.operand);
    change({ property_name: condition.property_name, operator: name, property_value: kept });
  };
  return (
    <div class="filter" role="group" aria-label={`Filter ${at + 1}`}>
      <Combobox
        id={id}
        label="Property to filter by"
        placeholder="Property"
        value={condition.property_name}
        options={optionsOf(properties)}
        free
        prefer="beginning"
        commit={choose}
      />
      <button type="button" class="quiet icon" aria-label={`Remove filter ${at + 1}`} onClick={remove}>
        ×
      </button>
      <Choice
        id={`${id}-operator`}
        label="Comparison"
        value={operator.name}
        choices={operators.map(({ name, label }) => [name, label] as const)}
        choose={operate}
      />
      <OperandInput
        id={`${id}-value`}
        kind={operator.operand}
        type={type}
        draft={draft}
        condition={condition}
        change={(property_value) => change({ ...condition, operator: operator.name, property_value })}
      />
    </div>
  );
}

interface CohortRowProps {
  id: string;
  at: number;
  condition: Condition;
  cohorts: readonly (readonly [string, string])[];
  change: (condition: Condition) => void;
  remove: () => void;
}

/** Only those in a cohort, or outside it. */
function CohortRow({ id, at, condition, cohorts, change, remove }: CohortRowProps) {
  const name = String(condition.property_value);
  const known = cohorts.some(([one]) => one === name) ? cohorts : [...cohorts, [name, name] as const];
  return (
    <div class="filter" role="group" aria-label={`Filter ${at + 1}`}>
      <Choice id={`${id}-operator`} label="Comparison" value={condition.operator} choices={OF_COHORTS} choose={(operator) => change({ ...condition, operator })} />
      <button type="button" class="quiet icon" aria-label={`Remove filter ${at + 1}`} onClick={remove}>
        ×
      </button>
      <Choice id={`${id}-value`} label="Cohort" value={name} choices={known} choose={(property_value) => change({ ...condition, property_value })} />
    </div>
  );
}

function beginning(operand: Operand): unknown {
  return { value: undefined, list: undefined, there: true, truth: true, time: undefined, place: undefined }[operand];
}

interface ValueProps {
  id: string;
  label?: string;
  placeholder?: string;
  type: string | undefined;
  draft: Context;
  condition: Condition;
  change: (value: unknown) => void;
}

interface OperandProps extends ValueProps {
  kind: Operand;
}

function OperandInput(props: OperandProps) {
  const { id, kind, condition, change } = props;
  const { property_value: value } = condition;
  if (kind === "there" || kind === "truth") {
    const words = kind === "there" ? (["yes", "no"] as const) : (["true", "false"] as const);
    const choices = [["true", words[0]], ["false", words[1]]] as const;
    return <Choice id={id} label="Value" value={String(value)} choices={choices} choose={(chosen) => change(chosen === "true")} />;
  }
  if (kind === "time") return <TimeInput id={id} value={value} change={change} />;
  if (kind === "place") return <PlaceInput id={id} value={value} change={change} />;
  return kind === "list" ? <ListInput {...props} /> : <ValueInput {...props} />;
}

/** The commonest values, asked for when they are wanted, and again for what is typed. */
function useSuggestions({ draft, condition, type }: ValueProps): [Option[], (typed: string) => void] {
  const { client } = useHere();
  const [found, setFound] = useState<{ of: string; options: Option[] }>({ of: "", options: [] });
  const pending = useRef({ timer: 0, abort: new AbortController(), of: "" });
  const { event_collection: collection, timeframe, timezone } = draft;
  const { property_name: property } = condition;
  const about = JSON.stringify([collection, property, timeframe]);
  const stop = () => {
    clearTimeout(pending.current.timer);
    pending.current.abort.abort(new DOMException("", "AbortError"));
  };
  useEffect(() => stop, []);
  const ask = (typed: string) => {
    // Of other types than text all that is typed is looked for in what was found.
    const searched = type === "string" || type === undefined ? typed.trim() : "";
    const of = about + searched;
    if (pending.current.of === of || !property || !collection) return;
    stop();
    const abort = new AbortController();
    const timer = setTimeout(() => void run(of, searched, abort.signal), searched ? TYPING_MS : 0);
    pending.current = { timer: Number(timer), abort, of };
  };
  const run = async (of: string, searched: string, signal: AbortSignal) => {
    const order_by = { property_name: "result", direction: "DESC" } as const;
    const frame = timeframe ? { timeframe, timezone } : {};
    const within = { property_name: property, operator: "regex" as const, property_value: `(?i)${escaped(searched)}` };
    const asked = { ...frame, ...(searched && { filters: [within] }), group_by: property, order_by, limit: SUGGESTED_MAX };
    try {
      const { result } = await client.query<Record<string, unknown>[]>("count", { event_collection: collection, ...asked }, { signal });
      if (signal.aborted) return;
      const rows = result.filter((row) => row[property] !== null);
      const options = rows.map((row) => ({ value: String(row[property]), hint: Number(row.result).toLocaleString() }));
      // What is typed on stays among what was found before.
      setFound((before) => ({ of: about, options: searched && before.of === about ? joined(options, before.options) : options }));
    } catch {
      // Too many to be counted: then they are typed.
      if (pending.current.of === of) pending.current.of = "";
    }
  };
  return [found.of === about ? found.options : [], ask];
}

const escaped = (text: string) => text.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&");

function joined(newer: Option[], older: Option[]): Option[] {
  const values = new Set(newer.map(({ value }) => value));
  return [...newer, ...older.filter(({ value }) => !values.has(value))].slice(0, JOINED_MAX);
}

/** One value, with suggestions. */
export function ValueInput(props: ValueProps) {
  const { id, type, condition, change, label = "Value", placeholder = "Value" } = props;
  const [options, ask] = useSuggestions(props);
  const { property_value: value } = condition;
  const shown = value === undefined ? "" : typeof value === "string" ? value : JSON.stringify(value);
  const commit = (text: string) => change(text === "" ? undefined : valueOf(text, type));
  return <Combobox id={id} label={label} placeholder={placeholder} value={shown} options={options} free onOpen={() => ask("")} onType={ask} commit={commit} />;
}

function ListInput(props: OperandProps) {
  const { id, type, condition, change } = props;
  const [options, ask] = useSuggestions(props);
  const chosen = Array.isArray(condition.property_value) ? (condition.property_value as unknown[]) : [];
  const left = options.filter(({ value }) => !chosen.some((one) => String(one) === value));
  const set = (values: unknown[]) => change(values.length ? values : undefined);
  return (
    <div class="chips">
      {chosen.map((one, at) => (
        <button
          key={at}
          type="button"
          class="chip"
          aria-label={`Remove ${String(one)}`}
          onClick={() => set(chosen.filter((_, index) => index !== at))}
        >
          {String(one)} <span aria-hidden="true">×</span>
        </button>
      ))}
      <Combobox
        id={id}
        label="One more value"
        placeholder="Value"
        value=""
        options={left}
        free
        onOpen={() => ask("")}
        onType={ask}
        commit={(text) => text && set([...chosen, valueOf(text, type)])}
      />
    </div>
  );
}

/** A moment in the viewer's own zone, as browsers ask for one. */
function TimeInput({ id, value, change }: { id: string; value: unknown; change: (value: unknown) => void }) {
  const date = typeof value === "string" ? new Date(value) : null;
  const local = date && !Number.isNaN(date.getTime())
    ? new Date(date.getTime() - date.getTimezoneOffset() * 60_000).toISOString().slice(0, 16)
    : "";
  const set = (text: string) => change(text ? new Date(text).toISOString() : undefined);
  return <input id={id} type="datetime-local" aria-label="Time" value={local} onChange={(event) => set(event.currentTarget.value)} />;
}

interface Circle {
  coordinates?: number[];
  max_distance_miles?: number;
}

function PlaceInput({ id, value, change }: { id: string; value: unknown; change: (value: unknown) => void }) {
  const circle = (value ?? {}) as Circle;
  const [parts, setParts] = useState([circle.coordinates?.[0], circle.coordinates?.[1], circle.max_distance_miles]);
  const set = (at: number, text: string) => {
    const next = parts.map((one, index) => (index === at ? (text === "" ? undefined : Number(text)) : one));
    setParts(next);
    const [longitude, latitude, max_distance_miles] = next;
    const whole = next.every((one) => one !== undefined);
    change(whole ? { coordinates: [longitude, latitude], max_distance_miles } : undefined);
  };
  return (
    <div class="row">
      {["Longitude", "Latitude", "Miles"].map((label, at) => (
        <input key={label} id={`${id}-${at}`} type="number" step="any" placeholder={label} aria-label={label}
          value={parts[at]} onChange={(event) => set(at, event.currentTarget.value)} />
      ))}
    </div>
  );
}
