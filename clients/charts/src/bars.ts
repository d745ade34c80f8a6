// Bars to the right, a row for each category: long names have room.
import { numberAxis, place, scaleOf, widest, type Scale } from "./axes.ts";
import { barPath, isStacked, rangesOf, type Marks } from "./cartesian.ts";
import { legend, seriesColor, SIZE, type Box, type Pen } from "./pen.ts";
import { round, tag } from "./svg.ts";
import type { Description } from "./types.ts";

const ROW_MIN = 17;
const ROW_MAX = 54;

interface Rows {
  description: Description;
  names: string[];
  shown: number;
  row: number;
  plot: Box;
  scale: Scale;
  ranges: ([number, number] | null)[][];
  stacked: boolean;
  /** Whether each bar says its value. */
  labelled: boolean;
  /** What they say, series by series; of a stack its sum. */
  written: string[];
  lane: number;
  /** Room for the names. */
  left: number;
}

function total(description: Description, index: number): number {
  return description.series.reduce((sum, one) => sum + (one.values[index] ?? 0), 0);
}

function labelValues(description: Description, stacked: boolean, shown: number): number[] {
  const indices = Array.from({ length: shown }, (_, index) => index);
  if (stacked) return indices.map((index) => total(description, index));
  return description.series.flatMap((one) => indices.map((index) => one.values[index] ?? 0));
}

function namesOf(pen: Pen, description: Description): string[] {
  const { x } = description;
  if (x?.kind === "time")
    return x.starts!.map((start) => pen.writer.moment(Date.parse(start), x.interval ?? null));
  return x?.names ?? [];
}

function rowsOf(pen: Pen, description: Description, box: Box): Rows {
  const { series } = description;
  const stacked = isStacked(description);
  const names = namesOf(pen, description);
  const lanes = stacked ? 1 : series.length;
  const least = Math.max(ROW_MIN, lanes * 7 + 5);
  const room = Math.max(1, Math.floor(box.height / least));
  const shown = names.length <= room ? names.length : Math.max(1, Math.floor((box.height - 18) / least));
  const taken = box.height - (shown < names.length ? 18 : 0);
  let row = Math.min(ROW_MAX * (lanes > 1 ? 2 : 1), taken / Math.max(1, shown));
  let lane = Math.min(32, (row * 0.7) / lanes);
  const labelled = lane >= 9;
  const ranges = rangesOf(series, stacked);
  function* values() {
    for (const list of ranges) for (const range of list.slice(0, shown)) yield range?.[1] ?? null;
  }
  const bottom = labelled ? 0 : 26;
  if (!labelled) {
    row = Math.min(row, (taken - bottom) / Math.max(1, shown));
    lane = Math.min(32, (row * 0.7) / lanes);
  }
  const left = Math.min(box.width * 0.38, widest(pen, names.slice(0, shown)) + 10);
  const scale = scaleOf(
    pen,
    values(),
    description.y!,
    true,
    Math.max(2, Math.floor((box.width - left) / 90)),
  );
  const told = labelValues(description, stacked, shown);
  const written = labelled ? pen.writer.alike(told, description.y?.format) : [];
  const size = labelled ? widest(pen, written) + 8 : 12;
  const before = labelled && told.some((value) => value < 0) ? size : 0;
  const plot = {
    x: box.x + left + before,
    y: box.y,
    width: Math.max(10, box.width - left - before - size),
    height: row * shown,
  };
  const bounded = description.y?.max !== undefined || description.y?.min !== undefined;
  if (labelled && !bounded) {
    // without ticks the longest bar may take all the room
    const present = [0, ...values()].filter((value) => value !== null);
    scale.low = Math.min(...present);
    scale.high = Math.max(...present);
    if (scale.low === scale.high) scale.high = scale.low + 1;
  }
  return { description, names, shown, row, plot, scale, ranges, stacked, labelled, written, lane, left };
}

