/** Forms that are sent: whether they are on their way, and what is wrong at which field. */
import { ApiError } from "acumen-client";
import { useState } from "preact/hooks";
import { textOf } from "./ui/states.tsx";

/** Something wrong with one field, known before the server is asked. */
export class FieldFault extends Error {
  constructor(
    readonly field: string,
    message: string,
  ) {
    super(message);
  }
}

export interface Submitted {
  busy: boolean;
  error: unknown;
  submit: (event: Event) => void;
}

/** After a refusal the first wrong field has the focus. */
export function useSubmit(run: () => Promise<void>): Submitted {
  const [state, setState] = useState<{ busy: boolean; error: unknown }>({ busy: false, error: null });
  const submit = (event: Event) => {
    event.preventDefault();
    const form = event.currentTarget as HTMLFormElement;
    setState({ busy: true, error: null });
    run().then(
      () => setState({ busy: false, error: null }),
      (error: unknown) => {
        setState({ busy: false, error });
        setTimeout(() => form.querySelector<HTMLElement>("[aria-invalid]")?.focus());
      },
    );
  };
  return { ...state, submit };
}

/** What is wrong, by the field it is about; under the empty name where that is none of these. */
export function faultsOf(error: unknown, ...fields: string[]): Record<string, string> {
  if (error === null) return {};
  const text = textOf(error);
  const named = error instanceof FieldFault ? error.field : (/'(\w+)'/.exec(text)?.[1] ?? "");
  return { [fields.includes(named) ? named : ""]: text };
}

/** What the server says of a wrong password or code belongs to its field. */
export function ofPassword(field: string): (error: unknown) => never {
  return (error) => {
    throw error instanceof ApiError && error.code === "WrongLoginError" ? new FieldFault(field, error.message) : error;
  };
}

const LENGTH_MIN = 10;
export const PASSWORD_RULES = "10 to 1,024 characters. Several words are easy to remember.";

export function checkPassword(field: string, password: string): void {
  const length = [...password].length;
  if (length < LENGTH_MIN) throw new FieldFault(field, `At least ${LENGTH_MIN} characters, please.`);
  if (length > 1024) throw new FieldFault(field, "At most 1,024 characters, please.");
}
