/** The project's files: by collection, one by one, and as code that reads them. */
import { useState } from "preact/hooks";
import { useHere } from "../../context.ts";
import { useLoaded } from "../../loading.ts";
import { Code } from "../../ui/code.tsx";
import { Choice } from "../../ui/field.tsx";
import { Empty, Loading, Problem } from "../../ui/states.tsx";
import { shownTime } from "../../zones.ts";
import { countText, sizeText } from "../../words.ts";
import { manage } from "./api.ts";
import type { SectionProps } from "./settings.tsx";

interface Held {
  event_collection: string;
  files: number;
  events: number;
  bytes: number;
  first: string | null;
  last: string | null;
  written_at: string | null;
  damaged: number;
  superseded_bytes: number;
  partials_bytes: number;
}

interface StoredFile {
  id: number;
  path: string;
  events: number;
  bytes: number;
  first: string;
  last: string;
  written_at: string;
  damaged: string | null;
}

export function FilesSection({ rest }: SectionProps) {
  const name = rest.join("/");
  return name ? <FilesOf name={name} /> : <Holdings />;
}

function Holdings() {
  const { project, to } = useHere();
  const { value, error, reload } = useLoaded(() => manage<Held[]>(project, "GET", "files"), [project.id]);
  if (error) return <Problem error={error} retry={reload} />;
  if (!value) return <Loading what="files" lines={6} />;
  if (!value.length) {
    return (
      <Empty title="No files yet">
        <p>Events go to Parquet files within minutes of their arrival.</p>
      </Empty>
    );
  }
  const sum = (of: (one: Held) => number) => value.reduce((total, one) => total + of(one), 0);
  const newest = value.map(({ written_at }) => written_at ?? "").sort().at(-1);
  const damaged = sum((one) => one.damaged);
  const [past, partials] = [sum((one) => one.superseded_bytes), sum((one) => one.partials_bytes)];
  return (
    <>
      <p class="lead">
        {countText(sum((one) => one.events), "event")} in {countText(sum((one) => one.files), "file")},{" "}
        {sizeText(sum((one) => one.bytes))}
        {newest && `; the newest was written ${shownTime(newest)}`}. Events of the last minutes may not be in files yet.
        {past + partials > 0 && ` Besides, ${sizeText(past)} are kept for earlier versions and ${sizeText(partials)} of partial answers.`}
      </p>
      {damaged > 0 && (
        <p class="warning" role="alert">
          {countText(damaged, "file")} of this project {damaged === 1 ? "is" : "are"} damaged and set aside. Answers about their time are
          incomplete, and say so. The server's operator can put them back from a backup.
        </p>
      )}
      <div class="scroll" tabIndex={0} role="group" aria-label="Collections in files">
        <table>
          <thead>
            <tr>
              <th scope="col">Collection</th>
              <th scope="col" class="number">Events</th>
              <th scope="col" class="number">Files</th>
              <th scope="col" class="number">Size</th>
              <th scope="col" class="roomy">First event</th>
              <th scope="col" class="roomy">Last event</th>
            </tr>
          </thead>
          <tbody>
            {value.map((one) => (
              <tr key={one.event_collection}>
                <th scope="row" class="path">
                  <a href={to("settings", "files", one.event_collection)}>{one.event_collection}</a>
                  {one.damaged > 0 && <> <span class="badge warn">{one.damaged} damaged</span></>}
                </th>
                <td class="number">{one.events.toLocaleString()}</td>
                <td class="number">{one.files.toLocaleString()}</td>
                <td class="number">{sizeText(one.bytes)}</td>
                <td class="roomy when">{one.first ? shownTime(one.first) : "–"}</td>
                <td class="roomy when">{one.last ? shownTime(one.last) : "–"}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </>
  );
}

const PAGE = 50;

function FilesOf({ name }: { name: string }) {
  const { project, to } = useHere();
  const [after, setAfter] = useState<number[]>([]);
  const of = `event_collection=${encodeURIComponent(name)}`;
  const { value, error, reload, busy } = useLoaded(
    () => manage<{ files: StoredFile[]; next: number | null }>(project, "GET", `files/list?${of}&limit=${PAGE}&after=${after.at(-1) ?? 0}`),
    [name, after.at(-1)],
  );
  return (
    <>
      <p>
        <a href={to("settings", "files")}>All collections</a>
      </p>
      <h2>{name}</h2>
      {error ? <Problem error={error} retry={reload} /> : !value ? <Loading what="files" lines={6} /> : null}
      {value?.files.length === 0 && <p class="lead">It has no file yet. Events go to files within minutes.</p>}
      {value && value.files.length > 0 && (
        <>
          <ReaderCode of={of} />
          <div class="scroll gap" tabIndex={0} role="group" aria-label={`Files of ${name}`}>
            <table aria-busy={busy}>
              <thead>
                <tr>
                  <th scope="col">File</th>
                  <th scope="col" class="number">Events</th>
                  <th scope="col" class="number">Size</th>
                  <th scope="col">From</th>
                  <th scope="col">To</th>
                </tr>
              </thead>
              <tbody>
                {value.files.map((one) => (
                  <tr key={one.id}>
                    <th scope="row" class="path">
                      <code>{one.path.split("/").slice(3).join("/") || one.path}</code>
                      {one.damaged && <p class="fault">{one.damaged}</p>}
                    </th>
                    <td class="number">{one.events.toLocaleString()}</td>
                    <td class="number">{sizeText(one.bytes)}</td>
                    <td class="when">{shownTime(one.first)}</td>
                    <td class="when">{shownTime(one.last)}</td>
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
          <p class="row gap">
            {after.length > 0 && (
              <button type="button" onClick={() => setAfter(after.slice(0, -1))}>
                Before
              </button>
            )}
            {value.next !== null && (
              <button type="button" onClick={() => setAfter([...after, value.next!])}>
                More files
              </button>
            )}
          </p>
        </>
      )}
    </>
  );
}

const READERS = [
  ["sql", "DuckDB"],
  ["polars", "Polars"],
  ["pandas", "pandas"],
  ["spark", "Spark"],
] as const;

/** Asked for when it is opened: it names every file. */
function ReaderCode({ of }: { of: string }) {
  const { project } = useHere();
  const [opened, setOpened] = useState(false);
  const [reader, setReader] = useState("sql");
  const { value, error, reload } = useLoaded(
    async () => (opened ? manage<{ code: string }>(project, "GET", `files/code?${of}&reader=${reader}`) : null),
    [opened, reader],
  );
  return (
    <details onToggle={(event) => setOpened((event.currentTarget as HTMLDetailsElement).open)}>
      <summary>Code that reads these files</summary>
      <div class="row gap">
        <Choice id="reader" label="For" value={reader} choices={READERS} choose={setReader} />
      </div>
      {error ? <Problem error={error} retry={reload} /> : value ? <Code text={value.code} what="the code" /> : opened ? <Loading what="the code" /> : null}
    </details>
  );
}
