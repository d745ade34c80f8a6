/** The labels of a question of several series: those with a name, and what is also computed of them. */
import type { Json } from "./own.ts";

/** Parameters that list labels. */
const LISTS = ["cumulative", "share"];
export const ALSO = ["cumulative", "rolling", "share"] as const;

export const listOf = (value: unknown): string[] => (value === undefined || value === null || value === "" ? [] : [value].flat().map(String));

/** All labels that the answer could have, in its order. */
export function labelsOf(own: Json): string[] {
  const names = [...Object.keys(own.series ?? {}), ...Object.keys(own.formulas ?? {})];
  const of = (end: string, has: (name: string) => boolean) => names.filter(has).map((name) => `${name}.${end}`);
  const [cumulative, share] = LISTS.map((name) => listOf(own[name]));
  return [...names, ...of("cumulative", (name) => cumulative!.includes(name)), ...of("rolling", (name) => name in (own.rolling ?? {})), ...of("share", (name) => share!.includes(name))];
}

const orNone = (list: string[]): string[] | undefined => (list.length ? list : undefined);

/** What else says a name, where a series or formula is called otherwise, or taken away: as a patch of the question. */
export function relabelled(own: Json, from: string, to: string | null): Json {
  const called = (name: string): string[] => {
    const end = ["", ...ALSO.map((one) => `.${one}`)].find((one) => name === from + one);
    return end === undefined ? [name] : to === null ? [] : [to + end];
  };
  const lists = [...LISTS, "show"].filter((name) => own[name] !== undefined).map((name) => [name, orNone(listOf(own[name]).flatMap(called))]);
  const windows = Object.entries((own.rolling ?? {}) as Json).flatMap(([name, value]) => called(name).map((one) => [one, value] as const));
  // Names of other characters than these stand in quotes.
  const written = (name: string) => (/^[\p{L}_][\p{L}\p{N}_.]*$/u.test(name) ? name : `"${name}"`);
  const rewritten = (text: unknown) =>
    String(text).replace(/"([^"]*)"|[\p{L}_][\p{L}\p{N}_.]*/gu, (found, quoted?: string) => {
      const [name = ""] = called(quoted ?? found);
      return name === (quoted ?? found) ? found : written(name);
    });
  const formulas = own.formulas && to !== null && { formulas: Object.fromEntries(Object.entries(own.formulas as Json).map(([name, text]) => [name, rewritten(text)])) };
  const top = own.top?.by === from && to !== null ? { top: { ...own.top, by: to } } : {};
  return { ...Object.fromEntries(lists), ...(own.rolling && { rolling: windows.length ? Object.fromEntries(windows) : undefined }), ...top, ...formulas };
}

/** The question with something also computed of a name, or no more. Labels that are no more are not shown either. */
export function withAlso(own: Json, name: string, also: (typeof ALSO)[number], value: number | string | undefined): Json {
  const patch: Json = {};
  if (also === "rolling") {
    const { [name]: _, ...others } = (own.rolling ?? {}) as Json;
    const windows = value === undefined ? others : { ...others, [name]: value };
    patch.rolling = Object.keys(windows).length ? windows : undefined;
  } else {
    const others = listOf(own[also]).filter((one) => one !== name);
    patch[also] = orNone(value === undefined ? others : [...others, name]);
  }
  if (own.show === undefined) return patch;
  const label = `${name}.${also}`;
  const shown = listOf(own.show).filter((one) => one !== label);
  return { ...patch, show: orNone(value === undefined ? shown : [...shown, label]) };
}

/** The labels that are shown after one was chosen or not; undefined: all. Of none of them the API would show all: the last stays. */
export function withShown(own: Json, label: string, isShown: boolean): string[] | undefined {
  const all = labelsOf(own);
  const now = own.show === undefined ? all : listOf(own.show);
  const next = all.filter((one) => (one === label ? isShown : now.includes(one)));
  return next.length === all.length ? undefined : next.length ? next : now;
}
