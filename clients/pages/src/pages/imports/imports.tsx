/** Where a file is dropped or chosen, and the imports that there were. */
import { useEffect, useRef, useState } from "preact/hooks";
import { useHere } from "../../context.ts";
import { useLoaded } from "../../loading.ts";
import { go } from "../../router.ts";
import { call } from "../../session.ts";
import { Empty, Problem } from "../../ui/states.tsx";
import { shownTime } from "../../zones.ts";
import { countText, sizeText } from "../../words.ts";
import { importsOf, upload, type Import, type State } from "./calls.ts";

const TYPES = ".csv,.tsv,.txt,.json,.ndjson,.jsonl,.parquet,.arrow,.feather,.gz";

export const STATES: Record<State, string> = {
  uploading: "being sent",
  uploaded: "not started",
  queued: "waits",
  running: "runs",
  done: "done",
  failed: "failed",
  cancelled: "cancelled",
};

export function ImportsPage() {
  const { project, mayEdit } = useHere();
  const listed = useLoaded(
    async (signal) => (mayEdit ? (await call<{ imports: Import[] }>("GET", `${importsOf(project.id)}?limit=20`, undefined, signal)).imports : []),
    [project.id],
  );
  if (!mayEdit) {
    return (
      <Empty title="Your role does not allow imports">
        <p>Editors and owners of the project import files.</p>
      </Empty>
    );
  }
  return (
    <>
      <h1>Import a file</h1>
      <p class="lead">Rows become events. You see what they will be before anything is stored.</p>
      <Drop />
      {listed.error ? <Problem error={listed.error} retry={listed.reload} /> : null}
      {listed.value && listed.value.length > 0 && <Listed imports={listed.value} />}
    </>
  );
}

function Drop() {
  const { project, to } = useHere();
  const [over, setOver] = useState(false);
  const [sending, setSending] = useState<{ name: string; share: number } | null>(null);
  const [error, setError] = useState<unknown>(null);
  const abort = useRef<AbortController | null>(null);
  useEffect(() => () => abort.current?.abort(), []);
  const send = (file: File | undefined) => {
    if (!file || sending) return;
    const controller = (abort.current = new AbortController());
    setError(null);
    setSending({ name: file.name, share: 0 });
    upload(project.id, file, (share) => setSending({ name: file.name, share }), controller.signal).then(
      ({ id }) => go(to("import", id)),
      (failure: unknown) => {
        setSending(null);
        if (!controller.signal.aborted) setError(failure);
      },
    );
  };
  if (sending) {
    return (
      <div class="drop" role="status">
        <p>
          {sending.share < 1 ? "Sending" : "Arriving:"} <strong>{sending.name}</strong>
        </p>
        <progress aria-label="Sent" max={1} value={sending.share} />
        <p>
          <button type="button" onClick={() => abort.current?.abort()}>
            Stop
          </button>
        </p>
      </div>
    );
  }
  return (
    <>
      <div
        class={`drop${over ? " over" : ""}`}
        onDragOver={(event) => {
          event.preventDefault();
          setOver(true);
        }}
        onDragLeave={() => setOver(false)}
        onDrop={(event) => {
          event.preventDefault();
          setOver(false);
          send(event.dataTransfer?.files[0]);
        }}
      >
        <label for="import-file">Drop a file here, or choose one</label>
        <input id="import-file" type="file" accept={TYPES} aria-describedby="import-file-hint" onChange={(event) => send(event.currentTarget.files?.[0])} />
        <p class="hint" id="import-file-hint">
          CSV, TSV, NDJSON, JSON, Parquet or Arrow; the text formats may be packed with gzip.
        </p>
      </div>
      {error !== null && <Problem error={error} />}
    </>
  );
}

function Listed({ imports }: { imports: Import[] }) {
  const { to } = useHere();
  return (
    <section class="earlier">
      <h2>Earlier imports</h2>
      <ul class="list">
        {imports.map((one) => (
          <li key={one.id}>
            <div class="grow">
              <a class="name" href={to("import", one.id)}>
                {one.file_name}
              </a>
              <p class="small">
                {sizeText(one.bytes)}, {shownTime(one.created_date)}
                {one.event_collection && `, to ${one.event_collection}`}
              </p>
            </div>
            <p class="small aside">{one.state === "done" ? `${countText(one.stored, "event")} stored` : STATES[one.state]}</p>
          </li>
        ))}
      </ul>
      <p class="hint">Files and reports are kept for some days.</p>
    </section>
  );
}
