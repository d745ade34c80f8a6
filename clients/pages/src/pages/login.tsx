/** Log in: as a person, or with a key of a project. */
import { useState } from "preact/hooks";
import { logInWithKey, logInWithPassword, LogInError, type Session } from "../session.ts";
import { described, Field } from "../ui/field.tsx";
import { Tabs } from "../ui/tabs.tsx";

type Enter = (session: Session) => void;

export function LoginPage({ enter }: { enter: Enter }) {
  const [way, setWay] = useState("key");
  const tabs = [
    { id: "key", label: "Project key" },
    { id: "person", label: "E-mail" },
  ];
  return (
    <main class="login" id="main">
      <h1>
        <img src="/pages/icon.svg" alt="" width="36" height="36" /> Log in to Acumen
      </h1>
      <div class="card">
        <Tabs label="How to log in" tabs={tabs} chosen={way} choose={setWay}>
          {way === "key" ? <KeyForm enter={enter} /> : <PersonForm enter={enter} toKey={() => setWay("key")} />}
        </Tabs>
      </div>
      <p class="small">
        Programs need no log-in: <a href="/docs">the documentation of the API</a> shows every call.
      </p>
    </main>
  );
}

interface Tried {
  busy: boolean;
  error: LogInError | null;
  submit: (event: Event) => void;
}

function useTry(run: () => Promise<Session>, enter: Enter): Tried {
  const [state, setState] = useState<{ busy: boolean; error: LogInError | null }>({ busy: false, error: null });
  const submit = (event: Event) => {
    event.preventDefault();
    setState({ busy: true, error: null });
    run().then(enter, (error: unknown) => {
      const known = error instanceof LogInError ? error : new LogInError("The server did not answer.");
      setState({ busy: false, error: known });
    });
  };
  return { ...state, submit };
}

function KeyForm({ enter }: { enter: Enter }) {
  const [project, setProject] = useState("");
  const [key, setKey] = useState("");
  const { busy, error, submit } = useTry(() => logInWithKey(project.trim(), key.trim()), enter);
  const ofProject = error?.code === "ResourceNotFoundError";
  const projectFault = ofProject ? "There is no project with this id." : undefined;
  const keyFault =
    error && !ofProject
      ? error.code === "InvalidApiKeyError" ? "This is no key of the project." : error.message
      : undefined;
  return (
    <form onSubmit={submit}>
      <Field id="project" label="Project id" error={projectFault}>
        <input
          {...described("project", projectFault)}
          value={project}
          onInput={(event) => setProject(event.currentTarget.value)}
          autocomplete="username"
          spellcheck={false}
          required
        />
      </Field>
      <Field
        id="key"
        label="Key"
        error={keyFault}
        hint="The master key may do everything, the read key may look. This tab keeps it until you close it."
      >
        <input
          {...described("key", keyFault)}
          type="password"
          value={key}
          onInput={(event) => setKey(event.currentTarget.value)}
          autocomplete="current-password"
          required
        />
      </Field>
      <button type="submit" class="main" disabled={busy}>
        {busy ? "Logging in …" : "Log in"}
      </button>
      <p class="hint">
        On the server, <code>acumen projects list</code> prints the id and the keys of each project.
      </p>
    </form>
  );
}

function PersonForm({ enter, toKey }: { enter: Enter; toKey: () => void }) {
  const [email, setEmail] = useState("");
  const [password, setPassword] = useState("");
  const [code, setCode] = useState("");
  const { busy, error, submit } = useTry(() => logInWithPassword(email, password, code), enter);
  const [wantsCode, setWantsCode] = useState(false);
  if (error?.code === "code_required" && !wantsCode) setWantsCode(true);
  return (
    <form onSubmit={submit}>
      <Field id="email" label="E-mail">
        <input
          {...described("email")}
          type="email"
          value={email}
          onInput={(event) => setEmail(event.currentTarget.value)}
          autocomplete="username"
          required
        />
      </Field>
      <Field id="password" label="Password">
        <input
          {...described("password")}
          type="password"
          value={password}
          onInput={(event) => setPassword(event.currentTarget.value)}
          autocomplete="current-password"
          required
        />
      </Field>
      {wantsCode && (
        <Field id="code" label="Code" hint="Of your authenticator app, or a recovery code.">
          <input
            {...described("code")}
            value={code}
            onInput={(event) => setCode(event.currentTarget.value)}
            autocomplete="one-time-code"
          />
        </Field>
      )}
      <p class="fault" role="alert">
        {error?.code === "code_required" ? "Enter the code of your second factor." : error?.message}
      </p>
      {error?.code === "no_accounts" && (
        <p>
          <button type="button" onClick={toKey}>
            Log in with a key
          </button>
        </p>
      )}
      <button type="submit" class="main" disabled={busy}>
        {busy ? "Logging in …" : "Log in"}
      </button>
    </form>
  );
}
