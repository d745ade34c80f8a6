// Lines, areas and columns: values upwards, instants or categories to the right.
import {
  bandAxis,
  numberAxis,
  place,
  scaleOf,
  timeAxis,
  TIME_AXIS_HEIGHT,
  valueAxis,
  widest,
  type Scale,
} from "./axes.ts";
import { isLast } from "./bars.ts";
import { areaPath, curveOf, decimate, linePath, runs, type Point } from "./lines.ts";
import { legend, seriesColor, SIZE, type Box, type Pen } from "./pen.ts";
import { cut } from "./text.ts";
import { round, tag } from "./svg.ts";
import type { Description, Drawing, Series } from "./types.ts";

export type Marks = Pick<Drawing, "plot" | "orientation" | "positions" | "points"> & { svg: string };

interface Panel {
  members: number[];
  plot: Box;
  scale: Scale;
}

interface Layout {
  description: Description;
  plot: Box;
  panels: Panel[];
  positions: (number | null)[];
  /** Width of a band; 0 for lines. */
  band: number;
  stacked: boolean;
  /** For each series and index where its mark begins and ends, as values. */
  ranges: ([number, number] | null)[][];
}

export const NONE: Pick<Marks, "plot" | "orientation" | "positions" | "points"> = {
  plot: null,
  orientation: "vertical",
  positions: [],
  points: [],
};

function isBar(description: Description): boolean {
  return description.type === "bar" || description.type === "stacked";
}

export function isStacked({ type, series, additive }: Description): boolean {
  if (type === "stacked") return true;
  if (type !== "area" || series.length < 2 || !additive || series.some((one) => one.panel !== undefined))
    return false;
  return series.every((one) => one.values.every((value) => (value ?? 0) >= 0));
}

/** From where to where each value goes: from zero, or from the values below it. */
export function rangesOf(series: Series[], stacked: boolean): ([number, number] | null)[][] {
  const length = series[0]?.values.length ?? 0;
  const up = new Array<number>(length).fill(0);
  const down = new Array<number>(length).fill(0);
  return series.map((one) =>
    one.values.map((value, index) => {
      if (value === null) return null;
      if (!stacked) return [0, value];
      const sums = value < 0 ? down : up;
      const from = sums[index];
      sums[index] = Math.max(-1e300, Math.min(1e300, from + value));
      return [from, sums[index]];
    }),
  );
}

function fromZero(description: Description, members: number[]): boolean {
  if (description.type !== "line" || description.additive || description.y?.integers) return true;
  let low = Infinity;
  let high = -Infinity;
  for (const member of members)
    for (const value of description.series[member].values) {
      if (value === null) continue;
      low = Math.min(low, value);
      high = Math.max(high, value);
    }
  return !(low > 0 && (high - low) / high < 0.35) && !(high < 0 && (high - low) / -low < 0.35);
}

function scaleFor(
  pen: Pen,
  description: Description,
  ranges: Layout["ranges"],
  members: number[],
  height: number,
): Scale {
  function* values(): Generator<number | null> {
    for (const member of members)
      for (const range of ranges[member])
        if (range) {
          yield range[1];
          if (range[0]) yield range[0];
        }
    for (const { value } of description.annotations)
      if (value !== undefined && members.includes(0)) yield value;
  }
  const own = description.series[members[0]]?.format;
  return scaleOf(
    pen,
    values(),
    own ? { ...description.y!, format: own, integers: false } : description.y!,
    fromZero(description, members),
    Math.max(2, Math.floor(height / 46)),
  );
}

