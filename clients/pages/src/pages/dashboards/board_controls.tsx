/** What viewers of a dashboard may change for all its tiles, and what they see at first. */
import { useHere } from "../../context.ts";
import { useLoaded } from "../../loading.ts";
import { frameLabel } from "../../days.ts";
import { schemaOf, valuesFrom } from "../../schema.ts";
import { Combobox } from "../../ui/combobox.tsx";
import { Choice } from "../../ui/field.tsx";
import { ValueInput } from "../explore/filters.tsx";
import { allProperties, typed } from "./conditions.ts";
import type { BoardControls } from "./document.ts";
import type { Json } from "./store.ts";

const FRAMES = [
  "today", "yesterday", "this_7_days", "previous_7_days", "this_14_days", "this_30_days", "previous_30_days", "this_90_days",
  "this_week", "previous_week", "this_month", "previous_month", "this_12_months",
];
const INTERVALS = ["hourly", "daily", "weekly", "monthly", "yearly"];
const AS_SAVED = ["", "as each tile has it"] as const;

interface Props {
  controls: BoardControls;
  change: (controls: BoardControls) => void;
}

export function BoardControlFields({ controls, change }: Props) {
  const { client } = useHere();
  const schema = useLoaded((signal) => schemaOf(client, signal), [client]);
  const properties = allProperties(schema.value ?? []);
  const { start, filters } = controls;
  const begin = (name: string, value: unknown) => {
    const { [name]: _, ...rest } = start;
    change({ ...controls, start: value === "" || value === undefined ? rest : { ...rest, [name]: value } });
  };
  const starting: Json[] = Array.isArray(start.filters) ? start.filters : [];
  const others = (name: string) => starting.filter((one) => one.property_name !== name);
  const typeOf = (name: string) => properties.find((one) => one.name === name)?.type;
  const filter = (name: string, value: unknown) => {
    const property_value = typeof value === "string" ? typed(value, typeOf(name)) : value;
    const made = value === undefined ? [] : [{ property_name: name, operator: "eq", property_value }];
    const all = [...others(name), ...made];
    begin("filters", all.length ? all : undefined);
  };
  const drop = (name: string) => {
    const left = others(name);
    const { filters: _, ...rest } = start;
    change({ ...controls, filters: filters.filter((one) => one !== name), start: left.length ? { ...rest, filters: left } : rest });
  };
  const frame = typeof start.timeframe === "string" ? start.timeframe : "";
  const frames = frame && !FRAMES.includes(frame) ? [...FRAMES, frame] : FRAMES;
  return (
    <fieldset class="board-controls">
      <legend>For all tiles</legend>
      <div class="row">
        <label class="check">
          <input type="checkbox" checked={controls.timeframe} onChange={(event) => change({ ...controls, timeframe: event.currentTarget.checked })} />
          Viewers may change the timeframe
        </label>
        {controls.timeframe && (
          <Choice id="start-timeframe" label="Timeframe at first" value={frame} choose={(value) => begin("timeframe", value)}
            choices={[AS_SAVED, ...frames.map((one) => [one, frameLabel(one)] as const)]} />
        )}
      </div>
      <div class="row">
        <label class="check">
          <input type="checkbox" checked={controls.interval} onChange={(event) => change({ ...controls, interval: event.currentTarget.checked })} />
          Viewers may change the interval
        </label>
        {controls.interval && (
          <Choice id="start-interval" label="Interval at first" value={String(start.interval ?? "")} choose={(value) => begin("interval", value)}
            choices={[AS_SAVED, ...INTERVALS.map((one) => [one, one] as const)]} />
        )}
      </div>
      {filters.map((name) => (
        <div class="row" key={name} role="group" aria-label={`Filter on ${name}`}>
          <span class="grow">
            Viewers may filter by <code>{name}</code>
          </span>
          <div class="value">
            <ValueInput id={`start-${name}`} label={`Value of ${name} at first`} placeholder="at first: any" type={typeOf(name)}
              draft={valuesFrom(schema.value ?? [])(name)} change={(value) => filter(name, value)}
              condition={{ property_name: name, operator: "eq", property_value: starting.find((one) => one.property_name === name)?.property_value }} />
          </div>
          <button type="button" class="quiet icon" aria-label={`Remove the filter on ${name}`} onClick={() => drop(name)}>
            ×
          </button>
        </div>
      ))}
      <div class="adding">
        <Combobox id="add-filter" label="Add a filter for viewers" placeholder="Add a filter: a property" free prefer="beginning" value=""
          options={properties.filter(({ name }) => !filters.includes(name)).map(({ name }) => ({ value: name }))}
          commit={(name) => name && !filters.includes(name) && change({ ...controls, filters: [...filters, name] })} />
      </div>
    </fieldset>
  );
}
