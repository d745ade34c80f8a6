/** SQL: a statement, its rows as a table, and all of them as a CSV file. For whoever may ask it. */
import { ApiError } from "acumen-client";
import { useState } from "preact/hooks";
import { useHere } from "../../context.ts";
import { useLoaded } from "../../loading.ts";
import { go, here, usePlace } from "../../router.ts";
import { schemaOf, typeName, type CollectionSchema } from "../../schema.ts";
import { call, ended, refusal, TOKEN } from "../../session.ts";
import { saveBlob } from "../../ui/download.ts";
import { described, Field } from "../../ui/field.tsx";
import { Loading, Problem, textOf } from "../../ui/states.tsx";
import { viewersZone } from "../../zones.ts";

const SHOWN = 1000;

interface Rows {
  columns: { name: string; type: string }[];
  result: Record<string, unknown>[];
  truncated: boolean;
}

export function SqlPage() {
  const { project, client } = useHere();
  const asked = usePlace().query.get("sql") ?? "";
  const schema = useLoaded((signal) => schemaOf(client, signal), [client]);
  if (!project.permissions.includes("sql")) {
    return (
      <>
        <h1>SQL</h1>
        <p class="lead">SQL is for owners of the project. It may allow others too, by its preference “sql”.</p>
      </>
    );
  }
  return (
    <>
      <h1>SQL</h1>
      <Statement key={asked} asked={asked} schema={schema.value ?? []} />
    </>
  );
}

/** A name as it stands in a statement. */
const quoted = (name: string) => (/^[a-z_][a-z0-9_]*$/.test(name) ? name : `"${name.replaceAll('"', '""')}"`);

function Statement({ asked, schema }: { asked: string; schema: CollectionSchema[] }) {
  const { project, say } = useHere();
  const first = schema[0];
  const [typed, setTyped] = useState<string | null>(asked || null);
  const text = typed ?? (first ? `SELECT * FROM ${quoted(first.name)} ORDER BY "keen.timestamp" DESC LIMIT 100` : "");
  const path = `/3.0/projects/${project.id}/queries/sql`;
  const answer = useLoaded(
    async (signal) => (asked ? call<Rows>("POST", path, { sql: asked, limit: SHOWN, timezone: viewersZone() }, signal) : null),
    [path, asked],
  );
  const run = (event?: Event) => {
    event?.preventDefault();
    const place = here();
    place.query.set("sql", text);
    if (text === asked) answer.reload();
    else if (text.trim()) go(`${place.path}?${place.query}`);
  };
  const save = async () => {
    const headers = { authorization: TOKEN, "content-type": "application/json" };
    const body = JSON.stringify({ sql: asked, format: "csv", timezone: viewersZone() });
    try {
      const sent = await fetch(path, { method: "POST", headers, body });
      if (sent.status === 401) return ended();
      if (!sent.ok) throw refusal(sent.status, await sent.text());
      saveBlob("rows.csv", await sent.blob());
    } catch (error) {
      say(textOf(error));
    }
  };
  // What is wrong with the statement stands at it; all else may be tried again.
  const fault = answer.error instanceof ApiError && answer.error.status === 400 ? textOf(answer.error) : undefined;
  return (
    <>
      <form onSubmit={run}>
        <Field id="sql" label="One SELECT" error={fault} hint="Collections are tables; properties are columns, in double quotes where they have dots. Ctrl+Enter runs it.">
          <textarea {...described("sql", fault)} class="statement" rows={8} spellcheck={false} value={text}
            onInput={(event) => setTyped(event.currentTarget.value)} onKeyDown={(event) => event.key === "Enter" && (event.ctrlKey || event.metaKey) && run(event)} />
        </Field>
        <div class="row">
          <button type="submit" class="main" disabled={!text.trim() || answer.busy}>
            Run
          </button>
          {answer.value && (
            <button type="button" onClick={() => void save()}>
              Save all rows as CSV
            </button>
          )}
        </div>
      </form>
      <Tables schema={schema} />
      {answer.busy && asked && <Loading what="the rows" lines={4} />}
      {!answer.busy && answer.value && <RowTable {...answer.value} />}
      {!answer.busy && answer.error && !fault ? <div class="gap"><Problem error={answer.error} retry={answer.reload} /></div> : null}
    </>
  );
}

function Tables({ schema }: { schema: CollectionSchema[] }) {
  if (!schema.length) return null;
  return (
    <details class="more gap">
      <summary>Tables and columns</summary>
      {schema.map(({ name, properties }) => (
        <p key={name} class="small path">
          <code>{quoted(name)}</code>: {properties.map((one) => `${quoted(one.name)} (${typeName(one.type)})`).join(", ")}
        </p>
      ))}
    </details>
  );
}

const NUMERIC = /^(TINYINT|SMALLINT|INTEGER|BIGINT|HUGEINT|U\w+INT|FLOAT|DOUBLE|DECIMAL)/;
/** What is longer is cut in the table; what is no longer than a line stands on one. */
const CELL_MAX = 200;
const LINE_MAX = 40;
const textIn = (value: unknown) => (value === null || value === undefined ? "" : typeof value === "object" ? JSON.stringify(value) : String(value));

function RowTable({ columns, result, truncated }: Rows) {
  const numbers = columns.map(({ type }) => NUMERIC.test(type));
  const texts = result.map((row) => columns.map(({ name }) => textIn(row[name])));
  const isCut = texts.some((row) => row.some((text) => text.length > CELL_MAX));
  return (
    <section aria-label="Rows" class="gap">
      <p class="small" role="status">
        {truncated ? `The first ${result.length.toLocaleString()} rows; there are more. “Save all rows as CSV” has all that the server answers at once.` : `${result.length.toLocaleString()} ${result.length === 1 ? "row" : "rows"}.`}
        {isCut && " Long values are cut here; the CSV has them whole."}
      </p>
      <div class="scroll" tabIndex={0} role="region" aria-label="The rows as a table">
        <table>
          <thead>
            <tr>
              {columns.map(({ name, type }, at) => (
                <th key={name} scope="col" class={numbers[at] ? "number" : undefined} title={type}>
                  {name}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {texts.map((row, line) => (
              <tr key={line}>
                {row.map((text, at) => (
                  <td key={columns[at]!.name} class={numbers[at] ? "number" : text.length > LINE_MAX ? "long" : "brief"}>
                    <bdi>{text.length > CELL_MAX ? `${text.slice(0, CELL_MAX)}…` : text}</bdi>
                  </td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}
