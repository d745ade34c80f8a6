/** The buckets of one pipeline: as a calendar, as a table, and how some are given another state. */
import { useEffect, useRef, useState } from "preact/hooks";
import { useHere } from "../../context.ts";
import { useLoaded } from "../../loading.ts";
import { call } from "../../session.ts";
import { Dialog } from "../../ui/dialog.tsx";
import { Choice, described, Field } from "../../ui/field.tsx";
import { textOf } from "../../ui/states.tsx";
import { countText } from "../../words.ts";
import { addressIn, type Bucket, type Details, type Slot, type Timeline } from "./calls.ts";
import { calendarOf, localTime, spanOf } from "./calendar.ts";
import { Why } from "./state.tsx";
import { bucketText, CAUSES, secondsText, SLOT_STATES } from "./words.ts";

export interface Range {
  from: string;
  to: string;
}

const FIRST_SHOWN = 25;
const MORE = 100;
const CELL = 13;
const HEAD = 18;
const SIDE = 56;
const SPACE = 2;
const LEGEND = ["fresh", "stale", "running", "failed", "frozen", "skipped"] as const;

export function zoneOf({ definition }: Details): string {
  const zone = definition.pipeline.timezone;
  return typeof zone === "string" ? zone : "UTC";
}

const shownState = ({ state, running }: Slot) => (running ? "running" : state);

interface StripProps {
  pipeline: Details;
  slots: Slot[];
  range: Range | null;
  choose: (range: Range) => void;
}

/** A cell for each bucket. Choosing one begins a range, choosing another ends it. */
export function Strip({ pipeline, slots, range, choose }: StripProps) {
  const zone = zoneOf(pipeline);
  const box = useRef<HTMLDivElement>(null);
  const isLong = pipeline.bucket === "day" || pipeline.bucket === "week";
  // The newest are on the right, where they stand in columns.
  useEffect(() => box.current?.scrollTo({ left: isLong ? box.current.scrollWidth : 0 }), [slots.length]);
  if (!slots.length) return <p>There is no bucket yet: the collections that it reads have no events in files.</p>;
  const unit = pipeline.bucket;
  const { cells, columns, rows, labels, inRows } = calendarOf(slots, unit, zone);
  const step = CELL + SPACE;
  const [left, top] = inRows ? [SIDE, 0] : [0, HEAD];
  const counts = LEGEND.map((state) => [state, slots.filter((one) => shownState(one) === state).length] as const).filter(([, count]) => count);
  const pick = ({ start }: Slot) => {
    const local = localTime(start, zone);
    const isOpen = range && range.from === range.to && range.from !== local;
    const [from, to] = isOpen ? [range.from, local].sort() : [local, local];
    choose({ from: from!, to: to! });
  };
  const isIn = ({ start }: Slot) => {
    const local = localTime(start, zone);
    return range !== null && range.from <= local && local <= range.to;
  };
  return (
    <>
      <div class="scroll strip" ref={box} tabIndex={0} role="group" aria-label="Calendar of the buckets">
        <svg width={left + columns * step + (inRows ? 0 : SIDE)} height={top + rows * step} role="img" aria-label={`${countText(slots.length, "bucket")}: ${counts.map(([state, count]) => `${count.toLocaleString()} ${SLOT_STATES[state]}`).join(", ")}. The table has each.`}>
          {labels.map(({ column, row, text }) => (
            <text key={text} x={column * step} y={inRows ? row * step + 11 : HEAD - 6} class="sub">{text}</text>
          ))}
          {cells.map(({ slot, column, row }) => (
            <rect key={slot.start} class={`cell is-${shownState(slot)}${isIn(slot) ? " in" : ""}`} x={left + column * step} y={top + row * step} width={CELL} height={CELL} rx="2" onClick={() => pick(slot)}>
              <title>{`${bucketText(slot.start, unit, zone)}: ${SLOT_STATES[shownState(slot)]}`}</title>
            </rect>
          ))}
        </svg>
      </div>
      <p class="row counts-of">
        {counts.map(([state, count]) => (
          <span key={state} class={`state is-${state}`}>
            <span class="dot" aria-hidden="true" /> {count.toLocaleString()} {SLOT_STATES[state]}
          </span>
        ))}
      </p>
    </>
  );
}

interface BucketTableProps {
  pipeline: Details;
  slots: Slot[];
  buckets: Bucket[];
  total: number;
}