/** Names at the ends of lines, moved apart; null where they have no room. */
function endLabels(pen: Pen, description: Description, layout: Layout, right: number): string | null {
  const { plot, panels } = layout;
  const labels: { series: number; y: number; from: number | null; name: string }[] = [];
  for (const { members, plot: area, scale } of panels)
    for (const member of members) {
      const { values, name } = description.series[member];
      const last = values.reduce<number>((found, value, index) => (value === null ? found : index), -1);
      if (last < 0) continue;
      const y = place(scale, values[last]!, area.y + area.height, area.y);
      labels.push({ series: member, name, y, from: last === values.length - 1 ? y : null });
    }
  labels.sort((a, b) => a.y - b.y);
  if (labels.length * 16 > plot.height) return null;
  for (let at = 1; at < labels.length; at++) labels[at].y = Math.max(labels[at].y, labels[at - 1].y + 16);
  let limit = plot.y + plot.height;
  for (let at = labels.length - 1; at >= 0; at--) {
    labels[at].y = Math.min(labels[at].y, limit);
    limit = labels[at].y - 16;
  }
  const edge = plot.x + plot.width;
  return labels
    .map(({ series, y, from, name }) => {
      const color = seriesColor(pen, description.series[series], series);
      // what tells whose name it is, where the line does not end beside it
      let sign = "";
      if (from === null) sign = tag("circle", { cx: edge + 13, cy: y, r: 4, fill: color });
      else if (Math.abs(from - y) > 4)
        sign = tag("path", {
          d: `M${round(edge + 7)} ${round(from)}L${round(edge + 16)} ${round(y)}`,
          stroke: color,
          fill: "none",
        });
      const near = from !== null && sign === "" ? 12 : 20;
      return tag(
        "g",
        { class: "acumen-legend", "data-series": series },
        sign + pen.text(edge + near, y + 4, name, { max: right - edge - near }),
      );
    })
    .join("");
}

function directWidth(pen: Pen, description: Description, box: Box): number {
  const { series, type } = description;
  const panels = series.some((one) => one.panel);
  if (
    type !== "line" ||
    !pen.legend ||
    series.length < 2 ||
    series.length > 5 ||
    panels ||
    box.width < 480 ||
    pen.height < 180
  )
    return 0;
  if (series.every((one) => one.values.every((value) => value === null))) return 0;
  return Math.min(
    widest(
      pen,
      series.map((one) => one.name),
    ) + 24,
    box.width * 0.24,
  );
}

/** The places of indices: bands side by side, instants on a true scale of time, numbers on theirs. */
function positionsOf(description: Description, plot: Box): { positions: (number | null)[]; band: number } {
  const { x } = description;
  const count = (x?.starts ?? x?.values ?? []).length;
  if (isBar(description) || count === 0) {
    const band = plot.width / Math.max(1, count);
    return { positions: Array.from({ length: count }, (_, index) => plot.x + band * (index + 0.5)), band };
  }
  const at =
    x!.kind === "time"
      ? x!.starts!.map((text) => Date.parse(text))
      : x!.values!.map((value) => (typeof value === "number" ? value : NaN));
  const present = at.filter(Number.isFinite);
  const [first, last] = extremes(present);
  const positions = at.map((one) => {
    if (!Number.isFinite(one)) return null;
    return last > first ? plot.x + ((one - first) / (last - first)) * plot.width : plot.x + plot.width / 2;
  });
  return { positions, band: 0 };
}

function extremes(values: number[]): [number, number] {
  let low = Infinity;
  let high = -Infinity;
  for (const value of values) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return values.length ? [low, high] : [0, 1];
}

function layoutOf(pen: Pen, description: Description, box: Box, right: number): Layout {
  const { series, x } = description;
  const stacked = isStacked(description);
  const ranges = rangesOf(series, stacked);
  const numbers = [...new Set(series.map((one) => one.panel ?? 0))].sort((a, b) => a - b);
  const bottom = x?.kind === "time" && pen.height >= 140 ? TIME_AXIS_HEIGHT : 26;
  // panels that would be too low to read are left out
  const most = Math.max(1, Math.floor((box.height - bottom) / 60));
  const groups = numbers
    .slice(0, most)
    .map((panel) => series.map((_, index) => index).filter((index) => (series[index].panel ?? 0) === panel));
  if (!groups.length) groups.push([]);
  const caption = groups.length > 1 || (description.y?.name && pen.height >= 220) ? 20 : 6;
  const height = Math.max(10, box.height - bottom);
  const each = height / groups.length;
  const panels = groups.map((members, index): Panel => {
    const area = {
      x: box.x,
      y: box.y + each * index + caption,
      width: box.width,
      height: Math.max(8, each - caption - (groups.length > 1 ? 8 : 0)),
    };
    return { members, plot: area, scale: scaleFor(pen, description, ranges, members, area.height) };
  });
  const left = Math.min(
    box.width * 0.4,
    widest(
      pen,
      panels.flatMap((panel) => panel.scale.labels),
    ) + 10,
  );
  const plot = { x: box.x + left, y: box.y + caption, width: Math.max(10, right - box.x - left), height: 0 };
  for (const panel of panels) panel.plot = { ...panel.plot, x: plot.x, width: plot.width };
  const last = panels[panels.length - 1].plot;
  plot.height = last.y + last.height - plot.y;
  return { description, plot, panels, ...positionsOf(description, plot), stacked, ranges };
}

