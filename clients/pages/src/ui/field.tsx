/** A labelled control, with what is wrong with it below. */
import type { ComponentChildren } from "preact";

interface FieldProps {
  id: string;
  label: string;
  hint?: ComponentChildren;
  error?: string | undefined;
  warning?: string | undefined;
  children: ComponentChildren;
}

export function Field({ id, label, hint, error, warning, children }: FieldProps) {
  return (
    <div class={`field${error ? " wrong" : ""}`}>
      <label for={id}>{label}</label>
      {children}
      {hint && !error && (
        <p class="hint" id={`${id}-hint`}>
          {hint}
        </p>
      )}
      <p class="fault" id={`${id}-fault`} role={error ? "alert" : undefined}>
        {error}
      </p>
      {warning && <p class="warning">{warning}</p>}
    </div>
  );
}

/** What a control of a field needs to be read with it. */
export function described(id: string, error?: string) {
  return { id, "aria-describedby": `${id}-fault`, "aria-invalid": error ? true : undefined };
}

interface TextFieldProps {
  id: string;
  label: string;
  value: string;
  set: (value: string) => void;
  hint?: ComponentChildren;
  error?: string | undefined;
  type?: "text" | "email" | "password";
  autocomplete?: string;
  required?: boolean;
}

/** A line of text with its label. */
export function TextField({ id, label, value, set, hint, error, type = "text", ...more }: TextFieldProps) {
  return (
    <Field id={id} label={label} hint={hint} error={error}>
      <input
        {...described(id, error)}
        {...more}
        type={type as "text"}
        value={value}
        spellcheck={false}
        onInput={(event) => set(event.currentTarget.value)}
      />
    </Field>
  );
}

interface ChoiceProps {
  id: string;
  value: string;
  choices: readonly (readonly [value: string, label: string])[];
  choose: (value: string) => void;
  error?: string | undefined;
  label?: string;
}

export function Choice({ id, value, choices, choose, error, label }: ChoiceProps) {
  return (
    <select
      {...described(id, error)}
      aria-label={label}
      value={value}
      onChange={(event) => choose(event.currentTarget.value)}
    >
      {choices.map(([value, label]) => (
        <option key={value} value={value}>
          {label}
        </option>
      ))}
    </select>
  );
}
