/** Which column is the time of the events, in which format and zone, and what that gives. */
import { useState } from "preact/hooks";
import { Combobox } from "../../ui/combobox.tsx";
import { Choice, Field, TextField } from "../../ui/field.tsx";
import { zoneNames } from "../../zones.ts";
import { countText } from "../../words.ts";
import type { Options, Preview, Times } from "./calls.ts";
import { instantIn } from "./words.ts";

const FORMATS: Record<string, string> = {
  auto: "ISO 8601, or seconds since 1970",
  epoch: "seconds since 1970",
  epoch_ms: "milliseconds since 1970",
  epoch_us: "microseconds since 1970",
  epoch_ns: "nanoseconds since 1970",
  "%d/%m/%Y": "day/month/year",
  "%m/%d/%Y": "month/day/year",
  "%d.%m.%Y": "day.month.year",
};
/** Each part of a pattern in words. */
const PARTS: Record<string, string> = {
  "%d": "day", "%m": "month", "%Y": "year", "%b": "month’s name", "%a": "weekday", "%H": "hours", "%I": "hours",
  "%M": "minutes", "%S": "seconds", "%p": "AM or PM", "%z": "offset",
};
const OWN = "own";

/** A pattern in words, where all of its parts have some. */
function named(pattern: string): string {
  const words = pattern.replace(/%./g, (part) => PARTS[part] ?? part);
  return FORMATS[pattern] ?? (words.includes("%") ? pattern : words);
}

/** What the server says, with the patterns in it in words. */
export const inWords = (said: string) => said.replace(/'([^']*%[^']*)'/g, (_, pattern: string) => `“${named(pattern)}”`);

interface TimeChoiceProps {
  shown: Preview;
  options: Options;
  change: (patch: Options) => void;
  fault: string;
}

export function TimeChoice({ shown, options, change, fault }: TimeChoiceProps) {
  const { timestamp = "", timestamp_format: format = "auto", timezone = "UTC" } = options;
  const column = shown.columns.find(({ name }) => name === timestamp);
  const fitting = column?.time_formats ?? [];
  const known = [...new Set([...fitting, ...Object.keys(FORMATS)])];
  const [isOwn, setOwn] = useState(!known.includes(format));
  const none = shown.dated ? "The events have their own (keen.timestamp)" : "None: events get the time of the import";
  const columns = shown.columns.filter(({ name }) => name !== "keen.timestamp");
  const choices = [["", none], ...columns.map(({ name, time_formats }) => [name, time_formats.length ? `${name} (holds times)` : name])] as [string, string][];
  const pick = (name: string) => {
    setOwn(false);
    const [first = "auto"] = shown.columns.find((one) => one.name === name)?.time_formats ?? [];
    change({ timestamp: name, timestamp_format: first });
  };
  const both = ["%d/%m/%Y", "%m/%d/%Y"].every((start) => fitting.some((one) => one.startsWith(start)));
  return (
    <fieldset class="time">
      <legend>Time of the events</legend>
      <div class="fields">
        <Field id="import-time" label="Column">
          <Choice id="import-time" value={timestamp} choices={choices} choose={pick} />
        </Field>
        {timestamp && (
          <>
            <Field id="import-time-format" label="Written as">
              <Choice id="import-time-format" value={isOwn ? OWN : format}
                choices={[...known.map((one) => [one, named(one)] as const), [OWN, "another pattern"]]}
                choose={(one) => (setOwn(one === OWN), one !== OWN && change({ timestamp_format: one }))} />
            </Field>
            {isOwn && (
              <TextField id="import-time-pattern" label="Pattern" value={format} set={(one) => change({ timestamp_format: one })}
                hint="As %d/%m/%Y %H:%M; %Y year, %m month, %d day, %H hour, %M minute, %S second" />
            )}
            <Field id="import-zone" label="In the time zone" hint="Of times that name no offset.">
              <Combobox id="import-zone" value={timezone} options={zoneNames().map((value) => ({ value }))} commit={(zone) => change({ timezone: zone === "UTC" ? "" : zone })} />
            </Field>
          </>
        )}
      </div>
      {timestamp && both && <p class="warning">Days and months could be either way round in this column: check the dates below.</p>}
      {timestamp && shown.time && !fault && <Given times={shown.time} />}
    </fieldset>
  );
}

function Given({ times }: { times: Times }) {
  const { timezone, examples, earliest, latest } = times;
  return (
    <div class="given" aria-live="polite">
      {examples.slice(0, 3).map(({ value, time }) => (
        <p key={value}>
          <code>{value}</code> is {instantIn(timezone, time)}
        </p>
      ))}
      {earliest && latest && (
        <p class="small">
          From {instantIn(timezone, earliest)} to {instantIn(timezone, latest)}.
        </p>
      )}
      {times.empty > 0 && <p class="small">{countText(times.empty, "row")} without a time: they get the time of the import.</p>}
      {times.unfit > 0 && (
        <p class="warning">
          {countText(times.unfit, "row")} will be refused, since the time does not fit: {times.unfit_examples.map(({ value }) => `“${value}”`).join(", ")}
        </p>
      )}
    </div>
  );
}
