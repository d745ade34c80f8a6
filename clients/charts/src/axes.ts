// Axes: the scale of values with its ticks, and the labels of instants and categories without collisions.
import { bisectRight, nice, ticks } from "d3-array";
import { SIZE, type Box, type Pen } from "./pen.ts";
import { tag } from "./svg.ts";
import { timeTicks, type Ticks } from "./time.ts";
import type { IndexAxis, NumberFormat, ValueAxis } from "./types.ts";

export interface Scale {
  low: number;
  high: number;
  ticks: number[];
  labels: string[];
}

const TIME_STEPS = [
  1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400,
];
const UNITS = { ms: 0.001, s: 1, min: 60, h: 3600 };

/** Round steps of durations: of 60 and 24, not of ten. */
function durationTicks(
  low: number,
  high: number,
  count: number,
  unit: number,
): { low: number; high: number; ticks: number[] } | null {
  const wanted = ((high - low) * unit) / Math.max(1, count);
  const step = TIME_STEPS.find((one) => one >= wanted * 0.7);
  if (wanted < 1 || step === undefined) return null;
  const size = step / unit;
  const first = Math.floor(low / size);
  const last = Math.ceil(high / size);
  return {
    low: first * size,
    high: last * size,
    ticks: Array.from({ length: last - first + 1 }, (_, index) => (first + index) * size),
  };
}

/** A scale that holds all values; `zero` makes it begin (or end) at zero. */
export function scaleOf(
  pen: Pen,
  values: Iterable<number | null>,
  axis: ValueAxis,
  zero: boolean,
  count: number,
): Scale {
  let low = Infinity;
  let high = -Infinity;
  for (const value of values) {
    if (value === null) continue;
    if (value < low) low = value;
    if (value > high) high = value;
  }
  if (low > high) [low, high] = [0, 0];
  // beyond that the steps between ticks are no doubles
  [low, high] = [Math.max(-1e300, Math.min(1e300, low)), Math.max(-1e300, Math.min(1e300, high))];
  if (zero) [low, high] = [Math.min(0, low), Math.max(0, high)];
  if (low === high)
    [low, high] =
      low === 0
        ? [0, 1]
        : low > 0
          ? [zero ? 0 : low * 0.9, high * (zero ? 1 : 1.1)]
          : [low * 1.1, high * 0.9];
  // nor have the least of doubles
  if (high - low < 1e-300) high = low + 1;
  const { format } = axis;
  const unit = format.style === "duration" ? UNITS[format.unit ?? "s"] : 0;
  const made = unit ? durationTicks(low, high, count, unit) : null;
  // differences below the precision of doubles have no ticks
  const few = high - low > Math.max(Math.abs(low), Math.abs(high)) * 1e-13;
  const [from, to] = made ? [made.low, made.high] : few ? nice(low, high, count) : [low, high];
  low = axis.min ?? from;
  high = axis.max ?? to;
  if (!(high > low)) high = low + Math.max(1, Math.abs(low) * 0.1);
  let list = made && axis.min === undefined && axis.max === undefined ? made.ticks : ticks(low, high, count);
  if (axis.integers) list = list.filter((tick) => Number.isInteger(tick));
  if (list.length === 0) list = [low];
  return { low, high, ticks: list, labels: pen.writer.ticks(list, format) };
}

export function place(scale: Scale, value: number, from: number, to: number): number {
  const share = (Math.min(scale.high, Math.max(scale.low, value)) - scale.low) / (scale.high - scale.low);
  return from + share * (to - from);
}

/** Horizontal lines with their labels to the left. */
export function valueAxis(pen: Pen, scale: Scale, plot: Box): string {
  let lines = "";
  let labels = "";
  const zero = scale.low < 0 || scale.high <= 0 ? 0 : scale.low;
  const between = plot.height / Math.max(1, scale.ticks.length - 1);
  const every = Math.max(1, Math.ceil(13 / between));
  scale.ticks.forEach((tick, index) => {
    const y = Math.round(place(scale, tick, plot.y + plot.height, plot.y)) + 0.5;
    const stroke = tick === zero ? pen.color("axis") : pen.color("grid");
    lines += tag("path", { d: `M${plot.x} ${y}h${Math.round(plot.width)}`, stroke });
    if (index % every === 0)
      labels += pen.text(plot.x - 8, y + 4, scale.labels[index], {
        anchor: "end",
        fill: "muted",
        class: "acumen-tick",
        max: plot.x - 10,
      });
  });
  return tag("g", { class: "acumen-axis", "aria-hidden": "true" }, lines + labels);
}

export function widest(pen: Pen, labels: string[], size = SIZE): number {
  return labels.reduce((most, label) => Math.max(most, pen.measure(label, size, false)), 0);
}

interface Label {
  at: number;
  text: string;
}

/** Whether centred labels, kept inside the picture, do not touch. */
function apart(pen: Pen, labels: Label[], gap: number): boolean {
  let end = -Infinity;
  for (const { at, text } of labels) {
    const [left, right] = span(pen, at, text);
    if (left < end + gap) return false;
    end = right;
  }
  return true;
}

