// Heat maps: groups over time, two groups, or one series laid out as a calendar.
import { TIME_AXIS_HEIGHT, bandAxis, timeAxis, widest } from "./axes.ts";
import { NONE, type Marks } from "./cartesian.ts";
import { seriesColor, SIZE, type Box, type Pen } from "./pen.ts";
import { round, tag } from "./svg.ts";
import type { Description, IndexAxis } from "./types.ts";

interface Cell {
  column: number;
  row: number;
  series: number;
  index: number;
  value: number | null;
}

interface Grid {
  columns: IndexAxis;
  rows: string[];
  cells: Cell[];
}

const DAY = 86_400_000;

function axisOf(starts: number[], step: number, like: IndexAxis, interval: string): IndexAxis {
  const iso = (time: number) => new Date(time).toISOString();
  return {
    ...like,
    interval,
    starts: starts.map(iso),
    ends: starts.map((start, at) => iso(starts[at + 1] ?? start + step)),
  };
}

/** Days to the right, and hours downwards. */
function hours(pen: Pen, axis: IndexAxis, values: (number | null)[]): Grid {
  const { zone } = pen.writer;
  const days = new Map<number, number>();
  const starts: number[] = [];
  const cells: Cell[] = [];
  axis.starts!.forEach((text, index) => {
    const start = Date.parse(text);
    const wall = start + zone.offset(start);
    const day = Math.floor(wall / DAY);
    if (!days.has(day)) {
      days.set(day, starts.length);
      starts.push(start);
    }
    const row = Math.floor((wall - day * DAY) / 3_600_000);
    const same = cells.find((cell) => cell.column === days.get(day) && cell.row === row);
    // an hour that comes twice, when clocks are put back, is one cell
    if (same) same.value = same.value === null ? values[index] : same.value + (values[index] ?? 0);
    else cells.push({ column: days.get(day)!, row, series: 0, index, value: values[index] });
  });
  const label = (hour: number) =>
    pen.writer.date(Date.UTC(2024, 0, 1, hour) - zone.offset(Date.UTC(2024, 0, 1, hour)), {
      hour: "numeric",
    });
  return {
    columns: axisOf(starts, DAY, axis, "daily"),
    rows: Array.from({ length: 24 }, (_, hour) => label(hour)),
    cells,
  };
}

/** Weeks to the right, and days of the week downwards. */
function weekdays(pen: Pen, axis: IndexAxis, values: (number | null)[]): Grid {
  const { zone } = pen.writer;
  const weeks = new Map<number, number>();
  const starts: number[] = [];
  const cells = axis.starts!.map((text, index): Cell => {
    const start = Date.parse(text);
    const day = Math.floor((start + zone.offset(start)) / DAY);
    // day 0 was a Thursday: weeks begin on Monday here
    const week = Math.floor((day + 3) / 7);
    if (!weeks.has(week)) {
      weeks.set(week, starts.length);
      starts.push(start);
    }
    return { column: weeks.get(week)!, row: (day + 3) % 7, series: 0, index, value: values[index] };
  });
  const label = (day: number) =>
    pen.writer.date(Date.UTC(2024, 0, 1 + day, 12) - zone.offset(Date.UTC(2024, 0, 1 + day, 12)), {
      weekday: "short",
    });
  return {
    columns: axisOf(starts, 7 * DAY, axis, "weekly"),
    rows: Array.from({ length: 7 }, (_, day) => label(day)),
    cells,
  };
}

function gridOf(pen: Pen, description: Description): Grid {
  const { series } = description;
  const x = description.x!;
  if (x.kind === "time" && series.length === 1 && x.starts!.length > 7) {
    const lengths = x
      .starts!.map((start, index) => Date.parse(x.ends![index]) - Date.parse(start))
      .sort((a, b) => a - b);
    const usual = lengths[lengths.length >> 1];
    const days = (Date.parse(x.starts![x.starts!.length - 1]) - Date.parse(x.starts![0])) / DAY;
    if (usual === 3_600_000 && days > 1.5) return hours(pen, x, series[0].values);
    if (usual > 0.9 * DAY && usual < 1.1 * DAY && days >= 13) return weekdays(pen, x, series[0].values);
  }
  return {
    columns: x,
    rows: series.map((one) => one.name || description.y?.name || ""),
    cells: series.flatMap((one, row) =>
      one.values.map((value, column): Cell => ({ column, row, series: row, index: column, value })),
    ),
  };
}

function key(pen: Pen, [from, to]: string[], description: Description, box: Box): string {
  const color = seriesColor(pen, { name: "", key: [], values: [], color: description.series[0]?.color }, 0);
  const left = box.x + box.width - pen.measure(to, 11, false) - 82;
  let svg = pen.text(box.x + box.width, box.y + 9, to, { anchor: "end", size: 11, fill: "muted" });
  for (let step = 0; step < 5; step++) {
    svg += tag("rect", {
      x: left + 6 + step * 14,
      y: box.y,
      width: 13,
      height: 10,
      rx: 2,
      fill: color,
      "fill-opacity": opacity((step + 0.5) / 5),
    });
  }
  const style = { anchor: "end", size: 11, fill: "muted", max: left - box.x } as const;
  return svg + pen.text(left, box.y + 9, from, style);
}

