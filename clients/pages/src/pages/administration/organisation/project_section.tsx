/** A project itself: its name, its preferences, and its end. For owners of its organisation. */
import { useState } from "preact/hooks";
import { useHere } from "../../../context.ts";
import { useLoaded } from "../../../loading.ts";
import { go } from "../../../router.ts";
import { useSubmit } from "../../../submit.ts";
import { Dialog } from "../../../ui/dialog.tsx";
import { TextField } from "../../../ui/field.tsx";
import { Loading, Problem, textOf } from "../../../ui/states.tsx";
import type { SectionProps } from "../settings.tsx";
import { organise, type OwnedProject } from "./api.ts";
import { manage } from "../api.ts";
import { changed, draftOf, PreferenceFields, preferenceFaults, type Defaults } from "./preferences.tsx";

export function ProjectSection(_: SectionProps) {
  const { project, session } = useHere();
  const owns = session.organisations.some(({ id, owner }) => owner && id === project.organisation_id);
  if (!owns) {
    return <p class="lead">Owners of the organisation rename and delete its projects, and set their preferences.</p>;
  }
  return <OwnedSection />;
}

function OwnedSection() {
  const { project } = useHere();
  const { value, error, reload } = useLoaded(
    () => organise<OwnedProject>(project.organisation_id, "GET", `projects/${project.id}`),
    [project.id],
  );
  if (error) return <Problem error={error} retry={reload} />;
  if (!value) return <Loading what="the project" />;
  return (
    <div class="narrow">
      <ProjectForm key={JSON.stringify(value)} known={value} reload={reload} />
      <DeleteProject known={value} />
    </div>
  );
}

function ProjectForm({ known, reload }: { known: OwnedProject; reload: () => void }) {
  const { project, say, renew } = useHere();
  const [name, setName] = useState(known.name);
  const [draft, setDraft] = useState(() => draftOf(known.preferences));
  const { busy, error, submit } = useSubmit(async () => {
    const preferences = changed(known.preferences, draft);
    await organise(project.organisation_id, "POST", `projects/${project.id}`, { name: name.trim(), preferences });
    await renew();
    say("The project is changed.");
    reload();
  });
  const own = useLoaded(() => manage<{ defaults: Defaults }>(project, "GET", "preferences"), [project.id]);
  const faults = preferenceFaults(error, error === null ? "" : textOf(error));
  return (
    <form class="card part" onSubmit={submit} noValidate>
      <TextField id="project-name" label="Name" value={name} set={setName} error={faults.name} autocomplete="off" />
      <dl>
        <dt>Id</dt>
        <dd>
          <code>{project.id}</code>
        </dd>
      </dl>
      <PreferenceFields draft={draft} set={setDraft} faults={faults} defaults={own.value?.defaults ?? null} />
      {faults[""] && (
        <p class="fault" role="alert">
          {faults[""]}
        </p>
      )}
      <button type="submit" class="main" disabled={busy}>
        Save
      </button>
    </form>
  );
}

function DeleteProject({ known }: { known: OwnedProject }) {
  const { project, say, renew } = useHere();
  const [asking, setAsking] = useState(false);
  const [typed, setTyped] = useState("");
  const act = async () => {
    if (typed !== known.name) throw new Error("Type the project's name as it stands there.");
    await organise(project.organisation_id, "DELETE", `projects/${project.id}`);
    // Gone from here before the session no longer knows it.
    go("/app/projects", { replace: true });
    await renew();
    say(`“${known.name}” is deleted. It can be restored for some days.`);
  };
  return (
    <section class="card part" aria-labelledby="delete-project">
      <h2 id="delete-project">Delete the project</h2>
      <p>
        Its keys stop working within a second, and nobody sees its events, saved queries, datasets and dashboards any more. Under
        Projects it can be restored for some days, keys and all; then everything goes for good.
      </p>
      <button type="button" class="danger" onClick={() => setAsking(true)}>
        Delete the project
      </button>
      {asking && (
        <Dialog title={`Delete ${known.name}?`} action="Delete" danger act={act} close={() => setAsking(false)}>
          <p>All programs that send to it or ask it will fail.</p>
          <TextField id="project-typed" label={`To confirm, type ${known.name}`} value={typed} set={setTyped} autocomplete="off" />
        </Dialog>
      )}
    </section>
  );
}
