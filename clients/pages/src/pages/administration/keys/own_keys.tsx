/** The project's own three keys: shown when asked for, and replaced. */
import { useState } from "preact/hooks";
import { useHere } from "../../../context.ts";
import { Code } from "../../../ui/code.tsx";
import { Dialog } from "../../../ui/dialog.tsx";
import { textOf } from "../../../ui/states.tsx";
import { manage } from "../api.ts";

type Keys = Record<"write_key" | "read_key" | "master_key", string>;
type Kind = "write" | "read" | "master";

const KINDS: readonly (readonly [Kind, string, string])[] = [
  ["write", "Write key", "Sends events. It may stand in web pages and apps."],
  ["read", "Read key", "Asks questions about everything in the project."],
  ["master", "Master key", "May do everything. Keep it on your servers."],
];

export function OwnKeys() {
  const { project, say } = useHere();
  const [keys, setKeys] = useState<Keys | null>(null);
  const [error, setError] = useState<unknown>(null);
  const [doomed, setDoomed] = useState<Kind | null>(null);
  const show = () => manage<Keys>(project, "GET", "own-keys").then(setKeys, setError);
  const renew = async () => {
    setKeys(await manage<Keys>(project, "POST", "own-keys/renew", { kinds: [doomed] }));
    say(`The ${doomed} key is replaced.`);
    setDoomed(null);
  };
  return (
    <section class="below" aria-labelledby="own-keys">
      <div class="row spread">
        <h2 id="own-keys">The project's own keys</h2>
        {keys ? (
          <button type="button" onClick={() => setKeys(null)}>
            Hide them
          </button>
        ) : (
          <button type="button" onClick={show}>
            Show them
          </button>
        )}
      </div>
      <p class="lead">Who looks at them is noted in the audit log.</p>
      {error !== null && (
        <p class="fault" role="alert">
          {textOf(error)}
        </p>
      )}
      {keys && (
        <ul class="list" aria-label="The project's own keys">
          {KINDS.map(([kind, label, about]) => (
            <li key={kind}>
              <div class="grow">
                <p class="name">{label}</p>
                <p class="small">{about}</p>
                <Code text={keys[`${kind}_key`]} what={`the ${kind} key`} />
              </div>
              <button type="button" class="quiet" onClick={() => setDoomed(kind)} aria-label={`Replace the ${kind} key`}>
                Replace
              </button>
            </li>
          ))}
        </ul>
      )}
      {doomed && (
        <Dialog title={`Replace the ${doomed} key?`} action="Replace it" danger act={renew} close={() => setDoomed(null)}>
          <p>The old key stops working on every worker within a second. Programs that have it need the new one.</p>
        </Dialog>
      )}
    </section>
  );
}
