/** States and what went wrong. A state is a dot and a word: never a colour alone. */
import { STATES, type ShownState } from "./words.ts";

const BRIEF = 100;

/** Why something failed; a long text is opened. */
export function Why({ problem }: { problem: string }) {
  if (problem.length <= BRIEF) return <p class="fault">{problem}</p>;
  return (
    <details class="fault">
      <summary>{problem.slice(0, BRIEF).trimEnd()}…</summary>
      <pre>{problem}</pre>
    </details>
  );
}

export function StateBadge({ state, label }: { state: ShownState; label?: string }) {
  return (
    <span class={`state is-${state}`}>
      <span class="dot" aria-hidden="true" /> {label ?? STATES[state]}
    </span>
  );
}
