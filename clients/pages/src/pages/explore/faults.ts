/** To which field an error or a warning of the API belongs. */
import { ApiError, type QueryWarning } from "acumen-client";
import { isAt, pathIn } from "./asking/own.ts";
import { textOf } from "../../ui/states.tsx";

const BY_CODE: Record<string, string> = {
  TimeframeDefinitionError: "timeframe",
  InvalidTimezoneError: "timezone",
  InvalidIntervalError: "interval",
  InvalidFilterError: "filters",
  InvalidPropertyNameForGeoFilter: "filters",
  InvalidGroupByError: "group_by",
  InvalidOrderByError: "group_by",
  InvalidLimitError: "limit",
};

/** What the fields are called in the form. */
export const LABELS: Record<string, string> = {
  event_collection: "Of events in",
  target_property: "Of property",
  percentile: "Per cent",
  timeframe: "When",
  timezone: "Time zone",
  interval: "In parts",
  group_by: "Group by",
  limit: "How many groups",
  filters: "Only events for which",
};

/** For forms that are the question itself: what is wrong with the field of a path, as `steps[1].max_gap`. */
export function faultAt(error: unknown): (path: string) => string | undefined {
  if (!(error instanceof ApiError) || error.status !== 400) return () => undefined;
  const [named, usual] = [pathIn(error.message), BY_CODE[error.code]];
  // Of a timeframe, say, it quotes what was said, and not where.
  const at = usual && !named.split(/[.[]/).includes(usual) ? usual : named;
  return (path) => (at && isAt(at, path) ? textOf(error) : undefined);
}

/** By field; under the empty name what belongs to none. */
export function faultsOf(error: unknown): Record<string, string> {
  if (!error) return {};
  const text = textOf(error);
  if (!(error instanceof ApiError) || error.status !== 400) return { "": text };
  const named = Object.keys(LABELS).find((name) => error.message.includes(`'${name}'`) || error.message.startsWith(`${name} `));
  return { [BY_CODE[error.code] ?? named ?? ""]: text };
}

/** Fields that show warnings themselves. */
export const WARNED = ["event_collection", "target_property", "filters", "group_by"];

export function warningsOf(warnings: readonly QueryWarning[]): Record<string, string> {
  const found: Record<string, string> = {};
  for (const { parameter, message } of warnings) {
    const field = Object.keys(LABELS).find((name) => String(parameter ?? "").startsWith(name)) ?? "";
    found[field] = [found[field], message].filter(Boolean).join(" ");
  }
  return found;
}
