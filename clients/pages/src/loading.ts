/** Something asked for, and what has become of it. */
import { useCallback, useEffect, useRef, useState } from "preact/hooks";

export interface Loaded<T> {
  value: T | undefined;
  error: unknown;
  busy: boolean;
  reload: () => void;
}

/** Ask when one of `inputs` changes, and end what was asked before. The last value stays while it is busy. */
export function useLoaded<T>(ask: (signal: AbortSignal) => Promise<T>, inputs: unknown[]): Loaded<T> {
  const [state, setState] = useState<{ value?: T; error?: unknown; busy: boolean }>({ busy: true });
  const [turn, setTurn] = useState(0);
  const asking = useRef(ask);
  asking.current = ask;
  useEffect(() => {
    const abort = new AbortController();
    setState(({ value }) => ({ value, busy: true }) as typeof state);
    asking.current(abort.signal).then(
      (value) => abort.signal.aborted || setState({ value, busy: false }),
      (error: unknown) => abort.signal.aborted || setState({ error, busy: false }),
    );
    return () => abort.abort(new DOMException("", "AbortError"));
  }, [...inputs, turn]);
  const reload = useCallback(() => setTurn((before) => before + 1), []);
  return { value: state.value, error: state.error, busy: state.busy, reload };
}

/** At most so many of the tasks at once; one that fails gives null. */
export async function inTurns<T, R>(items: readonly T[], atOnce: number, run: (item: T) => Promise<R>) {
  const results: (R | null)[] = items.map(() => null);
  let next = 0;
  const lane = async () => {
    while (next < items.length) {
      const at = next++;
      results[at] = await run(items[at]!).catch(() => null);
    }
  };
  await Promise.all(Array.from({ length: Math.min(atOnce, items.length) }, lane));
  return results;
}
