/** What a file will become: its columns and their types, the time of the events, and where they are stored. */
import { useEffect, useState } from "preact/hooks";
import { useHere } from "../../context.ts";
import { useLoaded } from "../../loading.ts";
import { schemaOf } from "../../schema.ts";
import { call } from "../../session.ts";
import { faultsOf, useSubmit } from "../../submit.ts";
import { Combobox } from "../../ui/combobox.tsx";
import { Choice, Field, TextField } from "../../ui/field.tsx";
import { Loading, Problem, textOf } from "../../ui/states.tsx";
import { countText } from "../../words.ts";
import { importOf, type Column, type Import, type Options, type Preview } from "./calls.ts";
import { inWords, TimeChoice } from "./time.tsx";
import { nameFrom } from "./words.ts";

const COLUMNS_SHOWN = 200;
const EVENTS_SHOWN = 3;
const FORMATS = [
  ["", "Told by the content"],
  ["csv", "CSV"],
  ["tsv", "TSV"],
  ["ndjson", "NDJSON"],
  ["json", "JSON"],
  ["answer", "Answer of an extraction"],
  ["parquet", "Parquet"],
  ["arrow", "Arrow"],
] as const;
const TYPES = [
  ["auto", "as found"],
  ["text", "text"],
  ["number", "number"],
  ["boolean", "true or false"],
  ["json", "JSON"],
] as const;
const NAMES: Record<string, string> = { boolean: "true or false", json: "JSON", null: "nothing", mixed: "several" };

export function Setup({ job, started }: { job: Import; started: () => void }) {
  const { project, client } = useHere();
  const path = importOf(project.id, job.id);
  const [options, setOptions] = useState<Options>(job.options ?? {});
  const [isOwn, setOwn] = useState(job.options !== null);
  const [collection, setCollection] = useState(job.event_collection ?? nameFrom(job.file_name));
  const [again, setAgain] = useState(job.again);
  const [kept, setKept] = useState<Preview | null>(null);
  const preview = useLoaded((signal) => call<Preview>("POST", `${path}/preview`, options, signal), [path, JSON.stringify(options)]);
  const schema = useLoaded((signal) => schemaOf(client, signal), [client]);
  const found = preview.value;
  useEffect(() => {
    if (!found) return;
    setKept(found);
    // The likeliest time is chosen for who has chosen nothing yet.
    if (isOwn || !found.suggested_time) return;
    setOwn(true);
    const { column, format } = found.suggested_time;
    setOptions((now) => ({ ...now, timestamp: column, timestamp_format: format }));
  }, [found]);
  const change = (patch: Options) => {
    setOwn(true);
    setOptions((now) => without({ ...now, ...patch }));
  };
  const sending = useSubmit(async () => {
    await call("POST", `${path}/start`, { ...options, event_collection: collection, again });
    started();
  });
  const faults = faultsOf(sending.error, "event_collection");
  const shown = found ?? kept;
  return (
    <form class="import" onSubmit={sending.submit}>
      <Reading options={options} shown={shown} change={change} again={again} setAgain={setAgain} open={!!preview.error && !kept} />
      {preview.error ? <Problem error={preview.error} retry={preview.reload} /> : null}
      {!shown && preview.busy && <Loading what="what is in the file" lines={8} />}
      {shown && shown.columns_total === 0 && shown.rows === 0 && <p class="note">There are no events in this file.</p>}
      {shown && shown.columns_total > 0 && (
        <>
          <p role="status" class="small">
            {preview.busy ? "Looking again …" : rowsOf(shown)}
          </p>
          <Field id="import-collection" label="Collection" error={faults.event_collection} hint="An existing one, or a new name.">
            <Combobox id="import-collection" value={collection} free commit={setCollection} error={faults.event_collection}
              options={(schema.value ?? []).map(({ name }) => ({ value: name }))} />
          </Field>
          <TimeChoice shown={shown} options={options} change={change} fault={preview.error ? textOf(preview.error) : ""} />
          <Nearly shown={shown} options={options} change={change} />
          <Columns shown={shown} options={options} change={change} />
          <Broken shown={shown} />
          <section>
            <h2>What will be stored</h2>
            <div class="code">
              <pre tabIndex={0} aria-label="The first events">
                <code>{shown.events.slice(0, EVENTS_SHOWN).map((event) => JSON.stringify(event, null, 2)).join("\n")}</code>
              </pre>
            </div>
          </section>
        </>
      )}
      {faults[""] && <p class="fault" role="alert">{faults[""]}</p>}
      <p class="row">
        <button type="submit" class="main" disabled={sending.busy || preview.busy || !found || found.columns_total === 0}>
          {sending.busy ? "Starting …" : "Import"}
        </button>
      </p>
    </form>
  );
}

/** Options that are not empty. */
function without(options: Options): Options {
  const set = Object.entries(options).filter(([, value]) => value && (typeof value !== "object" || Object.keys(value).length));
  const { timestamp, ...rest } = Object.fromEntries(set) as Options;
  if (timestamp) return { timestamp, ...rest };
  const { timestamp_format: _, timezone: __, ...untimed } = rest;
  return untimed;
}

function rowsOf({ rows, rows_read, complete, columns_total, types_changeable }: Preview): string {
  const columns = countText(columns_total, types_changeable ? "column" : "property", types_changeable ? "columns" : "properties");
  if (complete) return `${countText(rows ?? rows_read, "row")}, ${columns}.`;
  return `${rows === null ? "Many rows" : countText(rows, "row")}, ${columns}. The first ${countText(rows_read, "row")} were looked at; types are settled over the whole file.`;
}

