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

/** The days of all tiles, and of which zone; empty where they differ. */
export function askedDays(told: readonly Told[]): string {
  const found = new Set(
    told.map(({ query }) => {
      const { timeframe, timezone } = query ?? {};
      const zone = typeof timezone === "string" ? timezone : "UTC";
      const days = timeframe ? daysOfFrame(timeframe, zone) : "";
      return days && `${days}, in ${zone}`;
    }),
  );
  const [days = ""] = found;
  return found.size === 1 ? days : "";
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
