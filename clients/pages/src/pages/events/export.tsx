/** All events of an extraction as a file, which the server makes. */
import type { Question } from "acumen-client";
import { useEffect, useRef, useState } from "preact/hooks";
import { useHere } from "../../context.ts";
import { call } from "../../session.ts";
import { textOf } from "../../ui/states.tsx";

interface Job {
  id: string;
  state: "queued" | "running" | "done" | "failed" | "expired";
  message?: string | null;
  progress: { events: number; of: number | null };
  file_url: string | null;
}

const LOOK_SECONDS = [0.3, 0.5, 1, 2, 4];

/** Why the events under these filters cannot be saved as a file, which is read in parts; empty where they can. */
export function whyNoFile(filters: unknown): string {
  if (Array.isArray(filters)) return filters.map(whyNoFile).find(Boolean) ?? "";
  const { session, cohort, operator, operands } = Object(filters) as Record<string, unknown>;
  if (session) return "No file: sessions are read together.";
  if (cohort || /in_cohort$/.test(String(operator))) return "No file: a cohort moves with the time.";
  return whyNoFile(operands ?? []);
}

export function ExportButton({ question }: { question: Question }) {
  const { project } = useHere();
  const [state, setState] = useState<Job | "asking" | null>(null);
  const [error, setError] = useState<unknown>(null);
  const here = useRef(true);
  useEffect(() => () => void (here.current = false), []);
  const path = `/3.0/projects/${project.id}`;
  const run = async () => {
    setError(null);
    setState("asking");
    const { analysis_type: _, latest: __, ...asked } = question;
    let { job } = await call<{ job: Job }>("POST", `${path}/queries/extraction`, { ...asked, delivery: "link" });
    for (let look = 0; here.current && (job.state === "queued" || job.state === "running"); look++) {
      setState(job);
      await new Promise((resolve) => setTimeout(resolve, 1000 * LOOK_SECONDS[Math.min(look, LOOK_SECONDS.length - 1)]!));
      job = await call<Job>("GET", `${path}/extractions/${job.id}`);
    }
    if (job.state === "failed") throw new Error(job.message ?? "The file could not be made.");
    if (here.current) setState(job);
  };
  const start = () => run().catch((failure: unknown) => here.current && (setState(null), setError(failure)));
  if (!project.permissions.includes("exports")) return null;
  if (state && state !== "asking" && state.file_url) {
    return (
      <a class="button" href={state.file_url} download>
        Save the file (CSV)
      </a>
    );
  }
  const { events, of } = state && state !== "asking" ? state.progress : { events: 0, of: null };
  return (
    <>
      <button type="button" onClick={start} disabled={state !== null}>
        {state === null ? "Export all as CSV" : of ? `Writing: ${Math.round((events / of) * 100)} %` : "Being written …"}
      </button>
      {error !== null && (
        <p class="fault" role="alert">
          {textOf(error)}
        </p>
      )}
    </>
  );
}
