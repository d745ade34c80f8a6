/** Files of events that were asked for: how far they are, their links, and a form that asks for one. */
import { useEffect, useState } from "preact/hooks";
import { useHere } from "../../../context.ts";
import { useLoaded } from "../../../loading.ts";
import { usePlace } from "../../../router.ts";
import { mayManage } from "../../../session.ts";
import { Dialog } from "../../../ui/dialog.tsx";
import { Loading, Problem } from "../../../ui/states.tsx";
import { shownTime } from "../../../zones.ts";
import { countText, sizeText } from "../../../words.ts";
import { manage } from "../api.ts";
import type { SectionProps } from "../settings.tsx";
import { ExportForm, type Wanted } from "./form.tsx";

interface Job {
  id: string;
  state: "queued" | "running" | "done" | "failed" | "expired";
  message: string | null;
  event_collection: string;
  content_type: string;
  content_encoding: string | null;
  created_date: string;
  expires_date: string | null;
  progress: { events: number; of: number | null };
  bytes: number | null;
  file_url: string | null;
}

const PAGE = 25;
const LOOK_SECONDS = 2;

/** With `?of=` and what is to be in it, as the explorer says it, the form is open. */
export function ExportsPage() {
  const given = usePlace().query.get("of");
  return (
    <>
      <h1>Exports</h1>
      <Exports rest={[]} of={given === null ? undefined : wantedOf(given)} />
    </>
  );
}

function wantedOf(text: string): Wanted {
  try {
    const { event_collection, filters } = JSON.parse(text) as Record<string, unknown>;
    return { event_collection: String(event_collection ?? ""), filters: Array.isArray(filters) ? filters : [] };
  } catch {
    return {};
  }
}

export function Exports({ of }: SectionProps & { of?: Wanted | undefined }) {
  const { project, say } = useHere();
  const [before, setBefore] = useState<string[]>([]);
  const [making, setMaking] = useState(of !== undefined);
  const [doomed, setDoomed] = useState<Job | null>(null);
  const last = before.at(-1);
  const { value, error, reload } = useLoaded(
    () => manage<{ extractions: Job[]; next_page_url: string | null }>(project, "GET", `extractions?limit=${PAGE}${last ? `&before=${last}` : ""}`),
    [project.id, last],
  );
  const jobs = value?.extractions;
  const moves = jobs?.some(({ state }) => state === "queued" || state === "running") ?? false;
  useEffect(() => {
    if (!moves) return;
    const timer = setInterval(() => document.hidden || reload(), LOOK_SECONDS * 1000);
    return () => clearInterval(timer);
  }, [moves, reload]);
  const remove = async () => {
    await manage(project, "DELETE", `extractions/${doomed!.id}`);
    say("The export is removed, and its file with it.");
    setDoomed(null);
    reload();
  };
  const done = () => {
    setMaking(false);
    setBefore([]);
    say("The file is being made.");
    reload();
  };
  return (
    <>
      <div class="row spread">
        <p class="lead">Files of events, made in the background. Whoever has a link to one can fetch it without a key.</p>
        <button type="button" class="main" onClick={() => setMaking(true)}>
          Make a file
        </button>
      </div>
      {error ? <Problem error={error} retry={reload} /> : !jobs ? <Loading what="exports" /> : null}
      {jobs?.length === 0 && <p class="lead">No file was asked for yet.</p>}
      {jobs && jobs.length > 0 && (
        <ul class="list" aria-label="Exports">
          {jobs.map((one) => (
            <Row key={one.id} job={one} remove={mayManage(project) ? () => setDoomed(one) : undefined} />
          ))}
        </ul>
      )}
      <p class="row gap">
        {before.length > 0 && (
          <button type="button" onClick={() => setBefore(before.slice(0, -1))}>
            Newer
          </button>
        )}
        {value?.next_page_url && (
          <button type="button" onClick={() => setBefore([...before, jobs!.at(-1)!.id])}>
            Older
          </button>
        )}
      </p>
      {making && <ExportForm of={of ?? {}} done={done} close={() => setMaking(false)} />}
      {doomed && (
        <Dialog title={doomed.state === "done" ? "Remove the file?" : "Cancel the export?"} action={doomed.state === "done" ? "Remove" : "Cancel it"}
          danger act={remove} close={() => setDoomed(null)}>
          <p>Its link does not work any more then. The events stay.</p>
        </Dialog>
      )}
    </>
  );
}

const KINDS: Record<string, string> = { "text/csv": "CSV", "application/json": "NDJSON", "application/vnd.apache.parquet": "Parquet" };
const STATES = { queued: "waiting", running: "in progress", done: "ready", failed: "failed", expired: "gone" } as const;

function Row({ job, remove }: { job: Job; remove: (() => void) | undefined }) {
  const { state, progress, bytes } = job;
  const kind = `${KINDS[job.content_type] ?? job.content_type}${job.content_encoding ? ", gzip" : ""}`;
  return (
    <li>
      <div class="grow">
        <p class="name">
          {job.event_collection} <span class={`badge${state === "failed" ? " warn" : ""}`}>{STATES[state]}</span>
        </p>
        <p class="small">
          {kind} · asked for {shownTime(job.created_date)}
          {state === "done" && ` · ${countText(progress.events, "event")}, ${sizeText(bytes ?? 0)}`}
          {state === "done" && job.expires_date && ` · until ${shownTime(job.expires_date)}`}
        </p>
        {job.message && <p class={state === "failed" ? "fault" : "small"}>{job.message}</p>}
        {state === "running" && (
          <progress aria-label={`Progress of ${job.event_collection}`} {...(progress.of ? { max: progress.of, value: progress.events } : {})} />
        )}
      </div>
      <span class="row">
        {job.file_url && (
          <a class="button" href={new URL(job.file_url).pathname + new URL(job.file_url).search} download>
            Download
          </a>
        )}
        {remove && (
          <button type="button" class="quiet" aria-label={`Remove the export of ${job.event_collection}`} onClick={remove}>
            {state === "queued" || state === "running" ? "Cancel" : "Remove"}
          </button>
        )}
      </span>
    </li>
  );
}