export function BucketTable({ pipeline, slots, buckets, total }: BucketTableProps) {
  const [state, setState] = useState("");
  const [most, setMost] = useState(FIRST_SHOWN);
  const zone = zoneOf(pipeline);
  const known = new Map(buckets.map((one) => [one.start, one]));
  const found = slots.filter((one) => !state || shownState(one) === state);
  const choices = [["", "All states"], ...LEGEND.map((one) => [one, SLOT_STATES[one]])] as [string, string][];
  return (
    <>
      <div class="row spread tools">
        <p class="small">
          Newest first; times are those of {zone}.{total > slots.length && ` The newest ${slots.length.toLocaleString()} of ${total.toLocaleString()}.`}
        </p>
        <Choice id="bucket-state" label="State of the buckets" value={state} choices={choices} choose={setState} />
      </div>
      {found.length === 0 ? <p>There is none.</p> : (
        <div class="scroll" tabIndex={0} role="group" aria-label="Buckets">
          <table>
            <thead>
              <tr>
                <th scope="col">Bucket</th>
                <th scope="col">State</th>
                <th scope="col" class="number">Rows in</th>
                <th scope="col" class="number">Rows out</th>
                <th scope="col" class="number roomy">Processor time</th>
              </tr>
            </thead>
            <tbody>
              {found.slice(0, most).map((slot) => {
                const one = known.get(slot.start);
                return (
                  <tr key={slot.start}>
                    <th scope="row">{bucketText(slot.start, pipeline.bucket, zone)}</th>
                    <td>
                      <span class={`state is-${shownState(slot)}`}>
                        <span class="dot" aria-hidden="true" /> {SLOT_STATES[shownState(slot)]}
                      </span>
                      {slot.cause && <p class="small">{CAUSES[slot.cause]}</p>}
                      {one?.problem && <Why problem={one.problem} />}
                    </td>
                    <td class="number">{one ? one.rows_in.toLocaleString() : "–"}</td>
                    <td class="number">{one ? one.rows_out.toLocaleString() : "–"}</td>
                    <td class="number roomy">{one ? secondsText(one.processor_seconds) : "–"}</td>
                  </tr>
                );
              })}
            </tbody>
          </table>
        </div>
      )}
      {found.length > most && <button type="button" class="gap" onClick={() => setMost(most + MORE)}>Show more</button>}
    </>
  );
}

const CHANGES = {
  stale: ["Derive again", "Derive", "They are derived again from the events as they are now. Frozen and skipped ones too, which ends that."],
  frozen: ["Freeze", "Freeze", "Their rows stay as they are, whatever happens to the events, until somebody has them derived again."],
  skipped: ["Skip", "Skip", "They are never derived, until somebody has them derived again. Rows that they have stay."],
} as const;

interface ChangeProps {
  pipeline: Details;
  range: Range | null;
  close: () => void;
  done: () => void;
}

/** Which buckets, and what becomes of them; the button says how many they are. */
export function ChangeBuckets({ pipeline, range, close, done }: ChangeProps) {
  const { project, say } = useHere();
  const isHour = pipeline.bucket === "hour";
  const cut = (local: string) => local.slice(0, isHour ? 16 : 10);
  const [state, setState] = useState<keyof typeof CHANGES>("stale");
  const [from, setFrom] = useState(cut(range?.from ?? ""));
  const [to, setTo] = useState(cut(range?.to ?? ""));
  const zone = zoneOf(pipeline);
  const { since, until } = spanOf(from, to, pipeline.bucket, zone);
  const given = Object.entries({ since, until }).filter(([, one]) => one !== null) as [string, string][];
  const isBackwards = Boolean(from && to && from > to);
  const { value, error, busy } = useLoaded<Timeline | null>(
    async (signal) => (isBackwards ? null : call("GET", `${addressIn(project, "pipelines", pipeline.name, "timeline")}?${new URLSearchParams([...given, ["limit", "1"]])}`, undefined, signal)),
    [project, since, until, isBackwards],
  );
  const total = value?.total ?? 0;
  const [label, verb, meaning] = CHANGES[state];
  const act = async () => {
    if (isBackwards) throw new Error("The last bucket is before the first.");
    if (busy || !value) throw new Error("Wait until it is known how many buckets these are.");
    if (!total) throw new Error("There is no bucket in this time. Choose another.");
    const { changed } = await call<{ changed: number }>("POST", addressIn(project, "pipelines", pipeline.name, "buckets"), { state, ...Object.fromEntries(given) });
    say(`${countText(changed, "bucket")} of ${pipeline.name}: ${{ stale: "to be derived again", frozen: "frozen", skipped: "skipped" }[state]}.`);
    done();
  };
  const kind = isHour ? "datetime-local" : "date";
  const action = busy ? `${verb} …` : `${verb} ${countText(total, "bucket")}`;
  return (
    <Dialog title={`Change buckets of ${pipeline.name}`} action={action} danger={state === "skipped"} act={act} close={close}>
      <Field id="bucket-change" label="What is done" hint={meaning}>
        <Choice id="bucket-change" value={state} choices={Object.entries(CHANGES).map(([name, [said]]) => [name, said] as const)} choose={(name) => setState(name as keyof typeof CHANGES)} />
      </Field>
      <div class="row two">
        <Field id="bucket-from" label="First" hint="Empty: from the beginning.">
          <input {...described("bucket-from")} type={kind} step={isHour ? 3600 : undefined} value={from} onInput={(event) => setFrom(event.currentTarget.value)} />
        </Field>
        <Field id="bucket-to" label="Last" hint="Empty: to the newest." error={isBackwards ? "It is before the first." : undefined}>
          <input {...described("bucket-to")} type={kind} step={isHour ? 3600 : undefined} value={to} onInput={(event) => setTo(event.currentTarget.value)} />
        </Field>
      </div>
      <p role="status">
        {error ? textOf(error) : isBackwards || !value ? " " : total === 0 ? "There is no bucket in this time." : `This touches ${!from && !to ? "all " : ""}${countText(total, "bucket")}.`} Times are those of {zone}.
      </p>
      {label === "Derive again" && pipeline.paused && <p class="warning">The pipeline is paused: nothing is derived until it is resumed.</p>}
    </Dialog>
  );
}
