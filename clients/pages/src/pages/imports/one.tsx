/** One import: what the file is, how far it is, and what became of it. */
import { useEffect, useState } from "preact/hooks";
import { useHere } from "../../context.ts";
import { useLoaded } from "../../loading.ts";
import { go } from "../../router.ts";
import { call } from "../../session.ts";
import { Loading, Problem } from "../../ui/states.tsx";
import { countText, sizeText } from "../../words.ts";
import { importOf, type Import } from "./calls.ts";
import { Report } from "./report.tsx";
import { Setup } from "./setup.tsx";

const LOOK_MS = 700;

export function ImportPage({ id }: { id: string }) {
  const { project, to, say } = useHere();
  const path = importOf(project.id, id);
  const loaded = useLoaded((signal) => call<Import>("GET", path, undefined, signal), [path]);
  const [changed, setChanged] = useState(false);
  const [failure, setFailure] = useState<unknown>(null);
  const job = loaded.value;
  const working = job?.state === "queued" || job?.state === "running";
  useEffect(() => {
    if (!working || loaded.busy) return;
    const timer = setTimeout(loaded.reload, LOOK_MS);
    return () => clearTimeout(timer);
  }, [working, loaded.busy]);
  const act = (method: string, address: string, then: () => void) =>
    call(method, address).then(then, (error: unknown) => setFailure(error));
  const remove = () =>
    act("DELETE", path, () => {
      say("The import is deleted.");
      go(to("import"));
    });
  const started = () => {
    setChanged(false);
    loaded.reload();
  };
  if (loaded.error) return <><h1>Import</h1><Problem error={loaded.error} retry={loaded.reload} /></>;
  if (!job) return <Loading what="the import" lines={6} />;
  const mayStart = job.state === "uploaded" || changed;
  return (
    <>
      <div class="row spread">
        <h1>{job.file_name}</h1>
        <div class="row">
          <a class="button" href={to("import")}>
            All imports
          </a>
          <button type="button" onClick={remove}>
            Delete
          </button>
        </div>
      </div>
      <p class="small">{sizeText(job.bytes)}. Deleting an import leaves the events that it stored.</p>
      {failure !== null && <Problem error={failure} />}
      {mayStart && <Setup job={job} started={started} />}
      {!mayStart && working && (
        <section class="card roomy-card" aria-label="Progress">
          <h2>{job.state === "queued" ? "Waiting for its turn" : `Storing events in ${job.event_collection}`}</h2>
          <progress aria-label="Read of the file" max={job.progress.of || 1} value={job.progress.bytes} />
          <p role="status">
            {countText(job.stored + job.already_stored, "event")} stored{job.refused > 0 && `, ${job.refused.toLocaleString()} refused`}. You may leave this page: it goes on.
          </p>
          <button type="button" onClick={() => act("POST", `${path}/cancel`, loaded.reload)}>
            Cancel
          </button>
        </section>
      )}
      {!mayStart && !working && <Report job={job} change={() => setChanged(true)} />}
    </>
  );
}
