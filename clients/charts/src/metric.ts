// Numbers as large as their room, with what they were before and a small line of how they came.
import { NONE, type Marks } from "./cartesian.ts";
import { areaPath, decimate, linePath, runs, type Point } from "./lines.ts";
import { curveLinear } from "d3-shape";
import type { Box, Pen } from "./pen.ts";
import { round, tag } from "./svg.ts";
import type { Description, Metric } from "./types.ts";

function sparkline(metric: Metric, box: Box, color: string): string {
  const values = metric.sparkline ?? [];
  const present = values.filter((value) => value !== null);
  if (present.length < 2) return "";
  const low = present.reduce((least, value) => Math.min(least, value), 0);
  const high = present.reduce((most, value) => Math.max(most, value), -Infinity);
  const size = high - low || 1;
  const to = (value: number) => box.y + box.height - ((value - low) / size) * box.height;
  const points = values.map((value, index): Point | null =>
    value === null
      ? null
      : { index, x: box.x + (index / (values.length - 1)) * box.width, y: to(value), base: to(0) },
  );
  const broken = values.length - (metric.unfinished ?? 0);
  const all = runs(points).map((run) => decimate(run, box.width));
  const solid = runs(points.slice(0, broken))
    .map((run) => decimate(run, box.width))
    .filter((run) => run.length > 1);
  const open = metric.unfinished
    ? runs(points.slice(Math.max(0, broken - 1))).filter((run) => run.length > 1)
    : [];
  const stroke = { fill: "none", stroke: color, "stroke-width": 2, "stroke-linejoin": "round" };
  let svg = tag("path", {
    d: all.map((run) => areaPath(run, curveLinear)).join(""),
    fill: color,
    "fill-opacity": 0.12,
  });
  svg += tag("path", { d: solid.map((run) => linePath(run, curveLinear)).join(""), ...stroke });
  if (open.length)
    svg += tag("path", {
      d: open.map((run) => linePath(run, curveLinear)).join(""),
      ...stroke,
      "stroke-dasharray": "3 3",
    });
  return tag("g", { class: "acumen-sparkline", "aria-hidden": "true" }, svg);
}

function before(pen: Pen, description: Description, metric: Metric): string {
  const interval = description.x?.interval ?? null;
  if (metric.previousStart) return pen.writer.moment(Date.parse(metric.previousStart), interval);
  return metric.previousName ?? pen.words.previous;
}

/** An arrow with the change, and what it is a change from. */
function delta(
  pen: Pen,
  description: Description,
  metric: Metric,
  x: number,
  y: number,
  width: number,
): string {
  const { value, previous } = metric;
  if (value === null || previous === undefined || previous === null) {
    if (!metric.start) return "";
    return pen.text(x, y, pen.writer.moment(Date.parse(metric.start), description.x?.interval ?? null), {
      fill: "muted",
      max: width,
    });
  }
  const change = value - previous;
  const format = metric.format ?? description.y?.format;
  const sign = change > 0 ? "+" : change < 0 ? "−" : "±";
  const size =
    Math.abs(previous) > 0 && format?.style !== "percent"
      ? pen.writer.percent(Math.abs(change / previous))
      : pen.writer.short(Math.abs(change), format);
  const good = change === 0 ? "muted" : change > 0 === description.higherIsBetter ? "positive" : "negative";
  const arrow =
    change === 0
      ? ""
      : tag("path", {
          d:
            change > 0
              ? `M${round(x)} ${round(y - 1)}l4.5 -7.5l4.5 7.5z`
              : `M${round(x)} ${round(y - 8.5)}l4.5 7.5l4.5 -7.5z`,
          fill: pen.color(good),
        });
  const left = x + (arrow ? 14 : 0);
  const used = pen.measure(sign + size, 13, true);
  const own = metric.start
    ? `${pen.writer.moment(Date.parse(metric.start), description.x?.interval ?? null)} `
    : "";
  const text = `${own}${pen.words.versus.replace("{before}", before(pen, description, metric))}`;
  return (
    arrow +
    pen.text(left, y, sign + size, { bold: true, size: 13, fill: good, max: width }) +
    (width - used > 40
      ? pen.text(left + used + 9, y, text, { fill: "muted", max: width - used - 9 - (arrow ? 14 : 0) })
      : "")
  );
}

