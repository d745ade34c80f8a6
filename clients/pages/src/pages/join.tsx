/** An invitation, opened: what it gives, and accepting it. */
import { ApiError } from "acumen-client";
import { useState } from "preact/hooks";
import { useToken } from "../link.ts";
import { useLoaded } from "../loading.ts";
import { go } from "../router.ts";
import { call, join, type Organisation, type Role, type Session } from "../session.ts";
import { checkPassword, faultsOf, FieldFault, PASSWORD_RULES, useSubmit } from "../submit.ts";
import { TextField } from "../ui/field.tsx";
import { Loading, Problem } from "../ui/states.tsx";
import { Entry, Refused } from "./entry.tsx";
import { OpenIdButton } from "./openid.tsx";

interface Offer {
  organisation: Organisation;
  projects: { id: string; name: string; role: Role }[];
  email: string | null;
  expires_at: string;
}

interface Props {
  session: Session | null;
  /** With the project to begin at. */
  enter: (session: Session, project: string | undefined) => void;
}

const MAY: Record<Role, string> = {
  viewer: "look at everything",
  editor: "look, and change queries and dashboards",
  owner: "do everything",
};

const SHOWN_MAX = 8;

export function JoinPage({ session, enter }: Props) {
  const token = useToken();
  const check = () => (token ? call<Offer>("POST", "/account/join/check", { token }) : Promise.resolve(null));
  const { value: offer, error, busy, reload } = useLoaded(check, [token]);
  if (error instanceof ApiError && error.status === 410) return <DeadLink />;
  if (error) return <Entry title="Join"><Problem error={error} retry={reload} /></Entry>;
  if (!offer) return busy ? <Entry title="Join"><Loading what="the invitation" /></Entry> : <NoToken />;
  const accept = async (given: object) => enter(await join({ token, ...given }), offer.projects[0]?.id);
  return (
    <Entry title={`Join ${offer.organisation.name}`}>
      <div class="card">
        <Given offer={offer} />
        {session?.person ? (
          <AcceptAs name={session.person.name || session.person.email} accept={accept} />
        ) : (
          <>
            <NewPerson offer={offer} accept={accept} />
            <OpenIdButton invitation={token} or="or join with" />
          </>
        )}
      </div>
    </Entry>
  );
}

function Given({ offer: { organisation, projects } }: { offer: Offer }) {
  if (organisation.owner) {
    return (
      <p>
        You will own <strong>{organisation.name}</strong>: all its projects, and who has a part in them.
      </p>
    );
  }
  return (
    <>
      <p>What you may do there:</p>
      <ul class="given">
        {projects.slice(0, SHOWN_MAX).map(({ id, name, role }) => (
          <li key={id}>
            <strong>{name}</strong>: {MAY[role]} <span class="small">({role})</span>
          </li>
        ))}
        {projects.length > SHOWN_MAX && <li>and {projects.length - SHOWN_MAX} more projects</li>}
        {projects.length === 0 && <li>Nothing yet: somebody has to give you a role in a project.</li>}
      </ul>
    </>
  );
}

type Accept = (given: object) => Promise<void>;

function AcceptAs({ name, accept }: { name: string; accept: Accept }) {
  const { busy, error, submit } = useSubmit(() => accept({}));
  return (
    <form onSubmit={submit}>
      <p class="small">You are logged in as {name}.</p>
      <Refused>{faultsOf(error)[""]}</Refused>
      <button type="submit" class="main" disabled={busy}>
        Join as {name}
      </button>
    </form>
  );
}

function NewPerson({ offer, accept }: { offer: Offer; accept: Accept }) {
  const [email, setEmail] = useState(offer.email ?? "");
  const [name, setName] = useState("");
  const [password, setPassword] = useState("");
  const { busy, error, submit } = useSubmit(async () => {
    if (!email.includes("@")) throw new FieldFault("email", "Enter your e-mail address.");
    if (!name.trim()) throw new FieldFault("name", "Enter your name, as others should see it.");
    checkPassword("password", password);
    await accept({ email, name, password });
  });
  const taken = error instanceof ApiError && error.status === 409;
  const faults = faultsOf(taken ? new FieldFault("email", "Somebody with this address is here already. Is it you? Then log in below.") : error,
    "email", "name", "password");
  return (
    <form onSubmit={submit} noValidate>
      {offer.email ? (
        <p>
          For <strong>{offer.email}</strong>
          <input class="unseen" type="email" value={email} autocomplete="username" aria-label="E-mail" readOnly tabIndex={-1} />
        </p>
      ) : (
        <TextField id="email" label="E-mail" type="email" value={email} set={setEmail} error={faults.email} autocomplete="username" />
      )}
      {offer.email && <Refused>{faults.email}</Refused>}
      <TextField id="name" label="Your name" value={name} set={setName} error={faults.name} autocomplete="name" />
      <TextField
        id="password" label="Password" type="password" value={password} set={setPassword} error={faults.password}
        hint={PASSWORD_RULES} autocomplete="new-password"
      />
      <Refused>{faults[""]}</Refused>
      <button type="submit" class="main" disabled={busy}>
        {busy ? "Joining …" : "Join"}
      </button>
      <p class="hint">
        Do you have an account here?{" "}
        <button type="button" class="link" onClick={() => go("/login?next=/join")}>
          Log in, and accept it with that
        </button>
      </p>
    </form>
  );
}

export function DeadLink() {
  return (
    <Entry title="This link does not work any more">
      <p>It was used or withdrawn, or it has expired. Each link works once. Ask whoever sent it for another.</p>
      <p>
        <a href="/login">Log in</a> if you have an account already.
      </p>
    </Entry>
  );
}

export function NoToken() {
  return (
    <Entry title="The link is not complete">
      <p>It ends with a long code behind a “#”. Open it again, whole, as you were sent it.</p>
      <p>
        <a href="/login">Log in</a>
      </p>
    </Entry>
  );
}
