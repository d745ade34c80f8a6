/** Types of charts by the names that people see. */
export const CHART_TYPES = [
  ["", "As suits the answer"],
  ["metric", "Number"],
  ["line", "Line"],
  ["area", "Area"],
  ["bar", "Bars"],
  ["stacked", "Stacked bars"],
  ["pie", "Pie"],
  ["heatmap", "Heat map"],
  ["gauge", "Gauge"],
  ["funnel", "Funnel"],
  ["sankey", "Ways"],
  ["table", "Table"],
] as const;