interface ChangeProps {
  options: Options;
  change: (patch: Options) => void;
}

interface ReadingProps extends ChangeProps {
  shown: Preview | null;
  again: boolean;
  setAgain: (again: boolean) => void;
  open: boolean;
}

function Reading({ options, shown, change, again, setAgain, open }: ReadingProps) {
  const isText = !shown || shown.types_changeable;
  const found = shown ? `: ${FORMATS.find(([name]) => name === shown.format)?.[1] ?? shown.format}` : "";
  return (
    <details class="reading" open={open}>
      <summary>How the file is read{found}</summary>
      <div class="fields">
        <Field id="import-format" label="Format">
          <Choice id="import-format" value={options.format ?? ""} choices={FORMATS} choose={(format) => change({ format })} />
        </Field>
        {isText && (
          <>
            <TextField id="import-delimiter" label="Delimiter" value={options.delimiter ?? ""} set={(delimiter) => change({ delimiter })}
              hint={shown?.delimiter ? `Found: ${shown.delimiter === "\t" ? "tab" : shown.delimiter}` : "One character, or tab"} />
            <TextField id="import-encoding" label="Encoding" value={options.encoding ?? ""} set={(encoding) => change({ encoding })} hint={`Found: ${shown?.encoding ?? "utf-8"}. Others: latin-1, cp1252`} />
          </>
        )}
      </div>
      <label class="check">
        <input type="checkbox" checked={again} onChange={(event) => setAgain(event.currentTarget.checked)} /> Store again what an earlier import of this file stored
      </label>
    </details>
  );
}

function Columns({ shown, options, change }: ChangeProps & { shown: Preview }) {
  const columns = shown.columns.slice(0, COLUMNS_SHOWN);
  return (
    <section>
      <h2>{shown.types_changeable ? "Columns" : "Properties"}</h2>
      <div class="scroll" tabIndex={0} role="group" aria-label="Columns">
        <table>
          <thead>
            <tr>
              <th scope="col">Name</th>
              <th scope="col">Type</th>
              <th scope="col" class="number">Empty</th>
              <th scope="col">Values</th>
            </tr>
          </thead>
          <tbody>
            {columns.map((one) => (
              <tr key={one.name}>
                <th scope="row" class="path">{one.name}</th>
                <td>
                  <Type one={one} isTime={one.name === options.timestamp} changeable={shown.types_changeable} types={options.types ?? {}} change={change} />
                </td>
                <td class="number">{one.empty === null ? "" : one.empty.toLocaleString(undefined, { style: "percent", maximumFractionDigits: 1 })}</td>
                <td class="samples">{one.samples.join(" · ")}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {shown.columns_total > columns.length && (
        <p class="note">
          The first {columns.length} of {shown.columns_total.toLocaleString()} are shown. A collection holds a limited number of properties: rows beyond it are refused.
        </p>
      )}
    </section>
  );
}

const MANY: Record<string, string> = { number: "numbers", boolean: "true or false", time: "dates", text: "texts" };

/** Columns that a few values keep from a type, which is chosen by one press. */
function Nearly({ shown, options, change }: ChangeProps & { shown: Preview }) {
  const found = shown.columns.filter(({ name, nearly }) => nearly && name !== options.timestamp);
  return (
    <>
      {found.map(({ name, given, nearly }) => {
        const { type, count, of, others } = nearly!;
        const unlike = others.map((one) => `“${one}”`).join(", ");
        const many = MANY[type] ?? type;
        if (given) {
          return <p class="warning" key={name}>{name}: {countText(of - count, "row")} will be refused, since not {many}: {unlike}</p>;
        }
        return (
          <div class="warning row" key={name}>
            <p class="grow">
              <b>{name}</b>: {count.toLocaleString()} of {of.toLocaleString()} values are {many}, not {unlike}
              {type === "number" && "; as text they cannot be summed"}.
            </p>
            {shown.types_changeable && type !== "time" && (
              <button type="button" onClick={() => change({ types: { ...options.types, [name]: type } })}>
                Read {name} as {NAMES[type] ?? type}
              </button>
            )}
          </div>
        );
      })}
    </>
  );
}

interface TypeProps {
  one: Column;
  isTime: boolean;
  changeable: boolean;
  types: Record<string, string>;
  change: (patch: Options) => void;
}

function Type({ one, isTime, changeable, types, change }: TypeProps) {
  if (isTime) return <span class="badge">time of the event</span>;
  const found = NAMES[one.type] ?? one.type;
  if (!changeable) return <>{found}</>;
  const choices = TYPES.map(([value, label]) => [value, value === "auto" ? (one.given ? label : found) : label] as const).filter(([value]) => value === "auto" || one.given || value !== one.type);
  const choose = (kind: string) => {
    const { [one.name]: _, ...others } = types;
    change({ types: kind === "auto" ? others : { ...others, [one.name]: kind } });
  };
  return <Choice id={`type-${one.name}`} label={`Type of ${one.name}`} value={types[one.name] ?? "auto"} choices={choices} choose={choose} />;
}

function Broken({ shown }: { shown: Preview }) {
  if (!shown.broken_examples.length) return null;
  return (
    <section class="warning">
      <p>Rows such as these will be refused:</p>
      <ul>
        {shown.broken_examples.map(({ number, line, error }) => (
          <li key={number}>
            {line === null ? `Row ${number.toLocaleString()}` : `Line ${line.toLocaleString()}`}: {inWords(error)}
          </li>
        ))}
      </ul>
    </section>
  );
}
