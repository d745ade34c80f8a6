/** Log in: as a person, or with a key of a project. */
import { ApiError } from "acumen-client";
import { useEffect, useState } from "preact/hooks";
import { call, entered, logIn, logInWithKey, type Session } from "../session.ts";
import { faultsOf, FieldFault, useSubmit } from "../submit.ts";
import { TextField } from "../ui/field.tsx";
import { Tabs } from "../ui/tabs.tsx";
import { Loading, textOf } from "../ui/states.tsx";
import { Entry, Refused } from "./entry.tsx";
import { ENTERED, faultOf, OpenIdButton } from "./openid.tsx";

type Enter = (session: Session) => void;

const TABS = [
  { id: "person", label: "E-mail" },
  { id: "key", label: "Project key" },
];

interface Props {
  enter: Enter;
  notice: string;
  /** Where somebody wanted to go. */
  next: string | null;
  /** How a log-in with the server's provider ended; null where there was none. */
  returned: string | null;
}

export function LoginPage({ enter, notice, next, returned }: Props) {
  const [way, setWay] = useState("person");
  const [failed, setFailed] = useState("");
  useEffect(() => {
    setFailed(faultOf(returned));
    if (returned === ENTERED) entered().then(enter, (error: unknown) => setFailed(textOf(error)));
  }, [returned]);
  if (returned === ENTERED && !failed) return <Entry title="Log in to Acumen"><Loading what="your account" /></Entry>;
  return (
    <Entry title="Log in to Acumen">
      {notice && (
        <p class="note" role="status">
          {notice}
        </p>
      )}
      {failed && (
        <div class="problem" role="alert">
          <p>{failed}</p>
        </div>
      )}
      <div class="card">
        <Tabs label="How to log in" tabs={TABS} chosen={way} choose={setWay}>
          {way === "key" ? <KeyForm enter={enter} /> : <PersonForm enter={enter} />}
        </Tabs>
        <OpenIdButton next={next} />
      </div>
      <p class="small">
        Programs need no log-in: <a href="/docs">the documentation of the API</a> shows every call.
      </p>
    </Entry>
  );
}

function LogIn({ busy }: { busy: boolean }) {
  return (
    <button type="submit" class="main" disabled={busy}>
      {busy ? "Logging in …" : "Log in"}
    </button>
  );
}

function PersonForm({ enter }: { enter: Enter }) {
  const [email, setEmail] = useState("");
  const [password, setPassword] = useState("");
  const [code, setCode] = useState<string | null>(null);
  const { busy, error, submit } = useSubmit(async () => {
    try {
      enter(await logIn({ email, password, ...(code && { code }) }));
    } catch (failure) {
      if (!(failure instanceof ApiError) || failure.code !== "code_required") {
        throw code && failure instanceof ApiError ? new FieldFault("code", failure.message) : failure;
      }
      setCode("");
      if (code !== null) throw new FieldFault("code", "Enter the code of your second factor.");
      setTimeout(() => document.getElementById("code")?.focus());
    }
  });
  const faults = faultsOf(error, "code");
  return (
    <form onSubmit={submit}>
      <TextField id="email" label="E-mail" type="email" value={email} set={setEmail} autocomplete="username" required />
      <TextField
        id="password" label="Password" type="password" value={password} set={setPassword}
        autocomplete="current-password" required
      />
      {code !== null && (
        <TextField
          id="code" label="Code of your second factor" value={code} set={setCode} error={faults.code}
          autocomplete="one-time-code" hint="The six digits that your app shows, or a recovery code."
        />
      )}
      <Refused>{faults[""]}</Refused>
      <LogIn busy={busy} />
      <Forgotten email={email} />
    </form>
  );
}

function Forgotten({ email }: { email: string }) {
  const [said, setSaid] = useState("");
  const ask = () => {
    if (!email.includes("@")) return setSaid("Enter your e-mail address above first.");
    const asked = call("POST", "/account/password/forgotten", { email });
    asked.then(
      () => setSaid("If the server knows this address and can send mail, a link is on its way. Otherwise ask who runs it for one."),
      (error: Error) => setSaid(error.message),
    );
  };
  return (
    <div class="hint">
      <button type="button" class="link" onClick={ask}>
        Forgotten your password?
      </button>
      <p role="status">{said}</p>
    </div>
  );
}

function KeyForm({ enter }: { enter: Enter }) {
  const [project, setProject] = useState("");
  const [key, setKey] = useState("");
  const { busy, error, submit } = useSubmit(async () => enter(await logInWithKey(project.trim(), key.trim())));
  const fault = faultsOf(error)[""];
  return (
    <form onSubmit={submit}>
      <TextField id="project" label="Project id" value={project} set={setProject} autocomplete="username" required />
      <TextField
        id="key" label="Key" type="password" value={key} set={setKey} error={fault} autocomplete="current-password"
        hint="The master key may do everything, the read key may look." required
      />
      <LogIn busy={busy} />
      <p class="hint">
        On the server, <code>acumen projects list</code> prints the id and the keys of each project.
      </p>
    </form>
  );
}