function labelOf(pen: Pen, description: Description, series: number, index: number): string {
  const { x, y } = description;
  const one = description.series[series];
  const value = one.values[index];
  const where =
    x?.kind === "time"
      ? pen.writer.moment(Date.parse(x.starts![index]), x.interval ?? null)
      : (x?.names?.[index] ?? "");
  const written = value === null ? pen.words.none : pen.writer.full(value, one.format ?? y?.format);
  return [one.name, where].filter(Boolean).join(", ") + `: ${written}`;
}

function pointsOf(layout: Layout, panel: Panel, member: number): (Point | null)[] {
  const bottom = panel.plot.y + panel.plot.height;
  const to = (value: number) => place(panel.scale, value, bottom, panel.plot.y);
  return layout.positions.map((x, index) => {
    const range = layout.ranges[member][index];
    // areas one on another have no gaps: what is not there adds nothing
    if (x === null || (!range && !layout.stacked)) return null;
    const [from, value] = range ?? beneath(layout, member, index);
    return { index, x, y: to(value), base: to(from) };
  });
}

function beneath(layout: Layout, member: number, index: number): [number, number] {
  for (let at = member - 1; at >= 0; at--) {
    const range = layout.ranges[at][index];
    if (range) return [range[1], range[1]];
  }
  return [0, 0];
}

/** A line, its area, and dots where a line would not be seen. */
function drawLine(pen: Pen, layout: Layout, panel: Panel, member: number): string {
  const { description, plot, stacked } = layout;
  const one = description.series[member];
  const color = seriesColor(pen, one, member);
  const curve = curveOf(description);
  const previous = one.role === "previous";
  const points = pointsOf(layout, panel, member);
  const end = points.length - description.future;
  const shown = points.slice(0, previous ? points.length : end);
  const broken = previous ? shown.length : shown.length - description.unfinished;
  const solid = runs(shown.slice(0, broken));
  const dashed = broken < shown.length ? runs(shown.slice(Math.max(0, broken - 1))) : [];
  const filled = description.type === "area";
  let svg = "";
  if (filled) {
    const paths = (parts: Point[][], opacity: number) => {
      const d = parts
        .filter((run) => run.length > 1)
        .map((run) => areaPath(decimate(run, plot.width), curve))
        .join("");
      return d && tag("path", { d, fill: color, "fill-opacity": opacity });
    };
    const opacity = stacked ? 0.75 : description.series.length > 1 ? 0.12 : 0.16;
    svg += paths(solid, opacity) + paths(dashed, opacity / 2);
  }
  const dense = points.length > plot.width;
  const stroke = {
    stroke: color,
    "stroke-width": dense ? 1.25 : previous ? 1.5 : 2,
    "stroke-linejoin": "round",
    "stroke-linecap": previous ? "butt" : "round",
    fill: "none",
  };
  const d = solid
    .filter((run) => run.length > 1)
    .map((run) => linePath(decimate(run, plot.width), curve))
    .join("");
  if (d) svg += tag("path", { d, ...stroke, "stroke-dasharray": previous ? "4 4" : null });
  const rest = dashed
    .filter((run) => run.length > 1)
    .map((run) => linePath(run, curve))
    .join("");
  if (rest) svg += tag("path", { d: rest, ...stroke, "stroke-linecap": "butt", "stroke-dasharray": "4 4" });
  const alone = [...solid, ...dashed].filter(
    (run) =>
      run.length === 1 &&
      !(
        broken > 0 &&
        dashed.length &&
        run[0].index === broken - 1 &&
        solid.some((other) => other.includes(run[0]) && other.length > 1)
      ),
  );
  for (const run of alone) svg += tag("circle", { cx: run[0].x, cy: run[0].y, r: 2.5, fill: color });
  if (!stacked && !previous) svg += lastDot(pen, shown, broken, color);
  if (pen.interactive) svg += pointMarks(pen, layout, points, member, color);
  const label = pen.interactive
    ? { role: "group", "aria-label": one.name || description.y?.name || pen.words.value }
    : {};
  return tag("g", { class: "acumen-series", "data-series": member, ...label }, svg);
}

