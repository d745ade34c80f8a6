/** An access key as the form has it, and as the API takes it. */
import type { Condition } from "../../../question.ts";
import { isWhole, sameQuestion } from "../../../question.ts";
import { FieldFault } from "../../../submit.ts";

export interface KeyDefinition {
  name: string;
  is_active?: boolean;
  permitted: string[];
  options?: Record<string, any>;
}

export interface AccessKey extends KeyDefinition {
  key: string | null;
  is_active: boolean;
  options: Record<string, any>;
  project_id: string;
  public_id: string | null;
}

/** `allowed` null: all but the blocked ones. */
export interface NamesDraft {
  allowed: string[] | null;
  blocked: string[];
}

export interface DatasetDraft {
  name: string;
  /** JSON: index property → values; empty: all values. */
  index: string;
}

export interface KeyDraft {
  name: string;
  permitted: string[];
  filters: Condition[];
  extraction: boolean;
  savedFilters: Condition[];
  saved: NamesDraft;
  cached: NamesDraft;
  operations: string[];
  datasets: DatasetDraft[] | null;
  datasetsBlocked: string[];
  autofill: string;
  quotas: Record<string, string>;
  /** One a line; null: any page. */
  origins: string | null;
}

export const PERMITTED = [
  ["writes", "Send events"],
  ["queries", "Ask questions, and extract events"],
  ["schema", "Read names and types of collections and properties"],
  ["saved_queries", "Read results of saved queries that are computed each time"],
  ["cached_queries", "Read results of saved queries that are kept"],
  ["query_definition", "Read definitions of saved queries"],
  ["datasets", "Read cached datasets"],
] as const;

export const OPERATIONS = [
  ["read", "Read results"],
  ["list", "List datasets"],
  ["retrieve", "Read a definition"],
] as const;

export const QUOTAS = [
  ["events_per_day", "Events a day"],
  ["events_per_month", "Events a month"],
  ["bytes_per_day", "Bytes of events a day"],
  ["bytes_per_month", "Bytes of events a month"],
  ["query_seconds_per_day", "Seconds of questions a day"],
  ["query_seconds_per_month", "Seconds of questions a month"],
] as const;

const ALL_OPERATIONS = OPERATIONS.map(([name]) => name as string);
const ALL: NamesDraft = { allowed: null, blocked: [] };

export function newDraft(): KeyDraft {
  return {
    name: "",
    permitted: [],
    filters: [],
    extraction: true,
    savedFilters: [],
    saved: ALL,
    cached: ALL,
    operations: ALL_OPERATIONS,
    datasets: null,
    datasetsBlocked: [],
    autofill: "",
    quotas: {},
    origins: null,
  };
}

/** Fields of the form, named as the server names them in errors. */
export const FIELDS = [
  "name",
  "permitted",
  "options.queries.filters",
  "options.queries.extraction",
  "options.saved_queries.filters",
  "options.saved_queries.allowed",
  "options.saved_queries.blocked",
  "options.cached_queries.allowed",
  "options.cached_queries.blocked",
  "options.datasets.operations",
  "options.datasets.allowed",
  "options.datasets.blocked",
  "options.writes.autofill",
  ...QUOTAS.map(([name]) => `options.quotas.${name}`),
  "options.embed.origins",
];

/** By field; under the empty name what is about none of these. */
export function keyFaults(error: unknown, text: string): Record<string, string> {
  if (error === null) return {};
  if (error instanceof FieldFault) return { [error.field]: error.message };
  const named = [...text.matchAll(/[a-z_]+(?:\.[a-z_]+)*/g)].map(([name]) => name);
  const quoted = [...text.matchAll(/'([^']+)'/g)].map(([, name]) => name!);
  const found = FIELDS.filter((field) =>
    [...quoted, ...named.filter((name) => name.startsWith("options."))].some(
      (name) => name === field || name.startsWith(`${field}.`) || name.startsWith(`${field}[`),
    ),
  );
  return { [found.at(-1) ?? ""]: text };
}

