/** Addresses of pages: `/app/PROJECT/PAGE/REST?QUERY`, read from the browser and written to its history. */
import { useEffect, useState } from "preact/hooks";

export interface Place {
  path: string;
  query: URLSearchParams;
}

/** May refuse to leave, as where there is something unsaved. */
let guard: (() => boolean) | null = null;

const MOVED = "acumen:moved";

export function here(): Place {
  return { path: location.pathname, query: new URLSearchParams(location.search) };
}

/** Whether it went: who has something unsaved may stay. */
export function go(address: string, { replace = false } = {}): boolean {
  if (guard && !guard()) return false;
  guard = null;
  const samePath = new URL(address, location.href).pathname === location.pathname;
  history[replace ? "replaceState" : "pushState"](null, "", address);
  dispatchEvent(new Event(MOVED));
  if (!samePath) scrollTo(0, 0);
  return true;
}

export function usePlace(): Place {
  const [place, setPlace] = useState(here);
  useEffect(() => {
    const moved = () => setPlace(here());
    addEventListener(MOVED, moved);
    addEventListener("popstate", moved);
    return () => {
      removeEventListener(MOVED, moved);
      removeEventListener("popstate", moved);
    };
  }, []);
  return place;
}

/** While `unsaved`, ask before the page is left. */
export function useGuard(unsaved: boolean): void {
  useEffect(() => {
    if (!unsaved) return;
    guard = () => confirm("Leave without saving your changes?");
    const leaving = (event: BeforeUnloadEvent) => event.preventDefault();
    addEventListener("beforeunload", leaving);
    return () => {
      guard = null;
      removeEventListener("beforeunload", leaving);
    };
  }, [unsaved]);
}

/** Links within the pages are followed without loading anew. */
export function followLinks(event: MouseEvent): void {
  const link = (event.target as Element).closest?.("a");
  if (!link || link.target || link.hash || link.hasAttribute("download") || link.origin !== location.origin) return;
  if (event.button || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  if (!/^\/(app\/|(login|join)$)/.test(link.pathname)) return;
  event.preventDefault();
  go(link.href);
}

/** A path of these parts, of which all but the first may hold any characters. */
export function pathOf(first: string, ...parts: string[]): string {
  return [first, ...parts.map(encodeURIComponent)].join("/");
}

export function addressOf(project: string, ...parts: string[]): string {
  return pathOf("/app", project, ...parts);
}
