/** How the server is, in words: for the owners of its first organisation. */
import type { OwnProps } from "../../app.tsx";
import { useLoaded } from "../../loading.ts";
import { call } from "../../session.ts";
import { Empty, Loading, Problem } from "../../ui/states.tsx";
import { shownTime } from "../../zones.ts";
import { countText, sizeText } from "../../words.ts";
import { OrganisationNav } from "../people/nav.tsx";

interface ServerState {
  version: string;
  format: number;
  state: "ready" | "stopping";
  events_refused: string | null;
  damaged_logs: number[];
  damaged_files: number;
  events_waiting: number;
  bytes_waiting: number;
  written_at: string | null;
  disk_free_bytes: number;
  disk_bytes: number;
  disk_free_min_bytes: number;
  clock_jumped: boolean;
  projects: number;
  events: number;
  bytes: number;
  superseded_bytes: number;
  partials_bytes: number;
  queries_running: number;
  queries_waiting: number;
  starts: Record<string, number>;
  task_failures: Record<string, number>;
}

export function ServerPage({ session }: OwnProps) {
  const { value, error, busy, reload } = useLoaded(async () => (session.operates ? call<ServerState>("GET", "/account/server") : null), []);
  if (!session.operates) {
    return (
      <Empty title="Only the server's operators see this page">
        <p>They are the owners of its first organisation.</p>
      </Empty>
    );
  }
  if (error) return <Problem error={error} retry={reload} />;
  if (!value) return <Loading what="the server's state" lines={6} />;
  const problems = problemsOf(value);
  return (
    <>
    <OrganisationNav session={session} page="server" />
    <div class="narrow">
      <div class="row spread">
        <h1>Server</h1>
        <button type="button" onClick={reload} disabled={busy}>
          Look again
        </button>
      </div>
      {problems.length === 0 ? (
        <p class="note" role="status">
          All is well.
        </p>
      ) : (
        problems.map((text) => (
          <p class="warning" role="alert" key={text}>
            {text}
          </p>
        ))
      )}
      <Facts of={value} />
      <p class="small">
        Programs read the same at <code>/metrics</code> and <code>/ready</code>; <code>acumen doctor</code> and <code>acumen check</code> say more.
      </p>
    </div>
    </>
  );
}

function problemsOf(state: ServerState): string[] {
  const found: string[] = [];
  const say = (wrong: unknown, text: string) => wrong && found.push(text);
  say(state.state === "stopping", "The server is stopping.");
  say(state.events_refused, `Events are refused: ${state.events_refused}`);
  say(state.damaged_logs.length, `A part of log ${state.damaged_logs.join(", ")} is damaged, so that questions are refused. Stop the server and run acumen repair.`);
  say(state.damaged_files, `${countText(state.damaged_files, "file")} damaged and set aside. Put them back from a backup: acumen check names them.`);
  say(state.disk_free_bytes < 3 * state.disk_free_min_bytes, `Little room is left on the disk: ${sizeText(state.disk_free_bytes)}. Below ${sizeText(state.disk_free_min_bytes)} events are refused.`);
  say(state.clock_jumped, "The machine's clock has jumped and is not trusted at present: nothing is deleted by age.");
  const failures = Object.entries(state.task_failures).filter(([, count]) => count > 0);
  for (const [name, count] of failures) found.push(`The task “${name}” in the background has failed ${countText(count, "time")} since the start. The server's log says why.`);
  return found;
}

function Facts({ of }: { of: ServerState }) {
  const restarts = Object.entries(of.starts).map(([name, count]) => `${name} ${count.toLocaleString()}`);
  const facts: [string, string][] = [
    ["Version", `${of.version}, data folder of format ${of.format}`],
    ["Stored", `${countText(of.events, "event")} of ${countText(of.projects, "project")}, ${sizeText(of.bytes)} in files`],
    ["Kept besides", `${sizeText(of.superseded_bytes)} for earlier versions, ${sizeText(of.partials_bytes)} of partial answers`],
    ["Waiting for a file", `${countText(of.events_waiting, "event")}, ${sizeText(of.bytes_waiting)} in the logs`],
    ["Last file written", of.written_at ? shownTime(of.written_at) : "none yet"],
    ["Free on the disk", `${sizeText(of.disk_free_bytes)} of ${sizeText(of.disk_bytes)}`],
    ["Questions now", `${of.queries_running.toLocaleString()} running, ${of.queries_waiting.toLocaleString()} waiting`],
    ["Process starts", restarts.join(", ")],
  ];
  return (
    <dl class="card part">
      {facts.map(([name, text]) => (
        <>
          <dt>{name}</dt>
          <dd>{text}</dd>
        </>
      ))}
    </dl>
  );
}
