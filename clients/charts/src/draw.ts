// The drawing core: `describe` an answer, `draw` the description. Pure: no DOM, no clock, no network.
import { bars } from "./bars.ts";
import { cartesian, fitsUpright, type Marks } from "./cartesian.ts";
import { writerOf, type Writer } from "./format.ts";
import { funnel } from "./funnel.ts";
import { grid } from "./grid.ts";
import { heatmap } from "./heatmap.ts";
import { provided } from "./kinds.ts";
import { metric } from "./metric.ts";
import { frame, penOf, type Box, type Pen } from "./pen.ts";
import { gauge, pie } from "./round.ts";
import { round, tag } from "./svg.ts";
import { cellText } from "./table.ts";
import type { Column, Description, DrawOptions, Drawing } from "./types.ts";

export { describe } from "./describe.ts";
export { csvOf, tableOf } from "./table.ts";
export { measureInter } from "./text.ts";
export { themes } from "./theme.ts";
export { CHART_TYPES, ChartError, WORDS } from "./types.ts";
export type * from "./types.ts";

function isUpright(pen: Pen, description: Description, box: Box): boolean {
  const { x, orientation, type } = description;
  if (type !== "bar" && type !== "stacked") return true;
  if (orientation === "horizontal") return false;
  if (x?.kind !== "category") return true;
  // names are not cut for the sake of columns
  return orientation === "vertical" && fitsUpright(pen, description, box);
}

function marks(pen: Pen, description: Description, box: Box): Marks {
  switch (description.type) {
    case "metric":
      return metric(pen, description, box);
    case "gauge":
      return gauge(pen, description, box);
    case "pie":
      return pie(pen, description, box);
    case "funnel":
      return funnel(pen, description, box);
    case "heatmap":
      return heatmap(pen, description, box);
    case "sankey":
      return provided.charts!.sankey(pen, description, box, { tag, round });
    case "table":
      return grid(pen, description, box);
    default:
      return isUpright(pen, description, box)
        ? cartesian(pen, description, box)
        : bars(pen, description, box);
  }
}

function nothing(pen: Pen, box: Box): string {
  const [x, y] = [box.x + box.width / 2, box.y + box.height / 2];
  const bars = [
    [-14, 10],
    [-4, 18],
    [6, 6],
  ].map(([dx, height]) =>
    tag("rect", { x: x + dx, y: y - 12 - height, width: 7, height, rx: 1.5, fill: pen.color("track") }),
  );
  return (
    bars.join("") + pen.text(x, y + 8, pen.words.noData, { anchor: "middle", fill: "muted", max: box.width })
  );
}

/** What the chart shows, in a sentence: for screen readers. */
function summary(pen: Pen, description: Description, title: string | null): string {
  const { type, x, series, metrics, gauge: one, steps, y } = description;
  const parts = [pen.words.chart.replace("{type}", type) + (title ? `: ${title}` : "")];
  if (description.empty) parts.push(pen.words.noData);
  else if (metrics) {
    for (const { name, value, format } of metrics.slice(0, 10))
      parts.push([name, value === null ? "–" : pen.writer.full(value, format ?? y?.format)].filter(Boolean).join(": "));
  } else if (one) parts.push(one.value === null ? "–" : pen.writer.full(one.value, y?.format));
  else if (steps) {
    for (const { name, value } of steps.slice(0, 20))
      parts.push(`${name}: ${value === null ? "–" : pen.writer.full(value, y?.format)}`);
  } else if (series.length) {
    const names = series
      .slice(0, 10)
      .map((each) => each.name)
      .filter(Boolean)
      .join(", ");
    if (names) parts.push(names);
    const count = x?.starts?.length ?? 0;
    if (count) {
      const moment = (at: number) => pen.writer.moment(Date.parse(x!.starts![at]), x!.interval ?? null);
      parts.push(count > 1 ? `${moment(0)} – ${moment(count - 1)}` : moment(0));
    }
  }
  if (description.note) parts.push(description.note);
  return parts.join(". ");
}

/** The description as SVG text, with where its marks are. */
export function drawing(description: Description, options: DrawOptions = {}): Drawing {
  const pen = penOf(description, options);
  const title = options.title === false || options.title === "" ? null : (options.title ?? description.title);
  const { svg: around, box } = frame(pen, title, description.note);
  const shown = description.empty && !description.gauge ? null : marks(pen, description, box);
  const paint = options.background ?? options.resolve === true;
  const back = paint
    ? tag("rect", { width: pen.width, height: pen.height, fill: pen.color("background") })
    : "";
  const svg = tag(
    "svg",
    {
      xmlns: "http://www.w3.org/2000/svg",
      viewBox: `0 0 ${pen.width} ${pen.height}`,
      width: pen.width,
      height: pen.height,
      role: pen.interactive ? "group" : "img",
      "aria-label": summary(pen, description, title),
      "font-family": pen.color("font"),
      "font-size": 12,
      class: `acumen-drawing acumen-${description.type}`,
      fill: "none",
    },
    back + around + (shown?.svg ?? nothing(pen, box)),
  );
  return {
    svg,
    width: pen.width,
    height: pen.height,
    plot: shown?.plot ?? null,
    orientation: shown?.orientation ?? "vertical",
    positions: shown?.positions ?? [],
    points: shown?.points ?? [],
  };
}

/** The description as SVG text. */
export function draw(description: Description, options: DrawOptions = {}): string {
  return drawing(description, options).svg;
}

export interface Formatter {
  /** A value of a series, with all its digits; `series` tells whose format. */
  value(value: number | null, series?: number): string;
  short(value: number | null, series?: number): string;
  /** The name of an index: an interval's start, or a category. */
  index(index: number): string;
  cell(value: unknown, column: Column): string;
  percent(share: number): string;
  /** The part that each value is of all, as a pie says it. */
  shares(values: number[]): string[];
}

/** Texts for tooltips and tables, written as in the drawing. */
export function formatter(description: Description, options: DrawOptions = {}): Formatter {
  const writer: Writer = writerOf({
    locale: options.locale,
    timezone: options.timezone ?? description.timezone,
    resolve: options.resolve,
  });
  const { x, y, series, metrics } = description;
  const format = (index?: number) =>
    (index === undefined ? undefined : (metrics ?? series)[index]?.format) ?? y?.format;
  return {
    value: (value, index) => (value === null ? "–" : writer.full(value, format(index))),
    short: (value, index) => (value === null ? "–" : writer.short(value, format(index))),
    index: (index) =>
      x?.kind === "time"
        ? writer.moment(Date.parse(x.starts![index]), x.interval ?? null)
        : (x?.names?.[index] ?? ""),
    cell: (value, column) => cellText(value, column, writer),
    percent: (share) => writer.percent(share),
    shares: (values) => writer.shares(values),
  };
}
