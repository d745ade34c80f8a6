/** Give a question a name. */
import type { Question } from "acumen-client";
import { useState } from "preact/hooks";
import { useHere } from "../../context.ts";
import { useLoaded } from "../../loading.ts";
import { saidBriefly } from "../../question.ts";
import { go } from "../../router.ts";
import { slugOf } from "../../slug.ts";
import { Dialog } from "../../ui/dialog.tsx";
import { Choice, described, Field } from "../../ui/field.tsx";
import { withAsked, type Asked } from "./address.ts";

const KEPT = [
  ["0", "Compute it each time"],
  ["14400", "Keep the answer for 4 hours"],
  ["86400", "Keep the answer for a day"],
] as const;

export function SaveDialog({ question, asked, at, close }: { question: Question; asked: Asked; at: number; close: () => void }) {
  const { client, say } = useHere();
  const known = useLoaded((signal) => client.savedQueries.list({ signal }), [client]);
  const opened = known.value?.find((one) => one.query_name === asked.saved);
  const [typed, setTitle] = useState<string | null>(null);
  const [kept, setKept] = useState<string | null>(null);
  const title = typed ?? opened?.metadata?.display_name ?? (asked.saved || saidBriefly(question));
  const name = opened && typed === null ? opened.query_name : slugOf(title);
  const there = known.value?.find((one) => one.query_name === name);
  const rate = kept ?? String(there?.refresh_rate ?? 0);
  const save = async () => {
    if (!name) throw new Error("It needs a title with letters or digits.");
    const visualization = { ...there?.metadata?.visualization, ...(asked.type && { type: asked.type }) };
    const metadata = { ...there?.metadata, display_name: title, visualization };
    await client.savedQueries.put(name, { query: question, refresh_rate: Number(rate), metadata });
    say(`“${title}” is saved.`);
    close();
    go(withAsked({ ...asked, saved: name }, at), { replace: true });
  };
  const rates = KEPT.some(([value]) => value === rate) ? KEPT : [...KEPT, [rate, `Keep it for ${Number(rate) / 3600} hours`] as const];
  return (
    <Dialog title="Save this question" action={there ? "Replace it" : "Save"} act={save} close={close}>
      <Field
        id="saved-title"
        label="Title"
        hint={name ? <>Programs call it <code>{name}</code>.</> : undefined}
        warning={there ? `There is a saved query of this name already; saving replaces it.` : undefined}
      >
        <input {...described("saved-title")} value={title} maxLength={200} required
          onInput={(event) => setTitle(event.currentTarget.value)} />
      </Field>
      {question.analysis_type !== "extraction" && (
        <Field id="saved-rate" label="How often">
          <Choice id="saved-rate" value={rate} choices={rates} choose={setKept} />
        </Field>
      )}
    </Dialog>
  );
}
