/** Text for programs, with a button that copies it. */
import { useEffect, useState } from "preact/hooks";
import { Tabs } from "./tabs.tsx";

export function CopyButton({ text, what, label = "Copy" }: { text: string; what: string; label?: string }) {
  const [said, setSaid] = useState("");
  useEffect(() => {
    if (!said) return;
    const timer = setTimeout(() => setSaid(""), 2000);
    return () => clearTimeout(timer);
  }, [said]);
  const copy = async () => {
    try {
      // Browsers have it by HTTPS and on this machine only.
      await navigator.clipboard.writeText(text);
      setSaid("Copied");
    } catch {
      setSaid("Not copied");
    }
  };
  return (
    <button type="button" class="quiet copy" aria-label={`Copy ${what}`} title={`Copy ${what}`} onClick={copy}>
      <span role="status">{said || label}</span>
    </button>
  );
}

export function Code({ text, what }: { text: string; what: string }) {
  return (
    <div class="code">
      <pre tabIndex={0} aria-label={what}>
        <code>{text}</code>
      </pre>
      <CopyButton text={text} what={what} />
    </div>
  );
}

/** The same in several languages. */
export function Snippets({ of, label }: { of: Record<string, string>; label: string }) {
  const names = Object.keys(of);
  const [chosen, setChosen] = useState(names[0]!);
  return (
    <div>
      <Tabs label={label} tabs={names.map((name) => ({ id: name, label: name }))} chosen={chosen} choose={setChosen}>
        <Code text={of[chosen]!} what={chosen} />
      </Tabs>
    </div>
  );
}
