/** The people of an organisation, for its owners. */
import { useState } from "preact/hooks";
import type { OwnProps } from "../../app.tsx";
import { useLoaded } from "../../loading.ts";
import { call, type Project } from "../../session.ts";
import { Dialog } from "../../ui/dialog.tsx";
import { Choice } from "../../ui/field.tsx";
import { Empty, Loading, Problem } from "../../ui/states.tsx";
import { Audit } from "./audit.tsx";
import { Invitations } from "./invitations.tsx";
import { OrganisationNav } from "./nav.tsx";
import { PlaceFields, placeText, type Place } from "./place.tsx";

export interface Member extends Place {
  id: string;
  email: string;
  name: string;
  two_factor: boolean;
}

export function PeoplePage({ session, say, renew }: OwnProps) {
  const owned = session.organisations.filter(({ owner }) => owner);
  const [chosen, setChosen] = useState(owned[0]?.id ?? "");
  const [turn, setTurn] = useState(0);
  const organisation = owned.find(({ id }) => id === chosen) ?? owned[0];
  if (!organisation) {
    return (
      <Empty title="Only owners see this page">
        <p>Owners of an organisation manage its people.</p>
      </Empty>
    );
  }
  const projects = session.projects.filter((one) => one.organisation_id === organisation.id);
  const base = `/account/organisations/${organisation.id}`;
  const done = (text: string) => {
    say(text);
    setTurn((before) => before + 1);
  };
  return (
    <>
      <OrganisationNav session={session} page="people" />
      <div class="row spread">
        <h1>People of {organisation.name}</h1>
        {owned.length > 1 && (
          <Choice id="organisation" label="Organisation" value={organisation.id} choose={setChosen}
            choices={owned.map(({ id, name }) => [id, name] as const)} />
        )}
      </div>
      <Members key={base} base={base} own={session.person!.id} projects={projects} say={done} renew={renew} />
      <Invitations key={`${base} invitations`} base={base} projects={projects} say={done} />
      <Audit key={`${base} audit`} base={base} projects={projects} turn={turn} />
    </>
  );
}

interface MembersProps {
  base: string;
  own: string;
  projects: Project[];
  say: (text: string) => void;
  renew: () => Promise<void>;
}

function Members({ base, own, projects, say, renew }: MembersProps) {
  const { value, error, reload } = useLoaded(() => call<Member[]>("GET", `${base}/people`), [base]);
  const [changing, setChanging] = useState<Member | null>(null);
  const [doomed, setDoomed] = useState<Member | null>(null);
  if (error) return <Problem error={error} retry={reload} />;
  if (!value) return <Loading what="people" />;
  const nameOf = (one: Member) => one.name || one.email;
  const changed = async (one: Member, said: string) => {
    setChanging(null);
    setDoomed(null);
    say(said);
    if (one.id === own) await renew();
    reload();
  };
  const remove = async () => {
    await call("DELETE", `${base}/people/${doomed!.id}`);
    await changed(doomed!, `${nameOf(doomed!)} is removed.`);
  };
  return (
    <>
      <ul class="list" aria-label="People">
        {value.map((one) => (
          <li key={one.id}>
            <div class="grow">
              <p class="name">
                {nameOf(one)} {one.id === own && <span class="badge">you</span>}
              </p>
              <p class="small">
                {one.email} · {one.two_factor ? "second factor on" : "no second factor"}
              </p>
            </div>
            <p class="grow">{placeText(one, projects)}</p>
            <span class="row">
              <button type="button" class="quiet" aria-label={`Change what ${nameOf(one)} may do`} onClick={() => setChanging(one)}>
                Change
              </button>
              <button type="button" class="quiet" aria-label={`Remove ${nameOf(one)}`} onClick={() => setDoomed(one)}>
                Remove
              </button>
            </span>
          </li>
        ))}
      </ul>
      {changing && (
        <ChangePlace base={base} member={changing} projects={projects} close={() => setChanging(null)}
          done={() => changed(changing, `What ${nameOf(changing)} may do is changed.`)} />
      )}
      {doomed && (
        <Dialog title={`Remove ${nameOf(doomed)}?`} action="Remove" danger act={remove} close={() => setDoomed(null)}>
          <p>
            {doomed.id === own ? "You lose" : "They lose"} every role here at once. What was made stays. To come back takes a
            new invitation.
          </p>
        </Dialog>
      )}
    </>
  );
}

interface ChangeProps {
  base: string;
  member: Member;
  projects: Project[];
  close: () => void;
  done: () => Promise<void>;
}

function ChangePlace({ base, member, projects, close, done }: ChangeProps) {
  const [place, setPlace] = useState<Place>({ owner: member.owner, roles: member.roles });
  const act = async () => {
    await call("PUT", `${base}/people/${member.id}`, place);
    await done();
  };
  return (
    <Dialog title={`What ${member.name || member.email} may do`} action="Save" act={act} close={close}>
      <PlaceFields place={place} set={setPlace} projects={projects} />
    </Dialog>
  );
}
