/** Who did what in an organisation or in one project, newest first. */
import { useState } from "preact/hooks";
import { useLoaded } from "../../loading.ts";
import { call, type Project } from "../../session.ts";
import { Choice } from "../../ui/field.tsx";
import { Loading, Problem } from "../../ui/states.tsx";
import { shownTime } from "../../zones.ts";

interface Entry {
  id: number;
  at: string;
  actor: { kind: "person" | "key" | "shell"; id: string; name: string };
  action: string;
  project_id?: string;
  object: string;
  details: Record<string, unknown>;
}

const PAGE = 25;

const KINDS = [
  ["", "By anybody"],
  ["person", "By people"],
  ["key", "By keys"],
  ["shell", "From the shell"],
] as const;

interface AuditProps {
  /** The address below which the log is: of an organisation, or of a project. */
  base: string;
  /** Those to choose from; none where it is about one project. */
  projects: Project[];
  /** Another number once something was done. */
  turn: number;
}

export function Audit({ base, projects, turn }: AuditProps) {
  const [project, setProject] = useState("");
  const [kind, setKind] = useState("");
  const [actor, setActor] = useState("");
  const [before, setBefore] = useState<number[]>([]);
  const query = new URLSearchParams({ limit: String(PAGE + 1) });
  if (project) query.set("project_id", project);
  if (kind) query.set("kind", kind);
  if (actor) query.set("actor", actor);
  const last = before.at(-1);
  if (last) query.set("before", String(last));
  const address = `${base}/audit?${query}`;
  const { value, error, busy, reload } = useLoaded(() => call<Entry[]>("GET", address), [address, turn]);
  const shown = value?.slice(0, PAGE);
  const choices = [["", "All projects"], ...projects.map(({ id, name }) => [id, name])] as [string, string][];
  /** Another choice begins with the newest entry. */
  const choosing = (set: (value: string) => void) => (value: string) => {
    set(value);
    setBefore([]);
  };
  return (
    <section class="below" aria-labelledby="audit">
      <div class="row spread">
        <h2 id="audit">Who did what</h2>
        <div class="row audit-choices">
          {projects.length > 0 && (
            <Choice id="audit-project" label="Project of the entries" value={project} choices={choices} choose={choosing(setProject)} />
          )}
          <Choice id="audit-kind" label="Who did it" value={kind} choices={KINDS} choose={choosing(setKind)} />
          {actor && (
            <button type="button" class="chip" aria-label="Of everybody again" onClick={() => choosing(setActor)("")}>
              {actor} <span aria-hidden="true">×</span>
            </button>
          )}
        </div>
      </div>
      {error ? <Problem error={error} retry={reload} /> : !shown ? <Loading what="the audit log" /> : null}
      {shown?.length === 0 && <p class="lead">Nothing has been noted yet.</p>}
      {shown && shown.length > 0 && (
        <div class="scroll" tabIndex={0} role="group" aria-label="The audit log">
          <table class="log" aria-busy={busy}>
            <thead>
              <tr>
                <th scope="col">When</th>
                <th scope="col">Who</th>
                <th scope="col">What</th>
                <th scope="col">Of</th>
              </tr>
            </thead>
            <tbody>
              {shown.map((one) => (
                <Row key={one.id} entry={one} only={choosing(setActor)} projects={projects} />
              ))}
            </tbody>
          </table>
        </div>
      )}
      <p class="row gap">
        {before.length > 0 && (
          <button type="button" onClick={() => setBefore(before.slice(0, -1))}>
            Newer
          </button>
        )}
        {value && value.length > PAGE && (
          <button type="button" onClick={() => setBefore([...before, shown!.at(-1)!.id])}>
            Older
          </button>
        )}
      </p>
    </section>
  );
}

interface RowProps {
  entry: Entry;
  projects: Project[];
  /** Show the entries of this actor alone. */
  only: (actor: string) => void;
}

function Row({ entry: { at, actor, action, object, details, project_id }, projects, only }: RowProps) {
  const told = Object.entries(details).filter(([, value]) => value !== null);
  const nameOf = (id: string) => projects.find((one) => one.id === id)?.name ?? id;
  const said = (name: string, value: unknown) => (name === "roles" ? rolesText(value, nameOf) : textOf(value));
  const more = told.map(([name, value]) => `${name.replaceAll("_", " ")}: ${said(name, value)}`).join(", ");
  return (
    <tr>
      <td class="when">{shownTime(at)}</td>
      <td>
        <button type="button" class="link" title="Only theirs" onClick={() => only(actor.id || actor.name)}>
          {actor.name || actor.id}
        </button>{" "}
        {actor.kind === "key" && <span class="small">(key)</span>}
      </td>
      <td>{action}</td>
      <td class="path">
        {[projects.find(({ id }) => id === project_id)?.name, object].filter(Boolean).join(" · ")}
        {more && <p class="small">{more}</p>}
      </td>
    </tr>
  );
}

/** Project → role, the projects by their names. */
function rolesText(value: unknown, nameOf: (id: string) => string): string {
  const roles = Object.entries(Object(value) as Record<string, unknown>);
  return roles.map(([id, role]) => `${role} of ${nameOf(id)}`).join(", ") || "none";
}

function textOf(value: unknown): string {
  if (Array.isArray(value)) return value.map(textOf).join(", ");
  const { property_name, operator } = Object(value) as Record<string, unknown>;
  if (property_name && operator) return `${property_name} (${operator})`;
  if (typeof value === "string" && /^\d{4}-\d\d-\d\dT.*:00$/.test(value)) return shownTime(value);
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}
