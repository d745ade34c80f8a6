/** The elements of the chart components, which are loaded when the first is needed. */
import { h } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { ended } from "../session.ts";
import { Loading, Problem } from "./states.tsx";

const SCRIPT = "/clients/acumen-charts.js";
let known = false;

function useCharts(): { ready: boolean; error: unknown } {
  const [state, setState] = useState<{ ready: boolean; error: unknown }>({ ready: known, error: null });
  useEffect(() => {
    if (known) return;
    import(SCRIPT).then(
      () => setState({ ready: (known = true), error: null }),
      (error: unknown) => setState({ ready: false, error }),
    );
  }, []);
  return state;
}

export interface ChartElement extends HTMLElement {
  toCSV(): string;
  toPNG(): Promise<Blob>;
  toSVG(): string;
  reload(): Promise<void>;
}

type Properties = Record<string, unknown>;

function element(name: string) {
  return function Drawn({ onReady, ...properties }: Properties & { onReady?: (made: ChartElement) => void }) {
    const { ready, error } = useCharts();
    const made = useRef<ChartElement>(null);
    useEffect(() => {
      const drawn = made.current;
      if (!drawn) return;
      onReady?.(drawn);
      // It asks by itself, and says what it was told.
      const failed = (event: Event) => {
        if ((event as CustomEvent<{ status?: number }>).detail?.status === 401) ended();
      };
      drawn.addEventListener("error", failed);
      return () => drawn.removeEventListener("error", failed);
    }, [ready]);
    if (error) return <Problem error={new Error("The charts could not be loaded.")} />;
    if (!ready) return <Loading what="the chart" lines={5} />;
    return h(name, { ref: made, locale: navigator.language, ...properties } as Properties);
  };
}

export const Chart = element("acumen-chart");
export const Board = element("acumen-dashboard");