function lastDot(pen: Pen, points: (Point | null)[], broken: number, color: string): string {
  const last = points.reduce<Point | null>((found, point) => point ?? found, null);
  if (!last) return "";
  const open = last.index >= broken;
  return tag("circle", {
    cx: last.x,
    cy: last.y,
    r: 3.5,
    fill: open ? pen.color("background") : color,
    stroke: color,
    "stroke-width": 2,
  });
}

const POINT_MARKS_MAX = 2000;

/** A mark at each point, not seen until a component shows it. */
function pointMarks(
  pen: Pen,
  layout: Layout,
  points: (Point | null)[],
  member: number,
  color: string,
): string {
  const { description } = layout;
  if (points.length * description.series.length > POINT_MARKS_MAX) return "";
  return points
    .map((point) => {
      if (!point || description.series[member].values[point.index] === null) return "";
      const mark = pen.mark(member, point.index, () => labelOf(pen, description, member, point.index));
      return tag("circle", {
        class: "acumen-point",
        cx: point.x,
        cy: point.y,
        r: 4,
        fill: color,
        "fill-opacity": 0,
        ...mark,
      });
    })
    .join("");
}

/** A bar with rounded corners at its end only. */
export function barPath(
  x: number,
  y: number,
  width: number,
  height: number,
  end: "top" | "bottom" | "left" | "right" | null,
): string {
  const r = end === null ? 0 : Math.min(3, width / 2, height / 2);
  if (r < 1) return `M${round(x)} ${round(y)}h${round(width)}v${round(height)}h${round(-width)}z`;
  const [w, h, a] = [round(width), round(height), round(r)];
  const corner = (dx: number, dy: number) => `a${a} ${a} 0 0 1 ${dx * a} ${dy * a}`;
  const [nw, ne, se, sw] = [
    end === "top" || end === "left",
    end === "top" || end === "right",
    end === "bottom" || end === "right",
    end === "bottom" || end === "left",
  ];
  return (
    `M${round(x + (nw ? r : 0))} ${round(y)}` +
    `h${round(w - (nw ? r : 0) - (ne ? r : 0))}${ne ? corner(1, 1) : ""}` +
    `v${round(h - (ne ? r : 0) - (se ? r : 0))}${se ? corner(-1, 1) : ""}` +
    `h${round(-(w - (se ? r : 0) - (sw ? r : 0)))}${sw ? corner(-1, -1) : ""}` +
    `v${round(-(h - (sw ? r : 0) - (nw ? r : 0)))}${nw ? corner(1, -1) : ""}z`
  );
}

/** Which indices get a column where there are more of them than pixels: of each pixel the largest. */
function visible(layout: Layout, panel: Panel): Set<number> | null {
  const { positions, ranges, band } = layout;
  if (band >= 1) return null;
  const best = new Map<number, [number, number]>();
  positions.forEach((x, index) => {
    const size = panel.members.reduce(
      (most, member) => Math.max(most, Math.abs(ranges[member][index]?.[1] ?? 0)),
      0,
    );
    const column = Math.floor(x!);
    if (size >= (best.get(column)?.[0] ?? -1)) best.set(column, [size, index]);
  });
  return new Set([...best.values()].map(([, index]) => index));
}

