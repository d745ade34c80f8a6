/** Preferences that the server acts on, as fields. Others stay as they are. */
import { Choice, described, Field, TextField } from "../../../ui/field.tsx";
import { QUOTAS as OF_KEYS } from "../keys/draft.ts";
import { FieldFault } from "../../../submit.ts";

export interface PreferenceDraft {
  round: string;
  week_start: string;
  actor_property: string;
  scoped_keys: boolean;
  scoped_keys_without_filters: boolean;
  quotas: Record<string, string>;
}

const QUOTAS = [...OF_KEYS, ["stored_bytes", "Bytes of stored files"]] as const;
const WEEK_STARTS = [
  ["", "As the server has it"],
  ["sunday", "Sunday"],
  ["monday", "Monday"],
] as const;
const ROUNDS = [
  ["", "As the server has it"],
  ["none", "Not rounded"],
  ...Array.from({ length: 7 }, (_, digits) => [String(digits), digits === 1 ? "1 decimal" : `${digits} decimals`] as const),
] as const;

const text = (value: unknown) => (value === undefined || value === null ? "" : String(value));

export function draftOf(preferences: Record<string, any>): PreferenceDraft {
  const { round, week_start, actor_property, scoped_keys, scoped_keys_without_filters, quotas } = preferences;
  return {
    round: text(round),
    week_start: text(week_start),
    actor_property: text(actor_property),
    scoped_keys: scoped_keys === true,
    scoped_keys_without_filters: scoped_keys_without_filters === true,
    quotas: Object.fromEntries(Object.entries(quotas ?? {}).map(([name, limit]) => [name, text(limit)])),
  };
}

/** The preferences with what the fields say; others unchanged. Throws FieldFault. */
export function changed(preferences: Record<string, any>, draft: PreferenceDraft): Record<string, any> {
  const next = { ...preferences };
  const put = (name: string, value: unknown) => {
    if (value === undefined) delete next[name];
    else next[name] = value;
  };
  put("round", draft.round === "" ? undefined : draft.round === "none" ? "none" : Number(draft.round));
  put("week_start", draft.week_start || undefined);
  // One that is no text, which the field cannot say, stays.
  if (draft.actor_property !== text(preferences.actor_property)) put("actor_property", draft.actor_property.trim() || undefined);
  for (const name of ["scoped_keys", "scoped_keys_without_filters"] as const) {
    if (draft[name] || preferences[name] !== undefined) put(name, draft[name]);
  }
  const quotas = Object.entries(draft.quotas).filter(([, limit]) => limit.trim() !== "");
  for (const [name, limit] of quotas) {
    if (!/^\d+$/.test(limit.trim())) throw new FieldFault(`preferences.quotas.${name}`, "A whole number, please; empty for the server's own.");
  }
  put("quotas", quotas.length ? Object.fromEntries(quotas.map(([name, limit]) => [name, Number(limit)])) : undefined);
  return next;
}

/** By field; under the empty name what is about none of these. */
export function preferenceFaults(error: unknown, said: string): Record<string, string> {
  if (error === null) return {};
  if (error instanceof FieldFault) return { [error.field]: error.message };
  const named = /'([\w.]+)'/.exec(said)?.[1] ?? "";
  const fields = ["name", "preferences.round", "preferences.week_start", "preferences.actor_property", ...QUOTAS.map(([name]) => `preferences.quotas.${name}`)];
  return { [fields.includes(named) ? named : ""]: said };
}

interface PreferenceFieldsProps {
  draft: PreferenceDraft;
  set: (draft: PreferenceDraft) => void;
  faults: Record<string, string>;
  /** What holds on this server where the project says nothing; null: not known yet. */
  defaults: Defaults | null;
}

export interface Defaults {
  round: unknown;
  week_start: string;
}

export function PreferenceFields({ draft, set, faults, defaults }: PreferenceFieldsProps) {
  const change = (patch: Partial<PreferenceDraft>) => set({ ...draft, ...patch });
  return (
    <>
      <h2 class="below">Questions that say nothing else</h2>
      <div class="columns">
        <Field id="week-start" label="Weeks begin on" error={faults["preferences.week_start"]}>
          <Choice id="week-start" value={draft.week_start} choices={withOwn(saying(WEEK_STARTS, defaults?.week_start), draft.week_start)} choose={(week_start) => change({ week_start })} />
        </Field>
        <Field id="round" label="Results are rounded to" error={faults["preferences.round"]}>
          <Choice id="round" value={draft.round} choices={withOwn(saying(ROUNDS, defaults && (defaults.round ?? "none")), draft.round)} choose={(round) => change({ round })} />
        </Field>
      </div>
      <TextField id="actor-property" label="Who an actor is" value={draft.actor_property} set={(actor_property) => change({ actor_property })} autocomplete="off"
        error={faults["preferences.actor_property"]} hint="The property that identifies one, as user.id: for funnels, retention, sessions and paths." />
      <h2 class="below">Quotas</h2>
      <p class="hint">Empty: what holds for all projects. 0: no limit.</p>
      <div class="columns">
        {QUOTAS.map(([name, label]) => {
          const error = faults[`preferences.quotas.${name}`];
          return (
            <Field key={name} id={name} label={label} error={error}>
              <input {...described(name, error)} inputMode="numeric" value={draft.quotas[name] ?? ""}
                onInput={(event) => change({ quotas: { ...draft.quotas, [name]: event.currentTarget.value } })} />
            </Field>
          );
        })}
      </div>
      <h2 class="below">Scoped keys of Keen's older clients</h2>
      <label class="check">
        <input type="checkbox" checked={draft.scoped_keys} onChange={(event) => change({ scoped_keys: event.currentTarget.checked })} />
        Take them, with filters. Who holds one can remove its filters
      </label>
      <label class="check">
        <input type="checkbox" checked={draft.scoped_keys_without_filters}
          onChange={(event) => change({ scoped_keys_without_filters: event.currentTarget.checked })} />
        Take those without filters too
      </label>
    </>
  );
}

/** The choices, the first of which says what it stands for. */
function saying(choices: readonly (readonly [string, string])[], value: unknown) {
  const found = choices.find(([one]) => one && one === text(value));
  return choices.map(([one, label]) => [one, !one && found ? `${label}: ${found[1]}` : label] as const);
}

/** The choices, with one that only the project has. */
function withOwn(choices: readonly (readonly [string, string])[], value: string) {
  return choices.some(([one]) => one === value) ? choices : [...choices, [value, value] as const];
}
