/** Something asked for again and again while somebody looks at it; what was told last stays until there is more. */
import { useEffect, useRef, useState } from "preact/hooks";
import type { Loaded } from "../../loading.ts";

const SOON_MS = 2_000;
const LATER_MS = 20_000;
/** A server that answers slowly is asked less often. */
const TIMES = 5;

/** `soon`: whether something is under way, so that more will follow. */
export function useLive<T>(ask: (signal: AbortSignal) => Promise<T>, inputs: unknown[], soon: (value: T) => boolean): Loaded<T> {
  const [state, setState] = useState<{ value?: T; error?: unknown; busy: boolean }>({ busy: true });
  const [turn, setTurn] = useState(0);
  const now = useRef({ ask, soon });
  now.current = { ask, soon };
  useEffect(() => {
    const abort = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    let asked = 0;
    const look = async () => {
      const own = ++asked;
      clearTimeout(timer);
      const began = performance.now();
      let wait = LATER_MS;
      try {
        const value = await now.current.ask(abort.signal);
        if (abort.signal.aborted || own !== asked) return;
        setState({ value, busy: false });
        if (now.current.soon(value)) wait = SOON_MS;
      } catch (error) {
        if (abort.signal.aborted || own !== asked) return;
        setState(({ value }) => ({ value, error, busy: false }) as typeof state);
      }
      timer = setTimeout(() => document.hidden || void look(), Math.max(wait, TIMES * (performance.now() - began)));
    };
    const shown = () => document.hidden || void look();
    document.addEventListener("visibilitychange", shown);
    void look();
    return () => {
      abort.abort(new DOMException("", "AbortError"));
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", shown);
    };
  }, [...inputs, turn]);
  return { value: state.value, error: state.error, busy: state.busy, reload: () => setTurn((before) => before + 1) };
}
