/** One access key, or a new one: what it may do, as a form or as JSON, and what it would see. */
import { useState } from "preact/hooks";
import { useHere } from "../../../context.ts";
import { useLoaded } from "../../../loading.ts";
import { go } from "../../../router.ts";
import { FieldFault, useSubmit } from "../../../submit.ts";
import { described, Field } from "../../../ui/field.tsx";
import { Loading, Problem, textOf } from "../../../ui/states.tsx";
import { Tabs } from "../../../ui/tabs.tsx";
import { keysOf, manage } from "../api.ts";
import { definitionOf, draftOf, keyFaults, newDraft, type AccessKey, type KeyDefinition, type KeyDraft } from "./draft.ts";
import { KeyForm } from "./form.tsx";
import { KeyActions } from "./key_actions.tsx";
import { Made } from "./made.tsx";
import { Preview } from "./preview.tsx";

const WAYS = [
  { id: "form", label: "Form" },
  { id: "json", label: "JSON" },
];

export function KeyPage({ id }: { id: string }) {
  const { project, to } = useHere();
  const isNew = id === "new";
  const { value, error, reload } = useLoaded(
    async () => {
      const found = isNew ? null : (await keysOf(project)).find((one) => one.public_id === id);
      if (found === undefined) throw new Error("There is no such key. It may have been deleted.");
      return found;
    },
    [project.id, id],
  );
  return (
    <>
      <p>
        <a href={to("settings", "keys")}>All keys</a>
      </p>
      {error ? (
        <Problem error={error} retry={reload} />
      ) : value === undefined ? (
        <Loading what="the key" />
      ) : (
        <Editor key={JSON.stringify(value)} known={value} reload={reload} />
      )}
    </>
  );
}

function Editor({ known, reload }: { known: AccessKey | null; reload: () => void }) {
  const { project, say, to } = useHere();
  const begun = known ? draftOf(known) : newDraft();
  const [draft, setDraft] = useState<KeyDraft | null>(begun);
  const [text, setText] = useState(() => written(known ?? definitionOf(begun!)));
  const [way, setWay] = useState(begun ? "form" : "json");
  const [made, setMade] = useState<AccessKey | null>(null);
  const asked = (): KeyDefinition => (way === "form" && draft ? definitionOf(draft) : readJson(text));
  const { busy, error, submit } = useSubmit(async () => {
    const definition = asked();
    if (!known && way === "form" && definition.name && !definition.permitted.length) {
      throw new FieldFault("permitted", "Choose what the key may do.");
    }
    const saved = await manage<AccessKey>(project, "POST", known ? `keys/${known.key}` : "keys", definition);
    say(`“${saved.name}” is ${known ? "changed" : "made"}.`);
    if (known) reload();
    else setMade(saved);
  });
  const faults = keyFaults(error, error === null ? "" : textOf(error));
  const choose = (next: string) => {
    try {
      if (next === "json" && draft) setText(written(definitionOf(draft)));
      if (next === "form") setDraft(draftOf(readJson(text)));
    } catch {
      // What is not finished stays where it is.
      return;
    }
    setWay(next);
  };
  if (made) return <Made made={made} />;
  return (
    <>
      <h2>{known ? known.name : "A new key"}</h2>
      {known && <KeyActions known={known} reload={reload} done={() => go(to("settings", "keys"))} />}
      <div class="key-editor">
      <form onSubmit={submit} noValidate>
        <Tabs label="Ways to edit" tabs={WAYS} chosen={way} choose={choose}>
          {way === "form" && draft && <KeyForm draft={draft} set={setDraft} faults={faults} />}
          {way === "form" && !draft && (
            <p class="warning">The form has no fields for some of this key. Edit it as JSON; nothing of it is lost.</p>
          )}
          {way === "json" && (
            <Field id="key-json" label="The key as JSON" error={Object.values(faults)[0]} hint="name, permitted and options, as in docs/keys.md.">
              <textarea {...described("key-json", Object.values(faults)[0])} class="json" rows={20} spellcheck={false} value={text}
                onInput={(event) => setText(event.currentTarget.value)} />
            </Field>
          )}
        </Tabs>
        {faults[""] && way === "form" && (
          <p class="fault" role="alert">
            {faults[""]}
          </p>
        )}
        <p class="row gap">
          <button type="submit" class="main" disabled={busy || (way === "form" && !draft) || known?.key === null}>
            {known ? "Save" : "Make the key"}
          </button>
          <a class="button" href={to("settings", "keys")}>
            Cancel
          </a>
        </p>
      </form>
      <Preview asked={asked} />
      </div>
    </>
  );
}

function written({ name, permitted, options }: KeyDefinition): string {
  return JSON.stringify({ name, permitted, options }, null, 2);
}

/** Throws an error for people where the text is no JSON. */
function readJson(text: string): KeyDefinition {
  let read: unknown;
  try {
    read = JSON.parse(text);
  } catch (error) {
    throw new Error(`This is no JSON: ${(error as Error).message}`);
  }
  if (!read || typeof read !== "object" || Array.isArray(read)) throw new Error("It must be a JSON object.");
  return read as KeyDefinition;
}
