/** The frame of pages for who is not inside yet. */
import type { ComponentChildren } from "preact";
import { useEffect } from "preact/hooks";

export function Entry({ title, children }: { title: string; children: ComponentChildren }) {
  useEffect(() => {
    document.title = `${title} · Acumen`;
  }, [title]);
  return (
    <main class="login" id="main">
      <h1>
        <img src="/pages/icon.svg" alt="" width="36" height="36" /> {title}
      </h1>
      {children}
    </main>
  );
}

export function Refused({ children }: { children?: ComponentChildren }) {
  return (
    <p class="fault" role="alert">
      {children}
    </p>
  );
}