function span(pen: Pen, at: number, text: string): [number, number] {
  // a longer text is cut
  const width = Math.min(pen.measure(text, SIZE, false), pen.width - 4);
  const left = Math.min(Math.max(2, at - width / 2), pen.width - width - 2);
  return [left, left + width];
}

function centred(pen: Pen, { at, text }: Label, y: number): string {
  const [left, right] = span(pen, at, text);
  return pen.text((left + right) / 2, y, text, {
    anchor: "middle",
    fill: "muted",
    class: "acumen-tick",
    max: pen.width - 4,
  });
}

/** The second line of labels: where it changes, and at the first tick if there is room. */
function changes(pen: Pen, labels: Label[]): Label[] {
  const changed = labels.filter(
    (label, index) => label.text && (index === 0 || label.text !== labels[index - 1].text),
  );
  // the part of a month before the first full one gives way to it
  return changed.length > 1 && !apart(pen, changed.slice(0, 2), 8) ? changed.slice(1) : changed;
}

export const TIME_AXIS_HEIGHT = 38;

/** Labels of instants in two lines, such as days over months; `where` is the place of an instant. */
export function timeAxis(
  pen: Pen,
  axis: IndexAxis,
  plot: Box,
  where: (index: number, instant: number) => number,
): string {
  const starts = axis.starts!.map((text) => Date.parse(text));
  const ends = axis.ends!.map((text) => Date.parse(text));
  if (!starts.length || starts.some(Number.isNaN)) return "";
  const indexOf = (instant: number) => Math.max(0, bisectRight(starts, instant) - 1);
  const few = (ticks: Ticks) => ticks.step === 1 && ticks.instants.length <= 14;
  const lines = (ticks: Ticks) =>
    ticks.instants.map((instant) => {
      const [first, line] = pen.writer.tick(instant, ticks.unit, few(ticks));
      return { at: where(indexOf(instant), instant), first, line };
    });
  const found = timeTicks(starts, ends, pen.writer.zone, (ticks) => {
    const made = lines(ticks);
    return (
      apart(
        pen,
        made.map(({ at, first }) => ({ at, text: first })),
        10,
      ) &&
      apart(
        pen,
        changes(
          pen,
          made.map(({ at, line }) => ({ at, text: line })),
        ),
        8,
      )
    );
  });
  let marks = "";
  let texts = "";
  const labels = lines(found);
  for (const { at, first } of labels) {
    marks += `M${Math.round(at) + 0.5} ${Math.round(plot.y + plot.height) + 1}v4`;
    texts += centred(pen, { at, text: first }, plot.y + plot.height + 19);
  }
  let before: Label | null = null;
  for (const label of changes(
    pen,
    labels.map(({ at, line }) => ({ at, text: line })),
  )) {
    const room = plot.y + plot.height + 36 <= pen.height;
    if (!room || (before && !apart(pen, [before, label], 8))) continue;
    texts += centred(pen, label, plot.y + plot.height + 34);
    before = label;
  }
  return tag(
    "g",
    { class: "acumen-axis", "aria-hidden": "true" },
    tag("path", { d: marks, stroke: pen.color("axis") }) + texts,
  );
}

/** Labels below bands: all of them cut to their band, or every second, third … of numbers. */
export function bandAxis(pen: Pen, names: string[], plot: Box, thin: boolean): string {
  const step = plot.width / Math.max(1, names.length);
  let every = 1;
  if (thin) {
    const at = (index: number) => plot.x + step * (index + 0.5);
    const some = () =>
      names.map((text, index) => ({ at: at(index), text })).filter((_, index) => index % every === 0);
    while (every < names.length && !apart(pen, some(), 8)) every++;
  }
  let texts = "";
  names.forEach((text, index) => {
    if (index % every) return;
    const at = plot.x + step * (index + 0.5);
    if (thin) texts += centred(pen, { at, text }, plot.y + plot.height + 19);
    else
      texts += pen.text(at, plot.y + plot.height + 19, text, {
        anchor: "middle",
        fill: "muted",
        max: step - 6,
        class: "acumen-tick",
      });
  });
  return tag("g", { class: "acumen-axis", "aria-hidden": "true" }, texts);
}

/** Ticks of numbers along the bottom. */
export function numberAxis(pen: Pen, scale: Scale, plot: Box, format?: NumberFormat): string {
  const labels = format ? pen.writer.ticks(scale.ticks, format) : scale.labels;
  let every = 1;
  const all = scale.ticks.map((tick, index) => ({
    at: place(scale, tick, plot.x, plot.x + plot.width),
    text: labels[index],
  }));
  while (
    every < all.length &&
    !apart(
      pen,
      all.filter((_, index) => index % every === 0),
      10,
    )
  )
    every++;
  const texts = all
    .filter((_, index) => index % every === 0)
    .map((label) => centred(pen, label, plot.y + plot.height + 19));
  return tag("g", { class: "acumen-axis", "aria-hidden": "true" }, texts.join(""));
}