function opacity(share: number): number {
  return Math.round((0.08 + 0.92 * share) * 100) / 100;
}

interface Field {
  description: Description;
  grid: Grid;
  plot: Box;
  /** Width of a column, height of a row, and what is left between cells. */
  step: number;
  row: number;
  gap: number;
  shown: number;
  low: number;
  high: number;
  labelled: boolean;
  /** The value of each cell, and the least and the greatest. */
  written: string[];
}

function fieldOf(pen: Pen, description: Description, whole: Box): Field {
  const grid = gridOf(pen, description);
  const { columns, rows, cells } = grid;
  const present = cells.flatMap((cell) => (cell.value === null ? [] : [cell.value]));
  const box = { ...whole, y: whole.y + 18, height: whole.height - 18 };
  const left = Math.min(box.width * 0.38, widest(pen, rows) + 10);
  const height = Math.max(8, box.height - (columns.kind === "time" ? TIME_AXIS_HEIGHT : 26));
  const shown = Math.min(rows.length, Math.max(1, Math.floor(height / 8)));
  const step = (box.width - left) / Math.max(1, (columns.starts ?? columns.names ?? []).length);
  const row = Math.min(height / Math.max(1, shown), Math.max(36, step));
  const low = present.reduce((least, value) => Math.min(least, value), 0);
  const high = present.reduce((most, value) => Math.max(most, value), 0);
  const few = cells.length <= 200 && row >= 18;
  const values = [...(few ? cells.map((cell) => cell.value ?? 0) : []), low, high];
  const written = pen.writer.alike(values, description.y?.format);
  return {
    description,
    grid,
    plot: { x: box.x + left, y: box.y, width: box.width - left, height: row * shown },
    step,
    row,
    gap: step > 6 && row > 6 ? 2 : step > 2 ? 0.5 : 0,
    shown,
    low,
    high,
    labelled: few && widest(pen, written.slice(0, -2), 11) < step - 8,
    written,
  };
}

function drawCell(pen: Pen, field: Field, cell: Cell): string {
  const { description, grid, plot, step, row, gap, low, high } = field;
  const { value } = cell;
  if (cell.row >= field.shown || (value === null && !pen.interactive)) return "";
  const format = description.y?.format;
  const strength = opacity(Math.abs(value ?? 0) / (Math.max(-low, high) || 1));
  const name = (value ?? 0) < 0 ? "negative" : (description.series[0]?.color ?? "accent");
  const mark = pen.mark(cell.series, cell.index, () => {
    const where = `${grid.rows[cell.row]}, ${nameOf(pen, grid.columns, cell.column)}`;
    return `${where}: ${value === null ? pen.words.none : pen.writer.full(value, format)}`;
  });
  const [x, y] = [plot.x + cell.column * step + gap / 2, plot.y + cell.row * row + gap / 2];
  const [width, height] = [Math.max(0.5, step - gap), Math.max(0.5, row - gap)];
  const fill = value === null ? "none" : pen.color(name);
  // as lines are: dashed until it is over
  const open = value !== null && description.series[cell.series].open?.[cell.index];
  const edge = open ? { stroke: pen.color(name), "stroke-dasharray": "3 2", "stroke-width": 1 } : {};
  const shape = { x, y, width, height, rx: gap >= 2 ? 2 : null, fill, "fill-opacity": strength, ...edge };
  const rect = tag("rect", { class: "acumen-cell", ...shape, ...mark });
  if (!field.labelled || value === null) return rect;
  const style = { anchor: "middle", size: 11, fill: pen.over(name, strength) } as const;
  return rect + pen.text(x + width / 2, y + height / 2 + 4, field.written[grid.cells.indexOf(cell)], style);
}

/** Cells whose colour is as strong as their value is large. */
export function heatmap(pen: Pen, description: Description, whole: Box): Marks {
  const field = fieldOf(pen, description, whole);
  const { plot, step, row } = field;
  const { columns, rows, cells } = field.grid;
  const every = Math.max(1, Math.ceil((SIZE + 2) / row));
  const style = { anchor: "end", fill: "muted", max: plot.x - whole.x - 8, class: "acumen-tick" } as const;
  const labels = rows.slice(0, field.shown).map((name, index) => {
    return index % every ? "" : pen.text(plot.x - 8, plot.y + row * (index + 0.5) + 4, name, style);
  });
  const axis =
    columns.kind === "time"
      ? timeAxis(pen, columns, plot, (index) => plot.x + (index + 0.5) * step)
      : bandAxis(pen, columns.names!, plot, columns.kind === "number" || step < 30);
  const legend = pen.height >= 140 ? key(pen, field.written.slice(-2), description, whole) : "";
  const drawn = cells.map((cell) => drawCell(pen, field, cell)).join("");
  return {
    ...NONE,
    svg:
      legend +
      tag("g", { class: "acumen-axis", "aria-hidden": "true" }, labels.join("")) +
      axis +
      tag("g", { class: "acumen-series" }, drawn),
  };
}

function nameOf(pen: Pen, columns: IndexAxis, index: number): string {
  const start = columns.starts?.[index];
  return start
    ? pen.writer.moment(Date.parse(start), columns.interval ?? null)
    : (columns.names?.[index] ?? String(round(index)));
}
