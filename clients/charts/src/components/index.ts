// The elements <acumen-chart> and <acumen-dashboard>; to load this script is to define them.
import { AcumenChart } from "./chart.ts";
import { AcumenDashboard } from "./dashboard.ts";

export { AcumenChart, AcumenDashboard };
export { TEXTS } from "./texts.ts";
export type { ChartProblem } from "./problems.ts";
export type { Changes, Filter, Timeframe } from "./question.ts";
export type { Selection } from "./plot.ts";
export type { Texts } from "./texts.ts";

declare global {
  interface HTMLElementTagNameMap {
    "acumen-chart": AcumenChart;
    "acumen-dashboard": AcumenDashboard;
  }
}

for (const [name, type] of [
  ["acumen-chart", AcumenChart],
  ["acumen-dashboard", AcumenDashboard],
] as const) {
  // a page may load the script twice
  if (!customElements.get(name)) customElements.define(name, type);
}
