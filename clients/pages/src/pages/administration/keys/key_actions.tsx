/** What is done with a key that there is: shown, revoked, deleted; and what it was used for. */
import { useState } from "preact/hooks";
import { useHere } from "../../../context.ts";
import { useLoaded } from "../../../loading.ts";
import { Code } from "../../../ui/code.tsx";
import { Dialog } from "../../../ui/dialog.tsx";
import { textOf } from "../../../ui/states.tsx";
import { manage } from "../api.ts";
import { DaysChart, type TakenByDay } from "../usage.tsx";
import type { AccessKey } from "./draft.ts";

interface KeyActionsProps {
  known: AccessKey;
  reload: () => void;
  /** Once it is there no more. */
  done: () => void;
}

export function KeyActions({ known, reload, done }: KeyActionsProps) {
  const { project, say } = useHere();
  const [shown, setShown] = useState(false);
  const [asking, setAsking] = useState<"revoke" | "delete" | null>(null);
  const [error, setError] = useState<unknown>(null);
  const used = useLoaded(
    async () => (known.public_id ? manage<TakenByDay>(project, "GET", `usage?days=30&key=${known.public_id}`) : null),
    [known.public_id],
  );
  if (known.key === null) {
    return <p class="warning">This key was made under another secret of the server, and works no more.</p>;
  }
  const unrevoke = () =>
    manage(project, "POST", `keys/${known.key}/unrevoke`).then(() => (say("The key works again."), reload()), setError);
  const act = async () => {
    if (asking === "delete") await manage(project, "DELETE", `keys/${known.key}`);
    else await manage(project, "POST", `keys/${known.key}/revoke`);
    say(asking === "delete" ? `“${known.name}” is deleted.` : `“${known.name}” is revoked.`);
    setAsking(null);
    if (asking === "delete") done();
    else reload();
  };
  return (
    <section class="card part" aria-label="This key">
      <div class="row">
        {known.is_active ? <span class="badge">works</span> : <span class="badge warn">revoked</span>}
        <button type="button" onClick={() => setShown(!shown)} aria-expanded={shown}>
          {shown ? "Hide the key" : "Show the key"}
        </button>
        {known.is_active ? (
          <button type="button" onClick={() => setAsking("revoke")}>
            Revoke
          </button>
        ) : (
          <button type="button" onClick={unrevoke}>
            Let it work again
          </button>
        )}
        <button type="button" class="quiet" onClick={() => setAsking("delete")}>
          Delete
        </button>
      </div>
      {error !== null && (
        <p class="fault" role="alert">
          {textOf(error)}
        </p>
      )}
      {shown && <Code text={known.key} what="the key" />}
      {used.value && <DaysChart days={used.value.days} title="With this key" />}
      {asking && (
        <Dialog title={asking === "delete" ? `Delete “${known.name}”?` : `Revoke “${known.name}”?`}
          action={asking === "delete" ? "Delete for good" : "Revoke"} danger act={act} close={() => setAsking(null)}>
          <p>
            {asking === "delete"
              ? "It stops working within a second and cannot come back. Its embed tokens end with it."
              : "It stops working within a second, and its embed tokens with it. You can let it work again."}
          </p>
        </Dialog>
      )}
    </section>
  );
}