function drawRow(pen: Pen, rows: Rows, index: number): string {
  const { description, plot, scale, ranges, stacked, lane, row } = rows;
  const { series, x, y } = description;
  const lanes = stacked ? 1 : series.length;
  const top = plot.y + row * index + (row - lane * lanes) / 2;
  const to = (value: number) => place(scale, value, plot.x, plot.x + plot.width);
  const at = (member: number) => rows.written[member * rows.shown + index];
  let svg = "";
  series.forEach((one, member) => {
    const range = ranges[member][index];
    if (!range) {
      if (rows.labelled && !stacked)
        svg += pen.text(to(0) + 6, top + member * lane + lane / 2 + 4, "–", { fill: "muted" });
      return;
    }
    const from = to(range[0]);
    const end = to(range[1]);
    const width = Math.max(
      range[0] === range[1] ? 0 : 1,
      Math.abs(end - from) - (stacked && Math.abs(end - from) > 3 ? 1 : 0),
    );
    const left = end < from ? from - width : from;
    const height = Math.max(1, lanes > 1 && lane > 4 ? lane - 1 : lane);
    const single = series.length === 1 && x?.other === index;
    const color = single ? pen.color("series-other") : seriesColor(pen, one, member);
    const written = pen.writer.full(one.values[index]!, one.format ?? y?.format);
    const mark = pen.mark(
      member,
      index,
      () => `${[one.name, rows.names[index]].filter(Boolean).join(", ")}: ${written}`,
    );
    const inner = stacked && !isLast(rows, member, index);
    const d = barPath(
      left,
      top + (stacked ? 0 : member * lane),
      width,
      height,
      inner ? null : end < from ? "left" : "right",
    );
    if (width > 0 || pen.interactive) svg += tag("path", { class: "acumen-bar", d, fill: color, ...mark });
    if (rows.labelled && !stacked)
      svg += valueLabel(pen, rows, at(member), one.values[index]!, end, top + member * lane + height / 2);
  });
  if (rows.labelled && stacked) {
    const sum = total(description, index);
    const ends = series.map((_, member) => ranges[member][index]?.[1] ?? 0);
    svg += valueLabel(pen, rows, at(0), sum, to(Math.max(0, ...ends)), top + lane / 2);
  }
  return svg;
}

/** Whether nothing is stacked further out. */
export function isLast({ ranges }: { ranges: Rows["ranges"] }, member: number, index: number): boolean {
  const value = ranges[member][index]?.[1] ?? 0;
  return ranges.slice(member + 1).every((list) => {
    const other = list[index];
    return !other || other[0] === other[1] || other[1] < 0 !== value < 0;
  });
}

function valueLabel(pen: Pen, rows: Rows, text: string, value: number, end: number, middle: number): string {
  const size = rows.lane < 12 ? 10 : SIZE;
  const left = value < 0 && !rows.stacked;
  return pen.text(left ? end - 6 : end + 6, middle + size * 0.36, text, {
    anchor: left ? "end" : "start",
    size,
    max: left ? end - 8 : pen.width - end - 8,
  });
}

/** A row for each category, its name at the left and its value at the end of the bar. */
export function bars(pen: Pen, description: Description, whole: Box): Marks {
  const made =
    description.series.length > 1 ? legend(pen, description.series, whole) : { svg: "", box: whole };
  const rows = rowsOf(pen, description, made.box);
  const { names, shown, row, plot, scale } = rows;
  const zero = round(place(scale, 0, plot.x, plot.x + plot.width));
  let svg = made.svg;
  if (!rows.labelled) {
    const d = scale.ticks
      .map(
        (tick) =>
          `M${round(place(scale, tick, plot.x, plot.x + plot.width))} ${plot.y}v${round(plot.height)}`,
      )
      .join("");
    svg += tag("path", { d, stroke: pen.color("grid") }) + numberAxis(pen, scale, plot);
  }
  const edge = whole.x + rows.left - 8;
  let labels = "";
  for (let index = 0; index < shown; index++) {
    const middle = plot.y + row * (index + 0.5);
    labels += pen.text(edge, middle + 4, names[index], {
      anchor: "end",
      max: rows.left - 8,
      class: "acumen-tick",
    });
    svg += drawRow(pen, rows, index);
  }
  if (shown < names.length) {
    const more = pen.words.more.replace("{n}", String(names.length - shown));
    labels += pen.text(plot.x, whole.y + whole.height - 4, more, { fill: "muted", size: 11 });
  }
  svg += tag("path", { d: `M${zero} ${plot.y}v${round(plot.height)}`, stroke: pen.color("axis") }) + labels;
  const to = (value: number) => round(place(scale, value, plot.x, plot.x + plot.width));
  return {
    svg,
    plot,
    orientation: "horizontal",
    positions: names.map((_, index) => (index < shown ? round(plot.y + row * (index + 0.5)) : null)),
    points: rows.ranges.map((list) =>
      list.map((range, index) => (range && index < shown ? to(range[1]) : null)),
    ),
  };
}
