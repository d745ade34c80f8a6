/** Invitations: made, listed and withdrawn. */
import { useState } from "preact/hooks";
import { useLoaded } from "../../loading.ts";
import { call, type Project } from "../../session.ts";
import { Code } from "../../ui/code.tsx";
import { Dialog } from "../../ui/dialog.tsx";
import { TextField } from "../../ui/field.tsx";
import { Loading, Problem } from "../../ui/states.tsx";
import { shownTime } from "../../zones.ts";
import { PlaceFields, placeText, type Place } from "./place.tsx";

interface Listed extends Place {
  id: string;
  email: string | null;
  expires_at: string;
}

interface Made {
  id: string;
  link: string;
  expires_at: string;
}

interface Props {
  base: string;
  projects: Project[];
  say: (text: string) => void;
}

export function Invitations({ base, projects, say }: Props) {
  const path = `${base}/invitations`;
  const { value, error, reload } = useLoaded(() => call<Listed[]>("GET", path), [path]);
  const [making, setMaking] = useState(false);
  const [made, setMade] = useState<Made | null>(null);
  const [doomed, setDoomed] = useState<Listed | null>(null);
  const withdraw = async () => {
    await call("DELETE", `${path}/${doomed!.id}`);
    say("The invitation is withdrawn.");
    if (made?.id === doomed!.id) setMade(null);
    setDoomed(null);
    reload();
  };
  const done = (one: Made) => {
    setMade(one);
    setMaking(false);
    say("The invitation is made.");
    reload();
  };
  return (
    <section class="below" aria-labelledby="invitations">
      <div class="row spread">
        <h2 id="invitations">Invitations</h2>
        <button type="button" class="main" onClick={() => setMaking(true)}>
          Invite somebody
        </button>
      </div>
      {made && (
        <div class="note" role="status">
          <p>Send this link. It works once, until {shownTime(made.expires_at)}, and is shown now only.</p>
          <Code text={made.link} what="the link" />
        </div>
      )}
      {error ? <Problem error={error} retry={reload} /> : !value ? <Loading what="invitations" /> : null}
      {value?.length === 0 && <p class="lead">Nobody is invited at the moment.</p>}
      {value && value.length > 0 && (
        <ul class="list" aria-label="Invitations">
          {value.map((one) => (
            <li key={one.id}>
              <div class="grow">
                <p class="name">{one.email ?? "Whoever has the link"}</p>
                <p class="small">until {shownTime(one.expires_at)}</p>
              </div>
              <p class="grow">{placeText(one, projects)}</p>
              <button type="button" class="quiet" aria-label={`Withdraw the invitation of ${one.email ?? "whoever has the link"}`}
                onClick={() => setDoomed(one)}>
                Withdraw
              </button>
            </li>
          ))}
        </ul>
      )}
      {making && <Invite path={path} projects={projects} done={done} close={() => setMaking(false)} />}
      {doomed && (
        <Dialog title="Withdraw the invitation?" action="Withdraw" danger act={withdraw} close={() => setDoomed(null)}>
          <p>Its link does not work any more then.</p>
        </Dialog>
      )}
    </section>
  );
}

interface InviteProps {
  path: string;
  projects: Project[];
  done: (made: Made) => void;
  close: () => void;
}

function Invite({ path, projects, done, close }: InviteProps) {
  const [email, setEmail] = useState("");
  const only = projects.length === 1 ? projects[0] : undefined;
  const [place, setPlace] = useState<Place>({ owner: false, roles: only ? { [only.id]: "viewer" } : {} });
  const act = async () => {
    if (!place.owner && !Object.keys(place.roles).length) throw new Error("Choose a role in a project, or make them an owner.");
    const roles = place.owner ? {} : place.roles;
    done(await call<Made>("POST", path, { email: email.trim() || null, owner: place.owner, roles }));
  };
  return (
    <Dialog title="Invite somebody" action="Make the link" act={act} close={close}>
      <TextField
        id="invite-email" label="E-mail (may stay empty)" type="email" value={email} set={setEmail} autocomplete="off"
        hint="With an address, the link makes only a person of that address. You send the link yourself."
      />
      <PlaceFields place={place} set={setPlace} projects={projects} />
    </Dialog>
  );
}
