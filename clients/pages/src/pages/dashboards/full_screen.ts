/** An element that fills the screen: by button or the key F, left by Escape as browsers do. */
import type { RefObject } from "preact";
import { useEffect, useState } from "preact/hooks";

export function useFullScreen(frame: RefObject<HTMLElement | null>) {
  const [is, setIs] = useState(false);
  const enter = () => void frame.current?.requestFullscreen?.().catch(() => undefined);
  useEffect(() => {
    const changed = () => setIs(document.fullscreenElement !== null);
    const key = (event: KeyboardEvent) => {
      const { target, key, ctrlKey, metaKey, altKey } = event;
      const typing = (target as Element).closest?.("input, select, textarea, dialog");
      // Within a chart the event comes from the element around it.
      const inside = event.composedPath().some((one) => one instanceof Element && /^(INPUT|SELECT|TEXTAREA)$/.test(one.tagName));
      if (key.toLowerCase() !== "f" || typing || inside || ctrlKey || metaKey || altKey) return;
      if (document.fullscreenElement) void document.exitFullscreen();
      else enter();
    };
    document.addEventListener("fullscreenchange", changed);
    document.addEventListener("keydown", key);
    return () => {
      document.removeEventListener("fullscreenchange", changed);
      document.removeEventListener("keydown", key);
    };
  }, []);
  return { is, possible: document.fullscreenEnabled, enter };
}
