/** Which time: a timeframe, its parts, and whose days they are. */
import type { Timeframe } from "acumen-client";
import { useHere } from "../../context.ts";
import { daysOfFrame, frameLabel, isOfWeeks, writtenDays } from "../../days.ts";
import { useLoaded } from "../../loading.ts";
import type { Draft } from "../../question.ts";
import { Combobox } from "../../ui/combobox.tsx";
import { Choice, described, Field } from "../../ui/field.tsx";
import { dayAfter, midnight, viewersZone, zoneNames } from "../../zones.ts";
import { endsOf } from "./frames.ts";

const RELATIVE = [
  "today", "yesterday", "this_7_days", "previous_7_days", "this_14_days", "this_30_days", "previous_30_days", "this_90_days",
  "this_week", "previous_week", "this_8_weeks", "this_12_weeks", "this_month", "previous_month", "this_12_months", "this_year",
];
const FRAMES = [...RELATIVE.map((one) => [one, frameLabel(one)] as const), ["", "All time"], ["custom", "From … to …"]] as const;

const INTERVALS = [
  ["", "All together"],
  ["minutely", "By minute"],
  ["hourly", "By hour"],
  ["daily", "By day"],
  ["weekly", "By week"],
  ["monthly", "By month"],
  ["yearly", "By year"],
] as const;

/** When a question is about. */
export type Time = Pick<Draft, "event_collection" | "timeframe" | "timezone" | "interval" | "limits_parts">;

interface WhenProps {
  draft: Time;
  change: (patch: Partial<Time>) => void;
  faults: Record<string, string | undefined>;
  /** Whether it may be divided into parts, or has to be. */
  parts: "none" | "may" | "must";
}

export function When({ draft, change, faults, parts }: WhenProps) {
  const { timeframe, timezone, interval } = draft;
  const own = timezone === viewersZone();
  const days = useDays(draft);
  return (
    <>
      <Frame timeframe={timeframe} timezone={timezone} error={faults.timeframe} hint={days && `${days}, in ${timezone}`}
        change={(frame) => change({ timeframe: frame, ...(frame ? {} : { interval: "" }) })} />
      {parts !== "none" && (
        <Field id="interval" label="In parts" error={faults.interval} hint={timeframe ? undefined : "Parts need a timeframe."}>
          <Choice
            id="interval"
            value={timeframe || parts === "must" ? interval : ""}
            choices={timeframe || parts === "must" ? withOwn(parts === "must" ? INTERVALS.slice(1) : INTERVALS, interval) : [INTERVALS[0]]}
            choose={(chosen) => change({ interval: chosen, ...(chosen ? {} : { limits_parts: false }) })}
            error={faults.interval}
          />
        </Field>
      )}
      <Field
        id="timezone"
        label="Time zone"
        error={faults.timezone}
        hint={own ? "Days begin at your own midnight." : "Days begin at midnight there, not at yours."}
      >
        <Combobox
          id="timezone"
          value={timezone}
          options={zoneNames().map((value) => ({ value, ...(value === viewersZone() && { hint: "yours" }) }))}
          free
          prefer="first"
          commit={(zone) => change({ timezone: zone || viewersZone() })}
          error={faults.timezone}
        />
      </Field>
    </>
  );
}

interface FrameProps {
  /** What the ids of its controls begin with, where a page has several. */
  id?: string;
  timeframe: Timeframe;
  timezone: string;
  hint?: string;
  error: string | undefined;
  /** Empty: all time. */
  change: (timeframe: Timeframe) => void;
}

/** A timeframe: one of those that move with the days, or from a day to another. */
export function Frame({ id = "", timeframe, timezone, hint, error, change }: FrameProps) {
  const custom = typeof timeframe !== "string";
  const choose = (chosen: string) => {
    if (chosen !== "custom") return change(chosen);
    const today = new Date().toISOString().slice(0, 10);
    change({ start: midnight(dayAfter(today, -6), timezone), end: midnight(dayAfter(today), timezone) });
  };
  return (
    <>
      <Field id={`${id}timeframe`} label="When" error={error} hint={hint}>
        <Choice id={`${id}timeframe`} value={custom ? "custom" : timeframe} choices={withOwn(FRAMES, custom ? "custom" : timeframe)} choose={choose} error={error} />
      </Field>
      {custom && <Days id={id} timeframe={timeframe} timezone={timezone} change={change} />}
    </>
  );
}

/** Which days the timeframe is; of weeks the server says it. Empty where there is nothing to say. */
function useDays({ event_collection: collection, timeframe, timezone }: Time): string {
  const { client } = useHere();
  const asks = isOfWeeks(timeframe) && collection !== "";
  const told = useLoaded(
    async (signal) => (asks ? writtenDays(await endsOf(client, collection, { timeframe, timezone }, signal), timezone) : ""),
    [client, asks && collection, JSON.stringify(timeframe), timezone],
  );
  return asks ? (told.busy ? "" : (told.value ?? "")) : timeframe ? daysOfFrame(timeframe, timezone) : "";
}

/** The choices, with one that only the address has. */
function withOwn(choices: readonly (readonly [string, string])[], value: string) {
  const known = choices.some(([one]) => one === value);
  return known ? choices : [...choices, [value, frameLabel(value)] as const];
}

interface DaysProps {
  id: string;
  timeframe: Exclude<Timeframe, string>;
  timezone: string;
  change: (timeframe: Timeframe) => void;
}

/** The first and the last day, both included. */
function Days({ id, timeframe, timezone, change }: DaysProps) {
  const first = (timeframe.start ?? "").slice(0, 10);
  const last = timeframe.end ? dayAfter(timeframe.end.slice(0, 10), -1) : "";
  const set = (from: string, to: string) => {
    if (from && to) change({ start: midnight(from, timezone), end: midnight(dayAfter(to), timezone) });
  };
  return (
    <div class="row two">
      <Field id={`${id}from`} label="From">
        <input {...described(`${id}from`)} type="date" value={first} max={last}
          onChange={(event) => set(event.currentTarget.value, last)} />
      </Field>
      <Field id={`${id}to`} label="To, included">
        <input {...described(`${id}to`)} type="date" value={last} min={first}
          onChange={(event) => set(first, event.currentTarget.value)} />
      </Field>
    </div>
  );
}
