// Every text of the components, beside those of the drawing; the property `words` replaces any of them.
import { WORDS, type Words } from "../types.ts";

const OWN = {
  /** That of these words; numbers and dates are written as the attribute `locale` says. */
  language: "en",
  loading: "Loading",
  loaded: "Loaded",
  retry: "Try again",
  reset: "Reset",
  unreachable: "The server cannot be reached.",
  expired: "Access to this has expired. Reload the page.",
  refused: "You have no access to this.",
  missing: "This could not be found.",
  tooMany: "Too many requests. Try again later.",
  usedUp: "No more answers are left.",
  wrong: "The server cannot answer this question.",
  fault: "Something went wrong on the server. Try again later.",
  unreadable: "The server's answer cannot be read.",
  notSaid: "Nothing says what to show: it needs project, and saved-query, query or dataset.",
  badJson: "The attribute {name} holds no valid JSON.",
  busy: "The server is busy; the next try is in {n} s.",
  stale: "Not refreshed: {message}",
  keeps: "This chart keeps its own timeframe and filters.",
  notice: "Notice",
  asTable: "Show as table",
  asChart: "Show as chart",
  download: "Download",
  series: "Series",
  late: "events still come",
  useArrows: "Arrow keys move between values, Enter selects one.",
  firstRows: "The first {n} of {all} rows.",
  sort: "Sort by {name}",
  share: "Share",
  controls: "What is shown",
  timeframe: "Timeframe",
  interval: "Interval",
  usual: "default",
  allTime: "All time",
  custom: "From … to …",
  from: "From",
  until: "To",
  today: "Today",
  yesterday: "Yesterday",
  lastSpan: "Last {n}",
  previousSpan: "Previous {n}",
  thisUnit: "This {unit}",
  previousUnit: "Previous {unit}",
  minute: "minute",
  hour: "hour",
  day: "day",
  week: "week",
  month: "month",
  year: "year",
  minutely: "By minute",
  hourly: "By hour",
  daily: "By day",
  weekly: "By week",
  monthly: "By month",
  yearly: "By year",
  every: "Every {n}",
  any: "any",
  refresh: "Refresh",
  dashboard: "Dashboard",
  noWidgets: "This dashboard has no charts.",
};

export type Texts = typeof OWN & Words;
export const TEXTS: Texts = { ...WORDS, ...OWN };

/** The text with `{name}` replaced by its value. */
export function fill(text: string, values: Record<string, string | number>): string {
  return text.replace(/\{(\w+)\}/g, (whole, name: string) => (name in values ? String(values[name]) : whole));
}
