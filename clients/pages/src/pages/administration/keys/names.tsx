/** Which saved queries or datasets: all, or those that are named; and which not. */
import { useHere } from "../../../context.ts";
import { useLoaded } from "../../../loading.ts";
import { Combobox } from "../../../ui/combobox.tsx";
import { Choice, described, Field } from "../../../ui/field.tsx";
import { manage } from "../api.ts";
import type { KeyDraft, NamesDraft } from "./draft.ts";

interface ChipsProps {
  id: string;
  label: string;
  names: string[];
  chosen: string[];
  set: (chosen: string[]) => void;
  error?: string | undefined;
}

function Chips({ id, label, names, chosen, set, error }: ChipsProps) {
  return (
    <Field id={id} label={label} error={error}>
      <div class="chips">
        {chosen.map((one) => (
          <button key={one} type="button" class="chip" aria-label={`Remove ${one}`} onClick={() => set(chosen.filter((name) => name !== one))}>
            {one} <span aria-hidden="true">×</span>
          </button>
        ))}
        <Combobox id={id} label={label} placeholder="Name" value="" free error={error}
          options={names.filter((name) => !chosen.includes(name)).map((value) => ({ value }))}
          commit={(name) => name && set([...chosen, name])} />
      </div>
    </Field>
  );
}

const WHICH = [
  ["all", "All, but those below"],
  ["named", "Only those that are named"],
] as const;

interface NameListsProps {
  id: string;
  what: string;
  names: string[];
  lists: NamesDraft;
  set: (lists: NamesDraft) => void;
  /** Of the allowed, of the blocked. */
  faults: readonly (string | undefined)[];
}

export function NameLists({ id, what, names, lists, set, faults }: NameListsProps) {
  const { allowed, blocked } = lists;
  return (
    <>
      <Field id={`${id}-which`} label={`Which ${what}`}>
        <Choice id={`${id}-which`} value={allowed ? "named" : "all"} choices={WHICH}
          choose={(which) => set({ ...lists, allowed: which === "named" ? [] : null })} />
      </Field>
      {allowed && (
        <Chips id={`${id}-allowed`} label="These" names={names} chosen={allowed} set={(next) => set({ ...lists, allowed: next })} error={faults[0]} />
      )}
      <Chips id={`${id}-blocked`} label="Not these" names={names} chosen={blocked} set={(next) => set({ ...lists, blocked: next })} error={faults[1]} />
    </>
  );
}

interface DatasetNamesProps {
  draft: KeyDraft;
  change: (patch: Partial<KeyDraft>) => void;
  faults: Record<string, string>;
}

export function DatasetNames({ draft, change, faults }: DatasetNamesProps) {
  const { project } = useHere();
  const known = useLoaded(
    () => manage<{ datasets: { dataset_name: string }[] }>(project, "GET", "datasets?limit=100"),
    [project.id],
  );
  const names = known.value?.datasets.map(({ dataset_name }) => dataset_name) ?? [];
  const { datasets, datasetsBlocked } = draft;
  const narrow = (at: number, index: string) =>
    change({ datasets: datasets!.map((one, number) => (number === at ? { ...one, index } : one)) });
  return (
    <>
      <Field id="datasets-which" label="Which datasets">
        <Choice id="datasets-which" value={datasets ? "named" : "all"} choices={WHICH}
          choose={(which) => change({ datasets: which === "named" ? [] : null })} />
      </Field>
      {datasets && (
        <Chips id="datasets-allowed" label="These" names={names} chosen={datasets.map(({ name }) => name)} error={faults["options.datasets.allowed"]}
          set={(chosen) => change({ datasets: chosen.map((name) => datasets.find((one) => one.name === name) ?? { name, index: "" }) })} />
      )}
      {datasets?.map(({ name, index }, at) => (
        <Field key={name} id={`index-${at}`} label={`Of ${name}, only these index values (JSON, may stay empty)`}
          hint={<>As <code>{'{"customer.id": ["c1"]}'}</code></>}>
          <input {...described(`index-${at}`)} class="json" spellcheck={false} value={index} onInput={(event) => narrow(at, event.currentTarget.value)} />
        </Field>
      ))}
      <Chips id="datasets-blocked" label="Not these" names={names} chosen={datasetsBlocked} error={faults["options.datasets.blocked"]}
        set={(chosen) => change({ datasetsBlocked: chosen })} />
    </>
  );
}
