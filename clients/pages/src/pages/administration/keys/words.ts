/** What a key may do and what narrows it, in words. */
import { conditionsText } from "../../explore/operators.ts";
import { told, QUOTAS, type KeyDefinition } from "./draft.ts";

const MAY: Record<string, string> = {
  writes: "sends events",
  queries: "asks questions",
  schema: "reads names and types",
  saved_queries: "reads results of saved queries computed each time",
  cached_queries: "reads kept results of saved queries",
  query_definition: "reads definitions of saved queries",
  datasets: "reads cached datasets",
};

const listed = (names: unknown): string => (Array.isArray(names) ? names : Object.keys(names ?? {})).join(", ") || "none";

const NARROWED: Record<string, (value: any) => string> = {
  "queries.filters": (filters) => `only events for which ${conditionsText(filters)}`,
  "queries.extraction": () => "no single events",
  "saved_queries.filters": (filters) => `saved queries only over events for which ${conditionsText(filters)}`,
  "saved_queries.allowed": (names) => `of saved queries computed each time only: ${listed(names)}`,
  "saved_queries.blocked": (names) => `of saved queries computed each time not: ${listed(names)}`,
  "cached_queries.allowed": (names) => `of kept saved queries only: ${listed(names)}`,
  "cached_queries.blocked": (names) => `of kept saved queries not: ${listed(names)}`,
  "datasets.operations": (names) => `datasets: only ${listed(names)}`,
  "datasets.allowed": (names) => `of datasets only: ${listed(names)}`,
  "datasets.blocked": (names) => `of datasets not: ${listed(names)}`,
  "writes.autofill": (fields) => `writes ${listed(fields)} into every event`,
  "embed.origins": (origins) => `embedded on: ${listed(origins)}`,
};

export function saidOf({ permitted, options = {} }: KeyDefinition): string {
  const narrowed = Object.entries(told(options)).flatMap(([section, fields]) =>
    Object.entries(fields as object).map(([field, value]) => narrowedText(section, field, value)),
  );
  const may = permitted.map((one) => MAY[one] ?? one.replaceAll("_", " ")).join(", ") || "may do nothing";
  return narrowed.length ? `${may} · ${narrowed.join("; ")}` : may;
}

function narrowedText(section: string, field: string, value: unknown): string {
  const quota = section === "quotas" && QUOTAS.find(([name]) => name === field)?.[1];
  if (quota) return `at most ${Number(value).toLocaleString()} ${quota.toLowerCase()}`;
  return NARROWED[`${section}.${field}`]?.(value) ?? `${section} ${field}`.replaceAll("_", " ");
}