function drawColumns(pen: Pen, layout: Layout, panel: Panel): string {
  const { description, band, stacked, positions, ranges } = layout;
  const only = visible(layout, panel);
  const inner = Math.min(64, band > 4 ? band * 0.74 : band > 2 ? band - 1 : Math.max(1, band));
  const lanes = stacked ? 1 : panel.members.length;
  const lane = inner / lanes;
  const width = Math.max(0.5, lanes > 1 && lane > 4 ? lane - 1 : lane);
  const to = (value: number) => place(panel.scale, value, panel.plot.y + panel.plot.height, panel.plot.y);
  const runningFrom = positions.length - description.future - description.unfinished;
  return panel.members
    .map((member, at) => {
      const one = description.series[member];
      const color = seriesColor(pen, one, member);
      const marks = ranges[member].map((range, index) => {
        if (!range || (range[0] === range[1] && !pen.interactive) || (only && !only.has(index))) return "";
        const x = positions[index]! - inner / 2 + (stacked ? 0 : at * lane);
        const [from, end] = [to(range[0]), to(range[1])];
        const height = Math.max(
          range[0] === range[1] ? 0 : 1,
          Math.abs(end - from) - (stacked && Math.abs(end - from) > 3 ? 1 : 0),
        );
        const y = end <= from ? from - height : from;
        const open = description.unfinished && index >= runningFrom;
        const fill = color;
        const rounded = !stacked || isLast(layout, member, index);
        const outline = open ? { "fill-opacity": 0.35, stroke: color, "stroke-dasharray": "3 3" } : {};
        const mark = pen.mark(member, index, () => labelOf(pen, description, member, index));
        return tag("path", {
          class: "acumen-bar",
          d: barPath(x, y, width, height, rounded ? (end <= from ? "top" : "bottom") : null),
          fill,
          ...outline,
          ...mark,
        });
      });
      return tag("g", { class: "acumen-series", "data-series": member }, marks.join(""));
    })
    .join("");
}

function drawAnnotations(pen: Pen, layout: Layout): string {
  const { description, plot, panels, positions } = layout;
  let svg = "";
  for (const { at, value, label } of description.annotations) {
    if (value !== undefined) {
      const { scale, plot: area } = panels[0];
      const y = Math.round(place(scale, value, area.y + area.height, area.y)) + 0.5;
      svg += tag("path", {
        d: `M${area.x} ${y}h${Math.round(area.width)}`,
        stroke: pen.color("muted"),
        "stroke-dasharray": "5 4",
      });
      const text = label ?? pen.writer.short(value, description.y?.format);
      svg += pen.text(area.x + area.width, y > area.y + 18 ? y - 5 : y + 14, text, {
        anchor: "end",
        fill: "muted",
        size: 11,
        max: area.width,
      });
    }
    const x = at === undefined ? null : placeOf(description, layout, at, positions);
    if (x === null) continue;
    svg += tag("path", {
      d: `M${Math.round(x) + 0.5} ${plot.y}v${plot.height}`,
      stroke: pen.color("muted"),
      "stroke-dasharray": "2 3",
    });
    const near = x > plot.x + plot.width * 0.6;
    const room = near ? x - plot.x - 5 : plot.x + plot.width - x - 5;
    svg += pen.text(near ? x - 5 : x + 5, plot.y + 10, label ?? "", {
      anchor: near ? "end" : "start",
      fill: "muted",
      size: 11,
      max: room,
    });
  }
  return svg && tag("g", { class: "acumen-annotations" }, svg);
}

function placeOf(
  description: Description,
  layout: Layout,
  at: string | number,
  positions: (number | null)[],
): number | null {
  const { x } = description;
  if (x?.kind !== "time") {
    const index = x?.values?.findIndex((value) => value === at) ?? -1;
    return index < 0 ? null : positions[index];
  }
  const instant = typeof at === "number" ? at : Date.parse(at);
  const starts = x.starts!.map((text) => Date.parse(text));
  const index = starts.reduce((found, start, one) => (start <= instant ? one : found), -1);
  if (index < 0 || !(instant <= Date.parse(x.ends![x.ends!.length - 1]))) return null;
  const [from, to] = [positions[index]!, positions[index + 1]];
  if (layout.band || typeof to !== "number") return from;
  return from + ((instant - starts[index]) / (starts[index + 1] - starts[index])) * (to - from);
}

