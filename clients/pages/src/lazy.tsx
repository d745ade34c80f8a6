/** Pages in files of their own, which are loaded when first opened, or before, while the browser is idle. */
import { h, type ComponentType } from "preact";
import { useEffect, useState } from "preact/hooks";
import { Loading, Problem } from "./ui/states.tsx";

const loads: (() => Promise<unknown>)[] = [];

type PropertiesOf<Page> = Page extends ComponentType<infer P> ? P : never;

/** The page that is exported as `name` by what `load` imports. */
export function lazy<Area, Name extends keyof Area>(
  load: () => Promise<Area>,
  name: Name,
): ComponentType<PropertiesOf<Area[Name]>> {
  type P = PropertiesOf<Area[Name]>;
  let found: ComponentType<P> | null = null;
  const loadOnce = async () => (found ??= (await load())[name] as ComponentType<P>);
  loads.push(loadOnce);
  return function Lazy(properties: P) {
    const [error, setError] = useState<unknown>(null);
    const [, setLoaded] = useState(found !== null);
    useEffect(() => {
      // It may have been loaded ahead since it was drawn.
      loadOnce().then(() => setLoaded(true), setError);
    }, []);
    // After an update of the server a page's file may have another name, which only the new shell knows.
    if (error) return <Problem error={new Error("This page could not be loaded.")} retry={() => location.reload()} />;
    if (!found) return <Loading what="the page" lines={6} />;
    return h(found as ComponentType<object>, properties as object);
  };
}

/** Load the pages that were not opened yet, one after the other, so that opening them waits for nothing. */
export function loadAhead(): void {
  const next = async () => {
    // One that fails is tried again when it is opened.
    for (const load of loads) await load().catch(() => undefined);
  };
  if ("requestIdleCallback" in globalThis) requestIdleCallback(() => void next(), { timeout: 5000 });
  else setTimeout(next, 1000);
}
