/** Which time: a timeframe, its parts, and whose days they are. */
import type { Timeframe } from "acumen-client";
import { frameName, takesGroups, type Draft } from "../../question.ts";
import { Combobox } from "../../ui/combobox.tsx";
import { Choice, described, Field } from "../../ui/field.tsx";
import { dayAfter, midnight, viewersZone, zoneNames } from "../../zones.ts";

/** In the words of the dashboards' own control. */
const FRAMES = [
  ["today", "Today"],
  ["yesterday", "Yesterday"],
  ["this_7_days", "Last 7 days"],
  ["this_14_days", "Last 14 days"],
  ["this_30_days", "Last 30 days"],
  ["this_90_days", "Last 90 days"],
  ["this_week", "This week"],
  ["previous_week", "Previous week"],
  ["this_month", "This month"],
  ["previous_month", "Previous month"],
  ["this_12_months", "Last 12 months"],
  ["this_year", "This year"],
  ["", "All time"],
  ["custom", "From … to …"],
] as const;

const INTERVALS = [
  ["", "All together"],
  ["minutely", "By minute"],
  ["hourly", "By hour"],
  ["daily", "By day"],
  ["weekly", "By week"],
  ["monthly", "By month"],
  ["yearly", "By year"],
] as const;

interface WhenProps {
  draft: Draft;
  change: (patch: Partial<Draft>) => void;
  faults: Record<string, string>;
}

export function When({ draft, change, faults }: WhenProps) {
  const { timeframe, timezone, interval } = draft;
  const custom = typeof timeframe !== "string";
  const frames = withOwn(FRAMES, custom ? "custom" : timeframe);
  const choose = (chosen: string) => {
    if (chosen !== "custom") return change({ timeframe: chosen, ...(chosen ? {} : { interval: "" }) });
    const today = new Date().toISOString().slice(0, 10);
    change({ timeframe: { start: midnight(dayAfter(today, -6), timezone), end: midnight(dayAfter(today), timezone) } });
  };
  const own = timezone === viewersZone();
  return (
    <>
      <Field id="timeframe" label="When" error={faults.timeframe}>
        <Choice id="timeframe" value={custom ? "custom" : timeframe} choices={frames} choose={choose} error={faults.timeframe} />
      </Field>
      {custom && <Days timeframe={timeframe} timezone={timezone} change={(frame) => change({ timeframe: frame })} />}
      {takesGroups(draft.analysis_type) && (
        <Field id="interval" label="In parts" error={faults.interval} hint={timeframe ? undefined : "Parts need a timeframe."}>
          <Choice
            id="interval"
            value={timeframe ? interval : ""}
            choices={timeframe ? withOwn(INTERVALS, interval) : [INTERVALS[0]]}
            choose={(chosen) => change({ interval: chosen })}
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
          commit={(zone) => change({ timezone: zone || viewersZone() })}
          error={faults.timezone}
        />
      </Field>
    </>
  );
}

/** The choices, with one that only the address has. */
function withOwn(choices: readonly (readonly [string, string])[], value: string) {
  const known = choices.some(([one]) => one === value);
  return known ? choices : [...choices, [value, frameName(value)] as const];
}

interface DaysProps {
  timeframe: Exclude<Timeframe, string>;
  timezone: string;
  change: (timeframe: Timeframe) => void;
}

/** The first and the last day, both included. */
function Days({ timeframe, timezone, change }: DaysProps) {
  const first = (timeframe.start ?? "").slice(0, 10);
  const last = timeframe.end ? dayAfter(timeframe.end.slice(0, 10), -1) : "";
  const set = (from: string, to: string) => {
    if (from && to) change({ start: midnight(from, timezone), end: midnight(dayAfter(to), timezone) });
  };
  return (
    <div class="row two">
      <Field id="from" label="From">
        <input {...described("from")} type="date" value={first} max={last}
          onChange={(event) => set(event.currentTarget.value, last)} />
      </Field>
      <Field id="to" label="To, included">
        <input {...described("to")} type="date" value={last} min={first}
          onChange={(event) => set(first, event.currentTarget.value)} />
      </Field>
    </div>
  );
}
