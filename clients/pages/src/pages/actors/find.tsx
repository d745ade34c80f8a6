/** A field for a person's id, as it stands in a request: it opens the timeline. */
import { useState } from "preact/hooks";
import { useHere } from "../../context.ts";
import { go } from "../../router.ts";
import type { CollectionSchema } from "../../schema.ts";
import { FieldFault, faultsOf, useSubmit } from "../../submit.ts";
import { Combobox } from "../../ui/combobox.tsx";
import { Field, TextField } from "../../ui/field.tsx";
import { likelyActors } from "../events/paths.ts";
import { timelineAddress } from "./address.ts";

export function FindActor({ schema }: { schema: readonly CollectionSchema[] }) {
  const { to } = useHere();
  const all = schema.flatMap(({ properties }) => properties).filter(({ name }) => !name.startsWith("keen."));
  const counts = new Map<string, number>();
  for (const { name } of all) counts.set(name, (counts.get(name) ?? 0) + 1);
  // An id that several collections have names a person rather than one that a single one has.
  const names = [...counts.keys()].sort((a, b) => counts.get(b)! - counts.get(a)! || (a < b ? -1 : 1));
  const likely = likelyActors(names);
  const [chosen, setProperty] = useState<string | null>(null);
  const [value, setValue] = useState("");
  const property = chosen ?? likely[0] ?? "";
  const sending = useSubmit(async () => {
    if (!names.includes(property)) throw new FieldFault("property", "Choose the property that has the person’s id.");
    if (!value.trim()) throw new FieldFault("value", "Type the person’s id.");
    go(timelineAddress(to, property, typed(value.trim(), all.filter(({ name }) => name === property).map(({ type }) => type))));
  });
  const faults = faultsOf(sending.error, "property", "value");
  if (!names.length) return null;
  return (
    <form class="find" onSubmit={sending.submit} noValidate aria-label="Find a person">
      <Field id="find-property" label="Find a person by" error={faults.property}>
        <Combobox id="find-property" value={property} commit={setProperty} error={faults.property}
          options={[...new Set([...likely, ...names])].map((one) => ({ value: one }))} />
      </Field>
      <TextField id="find-value" label="Their id" value={value} set={setValue} error={faults.value} autocomplete="off" />
      <button type="submit">Open the timeline</button>
    </form>
  );
}

/** A number or a boolean where the property never has texts. */
function typed(text: string, types: readonly string[]): unknown {
  if (types.includes("string")) return text;
  if (types.includes("num") && Number.isFinite(Number(text))) return Number(text);
  if (types.includes("bool") && /^(true|false)$/.test(text)) return text === "true";
  return text;
}
