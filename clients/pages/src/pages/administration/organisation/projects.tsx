/** The projects of an organisation, for its owners: made, and restored after they were deleted. */
import { useState } from "preact/hooks";
import type { OwnProps } from "../../../app.tsx";
import { useLoaded } from "../../../loading.ts";
import { addressOf, go } from "../../../router.ts";
import { Dialog } from "../../../ui/dialog.tsx";
import { Choice, TextField } from "../../../ui/field.tsx";
import { Empty, Loading, Problem } from "../../../ui/states.tsx";
import { shownTime } from "../../../zones.ts";
import { countText, sizeText } from "../../../words.ts";
import { OrganisationNav } from "../../people/nav.tsx";
import { organise, type DeletedProject, type Held, type OwnedProject } from "./api.ts";

export function ProjectsPage({ session, say, renew }: OwnProps) {
  const owned = session.organisations.filter(({ owner }) => owner);
  const [chosen, setChosen] = useState(owned[0]?.id ?? "");
  const organisation = owned.find(({ id }) => id === chosen) ?? owned[0];
  if (!organisation) {
    return (
      <Empty title="Only owners see this page">
        <p>Owners of an organisation make and delete its projects.</p>
      </Empty>
    );
  }
  return (
    <>
      <OrganisationNav session={session} page="projects" />
      <div class="row spread">
        <h1>Projects of {organisation.name}</h1>
        {owned.length > 1 && (
          <Choice id="organisation" label="Organisation" value={organisation.id} choose={setChosen}
            choices={owned.map(({ id, name }) => [id, name] as const)} />
        )}
      </div>
      <Projects key={organisation.id} organisation={organisation.id} say={say} renew={renew} />
    </>
  );
}

interface ProjectsProps {
  organisation: string;
  say: (text: string) => void;
  renew: () => Promise<void>;
}

function Projects({ organisation, say, renew }: ProjectsProps) {
  const { value, error, reload } = useLoaded(() => organise<{ projects: Held[] }>(organisation, "GET", "usage"), [organisation]);
  const deleted = useLoaded(() => organise<DeletedProject[]>(organisation, "GET", "deleted-projects"), [organisation]);
  const [making, setMaking] = useState(false);
  const restore = async (one: DeletedProject) => {
    try {
      await organise(organisation, "POST", `deleted-projects/${one.id}/restore`);
      await renew();
      say(`“${one.name}” is back, keys and all.`);
    } finally {
      reload();
      deleted.reload();
    }
  };
  const made = async (id: string) => {
    await renew();
    go(addressOf(id));
  };
  return (
    <>
      <p class="row spread">
        <span class="lead">Each project has its events, keys and people for itself.</span>
        <button type="button" class="main" onClick={() => setMaking(true)}>
          Make a project
        </button>
      </p>
      {error ? <Problem error={error} retry={reload} /> : !value ? <Loading what="projects" /> : null}
      {value && value.projects.length > 0 && (
        <ul class="list" aria-label="Projects">
          {value.projects.map((one) => (
            <li key={one.id}>
              <div class="grow">
                <p class="name">
                  <a href={addressOf(one.id)}>{one.name}</a>
                </p>
                <p class="small">
                  {countText(one.events, "event")} in {countText(one.collections, "collection")}, {sizeText(one.bytes)}
                </p>
              </div>
              <a href={addressOf(one.id, "settings", "project")} aria-label={`Settings of ${one.name}`}>
                Settings
              </a>
            </li>
          ))}
        </ul>
      )}
      {value?.projects.length === 0 && <p class="lead">There is no project.</p>}
      {deleted.value && deleted.value.length > 0 && (
        <section class="below" aria-labelledby="deleted">
          <h2 id="deleted">Deleted projects</h2>
          <ul class="list" aria-label="Deleted projects">
            {deleted.value.map((one) => (
              <li key={one.id}>
                <div class="grow">
                  <p class="name">{one.name}</p>
                  <p class="small">can be restored until {shownTime(one.restorable_until)}</p>
                </div>
                <button type="button" class="quiet" aria-label={`Restore ${one.name}`}
                  onClick={() => restore(one).catch((failure: Error) => say(failure.message))}>
                  Restore
                </button>
              </li>
            ))}
          </ul>
        </section>
      )}
      {making && <MakeProject organisation={organisation} made={made} close={() => setMaking(false)} />}
    </>
  );
}

interface MakeProps {
  organisation: string;
  made: (id: string) => Promise<void>;
  close: () => void;
}

function MakeProject({ organisation, made, close }: MakeProps) {
  const [name, setName] = useState("");
  const act = async () => made((await organise<OwnedProject>(organisation, "POST", "projects", { name: name.trim() })).id);
  return (
    <Dialog title="Make a project" action="Make it" act={act} close={close}>
      <TextField id="project-name" label="Name" value={name} set={setName} autocomplete="off" hint="No other project of the organisation has it." />
    </Dialog>
  );
}
