/** What the answers of a dashboard's tiles tell about their times. */
import type { Question } from "acumen-client";
import { cutParts } from "../../cut.ts";
import { daysOfFrame } from "../../days.ts";

export interface Told {
  result?: unknown;
  query?: Partial<Question> | null;
}

interface ChartOfTile extends Element {
  changes: Partial<Question>;
}

/** An answer with its question, which it tells of a saved query alone, and where that may be known. */
export function toldOf(chart: Element, answer: Told): Told {
  const own = chart.getAttribute("query");
  return own ? { ...answer, query: { ...JSON.parse(own), ...(chart as ChartOfTile).changes } } : answer;
}

/** The days of all tiles; empty where they differ. */
export function askedDays(told: readonly Told[]): string {
  const found = new Set(
    told.map(({ query }) => {
      const { timeframe, timezone } = query ?? {};
      const zone = typeof timezone === "string" ? timezone : "UTC";
      const days = timeframe ? daysOfFrame(timeframe, zone) : "";
      return days;
    }),
  );
  const [days = ""] = found;
  return found.size === 1 ? days : "";
}

/** In which zone the days of the tiles are; where they differ, in which those of the fewer tiles are, by name. */
export function askedZones(told: ReadonlyMap<Element, Told>, nameOf: (chart: Element) => string): string {
  const zones = new Map<string, string[]>();
  const inOrder = [...told].sort(([a], [b]) => (a.compareDocumentPosition(b) & Node.DOCUMENT_POSITION_FOLLOWING ? -1 : 1));
  for (const [chart, { query }] of inOrder) {
    const { timeframe, timezone } = { ...query, ...(query?.steps as Partial<Question>[] | undefined)?.[0] };
    const zone = typeof timezone === "number" ? `${timezone} seconds east of UTC` : (timezone ?? "UTC");
    if (timeframe) zones.set(String(zone), [...(zones.get(String(zone)) ?? []), nameOf(chart)]);
  }
  const [most, ...others] = [...zones].sort(([, a], [, b]) => b.length - a.length);
  if (!most) return "";
  const differing = others.map(([zone, names]) => `; in ${names.map((one) => `“${one}”`).join(", ")} those of ${zone}`);
  return `Days are those of ${most[0]}${differing.join("")}.`;
}

/** Say below a chart which of its parts the timeframe cuts. It stands in the shadow of the dashboard: parts style it. */
export function sayCutParts(chart: Element, { result, query }: Told): void {
  const next = chart.nextElementSibling;
  if (next?.getAttribute("part") === "cut") next.remove();
  const said = cutParts(result, query).join(" ");
  if (!said) return;
  const line = document.createElement("p");
  line.setAttribute("part", "cut");
  line.textContent = said;
  chart.after(line);
}
