import { AcumenChart } from "./chart.js";
import { AcumenDashboard } from "./dashboard.js";
export { AcumenChart, AcumenDashboard };
export { TEXTS } from "./texts.js";
export type { ChartProblem } from "./problems.js";
export type { Changes, Filter, Timeframe } from "./question.js";
export type { Selection } from "./plot.js";
export type { Texts } from "./texts.js";
declare global {
    interface HTMLElementTagNameMap {
        "acumen-chart": AcumenChart;
        "acumen-dashboard": AcumenDashboard;
    }
}
