/** Addresses of pages: `/app/PROJECT/PAGE/REST?QUERY`, read from the browser and written to its history. */
import { useEffect, useRef, useState } from "preact/hooks";

export interface Place {
  path: string;
  query: URLSearchParams;
}

/** May refuse to leave, as where there is something unsaved. */
let guard: (() => boolean) | null = null;

const MOVED = "acumen:moved";

/** How many entries of the browser's history stand before the one that is shown. */
let at = 0;
let shown = "";
let isPutBack = false;

/** Ask before Back and Forward leave what is unsaved. To be called before all that listen for them: who stays is to notice nothing. */
export function guardHistory(): void {
  at = history.state?.at ?? 0;
  shown = address();
  history.replaceState({ ...history.state, at }, "");
  addEventListener("popstate", (event) => {
    const entry: number | undefined = history.state?.at;
    const stays = guard !== null && entry !== undefined && entry !== at && address() !== shown && !isPutBack && !guard();
    if (isPutBack || stays) event.stopImmediatePropagation();
    isPutBack = stays;
    if (stays) return history.go(at - entry);
    // A link within the page makes an entry of its own.
    if (entry === undefined) history.replaceState({ at: at + 1 }, "");
    at = history.state.at;
    if (address() !== shown) guard = null;
    shown = address();
  });
}

function address(): string {
  return location.pathname + location.search;
}

export function here(): Place {
  return { path: location.pathname, query: new URLSearchParams(location.search) };
}

/** Whether it went: who has something unsaved may stay. */
export function go(to: string, { replace = false } = {}): boolean {
  if (guard && !guard()) return false;
  guard = null;
  const samePath = new URL(to, location.href).pathname === location.pathname;
  move(to, {}, replace);
  if (!samePath) scrollTo(0, 0);
  return true;
}

function move(to: string, more: object, replace = false): void {
  if (!replace) at++;
  history[replace ? "replaceState" : "pushState"]({ ...more, at }, "", to);
  shown = address();
  dispatchEvent(new Event(MOVED));
}

/**
 * Something opened in front of the page, which the browser's Back closes, and to which it comes back from where that led:
 * an entry of the history at the same address, which holds the value.
 */
export function useOpened<T>(name: string): [opened: T | null, open: (value: T) => void, close: () => void] {
  const place = usePlace();
  const isClosing = useRef(false);
  useEffect(() => {
    isClosing.current = false;
  }, [place]);
  const close = () => {
    if (isClosing.current || !(name in history.state)) return;
    isClosing.current = true;
    history.back();
  };
  const open = (value: T) => move(location.href, { [name]: JSON.parse(JSON.stringify(value)) });
  return [(history.state?.[name] as T | undefined) ?? null, open, close];
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
