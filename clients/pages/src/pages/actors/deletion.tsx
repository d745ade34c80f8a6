/** Delete all events of one actor: first what it takes, then a word typed, then collection by collection. */
import { useState } from "preact/hooks";
import { useHere } from "../../context.ts";
import { Dialog } from "../../ui/dialog.tsx";
import { described, Field } from "../../ui/field.tsx";
import { textOf } from "../../ui/states.tsx";
import { countText } from "../../words.ts";
import type { Actor } from "./address.ts";
import { filtersOf, type Part } from "./known.ts";

interface DeletionProps {
  actor: Actor;
  parts: Part[];
  close: () => void;
  done: () => void;
}

export function DeletionPanel({ actor, parts, close, done }: DeletionProps) {
  const { client, say } = useHere();
  const [typed, setTyped] = useState("");
  const [fault, setFault] = useState("");
  const [state, setState] = useState<Record<string, "deleting" | "deleted">>({});
  const word = actor.value === "" ? '""' : String(actor.value);
  const run = async () => {
    if (typed !== word) {
      setFault("This is not the value of the actor.");
      return;
    }
    setFault("");
    for (const { collection } of parts) {
      if (state[collection] === "deleted") continue;
      setState((now) => ({ ...now, [collection]: "deleting" }));
      try {
        await client.collections.deleteEvents(collection, { filters: filtersOf(actor) });
      } catch (error) {
        setState(({ [collection]: _, ...now }) => now);
        throw new Error(`${collection}: ${textOf(error)} What is marked as deleted is gone; try again for the rest.`);
      }
      setState((now) => ({ ...now, [collection]: "deleted" }));
    }
    say("The actor’s events are deleted.");
    close();
    done();
  };
  const sum = parts.reduce((all, { count }) => all + count, 0);
  return (
    <Dialog title="Delete this actor’s events?" action={`Delete ${countText(sum, "event")}`} danger act={run} close={close}>
      <p>
        All events in which <b>{actor.property}</b> is <b>{word}</b>, or a list with it, are taken out of every answer at once and for good, and from the disk
        within minutes. Events under another property or value stay. Backups and files that were downloaded are yours to look after.
      </p>
      <ul class="choices">
        {parts.map(({ collection, count }) => (
          <li key={collection}>
            {collection}: {count.toLocaleString()} {state[collection] ?? ""}
          </li>
        ))}
      </ul>
      <Field id="confirm" label={`Type ${word} to go on`} error={fault}>
        <input {...described("confirm", fault)} value={typed} autocomplete="off" spellcheck={false}
          onInput={(event) => setTyped(event.currentTarget.value)} />
      </Field>
    </Dialog>
  );
}
