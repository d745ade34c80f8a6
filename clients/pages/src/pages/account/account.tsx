/** A person's own account. */
import { useState } from "preact/hooks";
import type { OwnProps } from "../../app.tsx";
import { call, type Person } from "../../session.ts";
import { checkPassword, faultsOf, FieldFault, ofPassword, PASSWORD_RULES, useSubmit } from "../../submit.ts";
import { TextField } from "../../ui/field.tsx";
import { Refused } from "../entry.tsx";
import { SecondFactor } from "./second_factor.tsx";
import { OwnSessions } from "./sessions.tsx";

export function AccountPage({ session, say, renew }: OwnProps) {
  const person = session.person!;
  // Other sessions end with a change of the password.
  const [turn, setTurn] = useState(0);
  return (
    <div class="narrow">
      <h1>Your account</h1>
      <section class="card part" aria-label="Who you are">
        {person.password && <OwnForm key={person.email + person.name} person={person} done={async () => {
          await renew();
          say("Your account is changed.");
        }} />}
        <dl>
          {!person.password && (
            <>
              <dt>Name</dt>
              <dd>{person.name}</dd>
              <dt>Address</dt>
              <dd>{person.email}</dd>
            </>
          )}
          <dt>Belongs to</dt>
          <dd>{session.organisations.map(({ name, owner }) => (owner ? `${name} (owner)` : name)).join(", ")}</dd>
          {session.projects.length > 0 && (
            <>
              <dt>Projects</dt>
              <dd>{session.projects.map(({ name, role }) => `${name} (${role})`).join(", ")}</dd>
            </>
          )}
        </dl>
      </section>
      <section class="card part" aria-labelledby="password-title">
        <h2 id="password-title">Password</h2>
        {!person.password && <p>You have none: you log in elsewhere, with another service.</p>}
        {person.password && <PasswordForm email={person.email} done={() => {
          say("Your password is changed. Your other sessions have ended.");
          setTurn(turn + 1);
        }} />}
      </section>
      <section class="card part" aria-labelledby="factor-title">
        <h2 id="factor-title">Second factor</h2>
        {person.password ? (
          <SecondFactor on={person.two_factor} renew={renew} say={say} />
        ) : (
          <p>It is for the service with which you log in to ask for one.</p>
        )}
      </section>
      <section aria-labelledby="sessions-title">
        <h2 id="sessions-title">Where you are logged in</h2>
        <OwnSessions key={turn} say={say} />
      </section>
    </div>
  );
}

function OwnForm({ person, done }: { person: Person; done: () => Promise<void> }) {
  const [name, setName] = useState(person.name);
  const [email, setEmail] = useState(person.email);
  const [password, setPassword] = useState("");
  const isChanged = name.trim() !== person.name || email.trim() !== person.email;
  const { busy, error, submit } = useSubmit(async () => {
    if (!password) throw new FieldFault("password", "Enter your password.");
    await call("PUT", "/account", { name, email: email.trim(), password }).catch(ofPassword("password"));
    await done();
  });
  const faults = faultsOf(error, "name", "email", "password");
  return (
    <form onSubmit={submit} noValidate>
      <TextField id="own-name" label="Your name" value={name} set={setName} error={faults.name} autocomplete="name" />
      <TextField id="own-email" label="Address to log in with" type="email" value={email} set={setEmail} error={faults.email} autocomplete="username" />
      {isChanged && (
        <>
          <TextField id="own-password" label="Your password" type="password" value={password} set={setPassword} error={faults.password}
            autocomplete="current-password" hint="To change your name or address." />
          {faults[""] && <Refused>{faults[""]}</Refused>}
          <p>
            <button type="submit" class="main" disabled={busy}>
              Save
            </button>
          </p>
        </>
      )}
    </form>
  );
}

function PasswordForm({ email, done }: { email: string; done: () => void }) {
  const [old, setOld] = useState("");
  const [chosen, setChosen] = useState("");
  const { busy, error, submit } = useSubmit(async () => {
    if (!old) throw new FieldFault("old", "Enter your current password.");
    checkPassword("new", chosen);
    await call("PUT", "/account/password", { old, new: chosen }).catch(ofPassword("old"));
    setOld("");
    setChosen("");
    done();
  });
  const faults = faultsOf(error, "old", "new");
  return (
    <form onSubmit={submit} noValidate>
      <input class="unseen" type="email" value={email} autocomplete="username" aria-label="E-mail" readOnly tabIndex={-1} />
      <TextField
        id="old" label="Current password" type="password" value={old} set={setOld} error={faults.old}
        autocomplete="current-password"
      />
      <TextField
        id="new" label="New password" type="password" value={chosen} set={setChosen} error={faults.new}
        hint={PASSWORD_RULES} autocomplete="new-password"
      />
      <Refused>{faults[""]}</Refused>
      <button type="submit" disabled={busy}>
        Change the password
      </button>
    </form>
  );
}