/** Throws FieldFault for what is no JSON, and for filters that are not finished. */
export function definitionOf(draft: KeyDraft): KeyDefinition {
  const options: Record<string, any> = {};
  const put = (section: string, values: Record<string, unknown>) => {
    const given = Object.entries(values).filter(([, value]) => value !== undefined);
    if (given.length) options[section] = Object.fromEntries(given);
  };
  put("queries", {
    filters: finished("options.queries.filters", draft.filters),
    extraction: draft.extraction ? undefined : false,
  });
  put("saved_queries", {
    filters: finished("options.saved_queries.filters", draft.savedFilters),
    ...namesOf(draft.saved),
  });
  put("cached_queries", namesOf(draft.cached));
  put("datasets", {
    operations: draft.operations.length === ALL_OPERATIONS.length ? undefined : draft.operations,
    allowed: draft.datasets === null ? undefined : allowedOf(draft.datasets),
    blocked: draft.datasetsBlocked.length ? draft.datasetsBlocked : undefined,
  });
  put("writes", { autofill: read("options.writes.autofill", draft.autofill) });
  put("quotas", Object.fromEntries(QUOTAS.map(([name]) => [name, quotaOf(name, draft.quotas[name] ?? "")])));
  put("embed", { origins: draft.origins === null ? undefined : linesOf(draft.origins) });
  return { name: draft.name.trim(), permitted: draft.permitted, options };
}

function finished(field: string, filters: Condition[]): Condition[] | undefined {
  if (filters.some((one) => !isWhole(one))) {
    throw new FieldFault(field, "Finish each filter, or remove it: an unfinished one would hide nothing.");
  }
  return filters.length ? filters : undefined;
}

function namesOf({ allowed, blocked }: NamesDraft) {
  return { allowed: allowed ?? undefined, blocked: blocked.length ? blocked : undefined };
}

function allowedOf(datasets: DatasetDraft[]): Record<string, unknown> {
  return Object.fromEntries(
    datasets.map(({ name, index }) => {
      const index_by = read("options.datasets.allowed", index);
      return [name, index_by === undefined ? null : { index_by }];
    }),
  );
}

function quotaOf(name: string, text: string): number | undefined {
  if (!text.trim()) return undefined;
  const number = Number(text);
  if (!Number.isInteger(number) || number < 0) {
    throw new FieldFault(`options.quotas.${name}`, "A whole number, please; empty for no limit.");
  }
  return number;
}

function read(field: string, text: string): unknown {
  if (!text.trim()) return undefined;
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new FieldFault(field, `This is no JSON: ${(error as Error).message}`);
  }
}

const linesOf = (text: string) => text.split(/\s+/).filter(Boolean);

/** The fields that say this key; null where some of it has no field, so that it is edited as JSON. */
export function draftOf(key: KeyDefinition): KeyDraft | null {
  const { queries, saved_queries, cached_queries, datasets, writes, quotas, embed } = told(key.options ?? {});
  const draft: KeyDraft = {
    ...newDraft(),
    name: key.name,
    permitted: key.permitted,
    filters: queries?.filters ?? [],
    extraction: queries?.extraction !== false,
    savedFilters: saved_queries?.filters ?? [],
    saved: namesDraft(saved_queries),
    cached: namesDraft(cached_queries),
    operations: datasets?.operations ?? ALL_OPERATIONS,
    datasets: datasets?.allowed ? datasetDrafts(datasets.allowed) : null,
    datasetsBlocked: datasets?.blocked ?? [],
    autofill: writes?.autofill ? JSON.stringify(writes.autofill, null, 2) : "",
    quotas: Object.fromEntries(Object.entries(quotas ?? {}).map(([name, limit]) => [name, String(limit)])),
    origins: embed?.origins ? embed.origins.join("\n") : null,
  };
  if (![...draft.filters, ...draft.savedFilters].every(isPlain)) return null;
  try {
    const again = definitionOf(draft);
    return sameQuestion(told(again.options!), told(key.options ?? {})) ? draft : null;
  } catch {
    return null;
  }
}

function isPlain(one: Condition): boolean {
  return one.operator !== "or" && typeof one.property_name === "string" && one.property_value !== undefined;
}

function namesDraft(section: Record<string, any> | undefined): NamesDraft {
  return { allowed: section?.allowed ?? null, blocked: section?.blocked ?? [] };
}

function datasetDrafts(allowed: Record<string, any> | string[]): DatasetDraft[] {
  if (Array.isArray(allowed)) return allowed.map((name) => ({ name, index: "" }));
  return Object.entries(allowed).map(([name, scope]) => ({
    name,
    index: scope?.index_by ? JSON.stringify(scope.index_by) : "",
  }));
}

/** Without sections and fields that say nothing. */
export function told(options: Record<string, any>): Record<string, any> {
  const says = ([name, value]: [string, any]) =>
    value !== null && value !== undefined && !(Array.isArray(value) && !value.length && /filters|blocked/.test(name)) &&
    !(name === "extraction" && value === true);
  const sections = Object.entries(options).map(([section, fields]): [string, any] => [
    section,
    Object.fromEntries(Object.entries(fields ?? {}).filter(says)),
  ]);
  return Object.fromEntries(sections.filter(([, fields]) => Object.keys(fields).length));
}
