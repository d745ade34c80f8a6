/** A question in front of the page, which holds the focus until it is answered. */
import type { ComponentChildren } from "preact";
import { useEffect, useId, useRef, useState } from "preact/hooks";
import { textOf } from "./states.tsx";

interface DialogProps {
  title: string;
  /** What the button does is written on it. */
  action: string;
  danger?: boolean;
  /** Done when it gives nothing back; an error stays in the dialog. */
  act: () => Promise<void> | void;
  close: () => void;
  /** What leaves it alone. */
  leave?: string;
  wide?: boolean;
  children: ComponentChildren;
}

export function Dialog({ title, action, danger = false, act, close, leave = "Cancel", wide = false, children }: DialogProps) {
  const id = useId();
  const dialog = useRef<HTMLDialogElement>(null);
  const [error, setError] = useState<unknown>(null);
  const [busy, setBusy] = useState(false);
  useEffect(() => {
    const before = document.activeElement as HTMLElement | null;
    dialog.current?.showModal();
    return () => before?.focus();
  }, []);
  const submit = async (event: Event) => {
    event.preventDefault();
    setBusy(true);
    setError(null);
    try {
      await act();
    } catch (failure) {
      setError(failure);
    }
    setBusy(false);
  };
  return (
    <dialog ref={dialog} class={wide ? "wide" : undefined} aria-labelledby={id} onCancel={(event) => (event.preventDefault(), close())}>
      <form onSubmit={submit}>
        <h2 id={id}>{title}</h2>
        {children}
        {error !== null && (
          <p class="fault" role="alert">
            {textOf(error)}
          </p>
        )}
        <div class="row end">
          <button type="button" class="quiet" onClick={close}>
            {leave}
          </button>
          <button type="submit" class={danger ? "danger" : "main"} disabled={busy}>
            {action}
          </button>
        </div>
      </form>
    </dialog>
  );
}