/** How large the number may be, and as which text. */
function sized(
  pen: Pen,
  description: Description,
  metric: Metric,
  box: Box,
  named: boolean,
): { text: string; size: number; line: number; block: number } {
  const format = metric.format ?? description.y?.format;
  const written = metric.value === null ? "–" : pen.writer.full(metric.value, format);
  const line = metric.sparkline && box.height >= 110 ? Math.min(150, box.height * 0.42) : 0;
  const around = (named && metric.name ? 18 : 0) + (metric.previous !== undefined || metric.start ? 24 : 0);
  const room = Math.max(14, box.height - around - line - (line ? 10 : 0));
  const fit = (text: string) =>
    Math.min(64, room * 0.8, box.width / Math.max(0.1, pen.measure(text, 1, true)));
  const text =
    fit(written) < Math.min(22, room * 0.8) && metric.value !== null
      ? pen.writer.short(metric.value, format)
      : written;
  const size = Math.max(9, Math.floor(fit(text)));
  return { text, size, line, block: around + size };
}

function tile(
  pen: Pen,
  description: Description,
  metric: Metric,
  index: number,
  box: Box,
  named: boolean,
  most: number,
): string {
  const color = pen.color(`series-${(index % 8) + 1}`);
  const changed = metric.previous !== undefined || metric.start ? 24 : 0;
  const name = named && metric.name ? 18 : 0;
  const format = metric.format ?? description.y?.format;
  const written = metric.value === null ? "–" : pen.writer.full(metric.value, format);
  const { text, size: own, line, block } = sized(pen, description, metric, box, named);
  const size = Math.min(own, most);
  const top = box.y + Math.max(0, (box.height - (block - own + size) - line - (line ? 10 : 0)) * 0.42);
  let svg = name ? pen.text(box.x, top + 12, metric.name, { fill: "muted", size: 13, max: box.width }) : "";
  const mark = pen.mark(0, index, () => `${metric.name || description.title || ""}: ${written}`);
  svg += tag(
    "g",
    { class: "acumen-metric", ...mark },
    pen.text(box.x, top + name + size * 0.86, text, { bold: true, size, max: box.width + 2 }),
  );
  if (changed) svg += delta(pen, description, metric, box.x, top + name + size + 16, box.width);
  if (line) {
    const plot = { x: box.x + 1, y: box.y + box.height - line, width: box.width - 2, height: line - 2 };
    svg += sparkline(metric, plot, color);
  }
  return svg;
}

/** One number, or several side by side. */
export function metric(pen: Pen, description: Description, box: Box): Marks {
  const all = description.metrics!;
  const widest = Math.max(1, Math.floor((box.width + 24) / 164));
  let columns = Math.min(all.length, widest);
  const rows = Math.ceil(all.length / columns);
  columns = Math.ceil(all.length / rows);
  const gap = 24;
  const width = (box.width - gap * (columns - 1)) / columns;
  const height = (box.height - 14 * (rows - 1)) / rows;
  const named = all.length > 1 || !description.title;
  const shown = named && height >= 50;
  const tiled = (index: number) => ({
    x: box.x + (index % columns) * (width + gap),
    y: box.y + Math.floor(index / columns) * (height + 14),
    width,
    height,
  });
  // side by side they are of one size
  const most = Math.min(...all.map((one, index) => sized(pen, description, one, tiled(index), shown).size));
  const svg = all.map((one, index) => {
    return height >= 24 ? tile(pen, description, one, index, tiled(index), shown, most) : "";
  });
  return { ...NONE, svg: svg.join("") };
}