function indexAxis(pen: Pen, layout: Layout): string {
  const { description, plot, positions, band } = layout;
  const { x } = description;
  if (!x || !positions.length) return "";
  if (x.kind === "time") {
    const starts = x.starts!.map((text) => Date.parse(text));
    return timeAxis(pen, x, plot, (index, instant) => {
      const from = positions[index] ?? plot.x;
      const to = positions[index + 1];
      if (band || typeof to !== "number") return from;
      return from + ((instant - starts[index]) / (starts[index + 1] - starts[index])) * (to - from);
    });
  }
  if (band === 0) {
    const values = x.values!.filter((value) => typeof value === "number");
    const [low, high] = extremes(values);
    const scale = scaleOf(
      pen,
      values,
      {
        kind: "number",
        name: "",
        format: { style: "number" },
        integers: false,
        min: low,
        max: high > low ? high : low + 1,
      },
      false,
      Math.max(2, Math.floor(plot.width / 70)),
    );
    if (high > low) return numberAxis(pen, scale, plot);
    return bandAxis(pen, [String(low)], plot, false);
  }
  const names =
    x.kind === "number" && x.names!.every((name, index) => name === String(x.values![index]))
      ? x.values!.map((value, index) =>
          typeof value === "number" ? pen.writer.full(value) : x.names![index],
        )
      : x.names!;
  return bandAxis(pen, names, plot, x.kind === "number");
}

function captions(pen: Pen, layout: Layout): string {
  const { description, panels } = layout;
  if (panels.length > 1) {
    return panels
      .map(({ members, plot }) => {
        let x = plot.x;
        return members
          .map((member) => {
            const one = description.series[member];
            const max = plot.x + plot.width - x - 14;
            if (one.role === "previous" || max < 30) return "";
            const fill = seriesColor(pen, one, member);
            const dot = tag("circle", { cx: x + 4, cy: plot.y - 10, r: 4, fill });
            const name = pen.text(x + 14, plot.y - 6, one.name, { bold: true, max });
            x += pen.measure(one.name, SIZE, true) + 32;
            return dot + name;
          })
          .join("");
      })
      .join("");
  }
  const name = description.y?.name ?? "";
  if (!name || pen.height < 220) return "";
  return pen.text(layout.plot.x, layout.plot.y - 8, cut(name, layout.plot.width, 11, false, pen.measure), {
    size: 11,
    fill: "muted",
  });
}

/** Lines, areas and columns with their axes and legend. */
export function cartesian(pen: Pen, description: Description, box: Box): Marks {
  const { series } = description;
  const panelled = series.some((one) => one.panel);
  const direct = directWidth(pen, description, box);
  const plotRight = (width: number) => box.x + box.width - (width || (isBar(description) ? 2 : 6));
  let layout = layoutOf(pen, description, box, plotRight(direct));
  let names = direct ? endLabels(pen, description, layout, box.x + box.width) : null;
  if (names === null && series.length > 1 && !panelled) {
    const made = legend(pen, series, box);
    names = made.svg;
    layout = layoutOf(pen, description, made.box, plotRight(0));
  }
  const { panels, positions, ranges } = layout;
  let svg =
    captions(pen, layout) +
    panels.map((panel) => valueAxis(pen, panel.scale, panel.plot)).join("") +
    indexAxis(pen, layout);
  for (const panel of panels) {
    if (isBar(description)) svg += drawColumns(pen, layout, panel);
    else
      svg += [...panel.members]
        .reverse()
        .map((member) => drawLine(pen, layout, panel, member))
        .join("");
  }
  svg += drawAnnotations(pen, layout) + (names ?? "");
  const points = series.map((_, member) => {
    const panel = panels.find((one) => one.members.includes(member));
    return ranges[member].map((range) =>
      range && panel
        ? round(place(panel.scale, range[1], panel.plot.y + panel.plot.height, panel.plot.y))
        : null,
    );
  });
  return {
    svg,
    plot: layout.plot,
    orientation: "vertical",
    positions: positions.map((x) => (x === null ? null : round(x))),
    points,
  };
}

/** Whether names of categories fit under columns, without being cut. */
export function fitsUpright(pen: Pen, description: Description, box: Box): boolean {
  const names = description.x?.names ?? [];
  const step = (box.width - 40) / Math.max(1, names.length);
  return widest(pen, names, SIZE) <= step - 6;
}
