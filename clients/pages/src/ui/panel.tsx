/** Something to look at in front of the page, which has the focus until it is closed. */
import type { ComponentChildren } from "preact";
import { useEffect, useId, useRef } from "preact/hooks";

/** What has the focus, in the shadow of components too. */
function focused(): HTMLElement | null {
  let found = document.activeElement;
  while (found?.shadowRoot?.activeElement) found = found.shadowRoot.activeElement;
  return found as HTMLElement | null;
}

export function Panel({ title, close, children }: { title: string; close: () => void; children: ComponentChildren }) {
  const id = useId();
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    const before = focused();
    dialog.current?.showModal();
    return () => before?.focus();
  }, []);
  return (
    <dialog class="panel" ref={dialog} aria-labelledby={id} onCancel={(event) => (event.preventDefault(), close())}
      onClick={(event) => event.target === dialog.current && close()}>
      <div class="inside">
        <div class="row spread">
          <h2 id={id}>{title}</h2>
          <button type="button" class="quiet" onClick={close}>
            Close
          </button>
        </div>
        {children}
      </div>
    </dialog>
  );
}
