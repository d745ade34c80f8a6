// Pies and gauges.
import { arc, pie as pieLayout } from "d3-shape";
import { widest } from "./axes.ts";
import { NONE, type Marks } from "./cartesian.ts";
import { seriesColor, SIZE, type Box, type Pen } from "./pen.ts";
import { round, tag } from "./svg.ts";
import type { Description } from "./types.ts";

interface Slice {
  index: number;
  name: string;
  value: number;
  color: string;
}

function slicesOf(pen: Pen, description: Description): Slice[] {
  const { x, series } = description;
  const values = series[0]?.values ?? [];
  return values.map((value, index) => {
    const own = {
      name: x!.names![index],
      key: [],
      values: [],
      ...(x?.other === index ? { role: "other" as const } : {}),
    };
    return {
      index,
      name: x!.names![index],
      value: Math.max(0, value ?? 0),
      color: seriesColor(pen, own, index),
    };
  });
}

function sharesOf(pen: Pen, slices: Slice[]): string[] {
  return pen.writer.shares(slices.map((slice) => slice.value));
}

function valuesOf(pen: Pen, description: Description, slices: Slice[]): string[] {
  return pen.writer.alike(
    slices.map((slice) => slice.value),
    description.y?.format,
  );
}

function ring(
  pen: Pen,
  description: Description,
  slices: Slice[],
  cx: number,
  cy: number,
  radius: number,
): string {
  const total = slices.reduce((sum, slice) => sum + slice.value, 0);
  const shares = sharesOf(pen, slices);
  const shape = arc<{ startAngle: number; endAngle: number; padAngle: number }>()
    .innerRadius(radius * 0.62)
    .outerRadius(radius)
    .cornerRadius(2);
  const arcs = pieLayout<Slice>()
    .value((slice) => slice.value)
    .sort(null)
    .padAngle(slices.length > 1 ? 0.012 : 0)(slices);
  const written = (value: number) => pen.writer.full(value, description.y?.format);
  const marks = arcs.map((one) => {
    const { data } = one;
    if (!data.value && !pen.interactive) return "";
    const text = () => `${data.name}: ${written(data.value)}, ${shares[data.index]}`;
    return tag("path", {
      class: "acumen-slice",
      d: shape(one) ?? "",
      fill: data.color,
      ...pen.mark(0, data.index, text),
    });
  });
  let svg = tag("g", { class: "acumen-series", transform: `translate(${cx} ${cy})` }, marks.join(""));
  if (description.additive && radius > 50) {
    const text = pen.writer.short(total, description.y?.format);
    const size = Math.min(26, radius * 0.3, (radius * 1.05) / Math.max(0.1, pen.measure(text, 1, true)));
    svg += pen.text(cx, cy + size * 0.2, text, {
      anchor: "middle",
      size: Math.round(size * 10) / 10,
      bold: true,
    });
    svg += pen.text(cx, cy + size * 0.2 + 16, pen.words.total, {
      anchor: "middle",
      fill: "muted",
      size: 11,
      max: radius * 1.1,
    });
  }
  return svg;
}

function list(pen: Pen, description: Description, slices: Slice[], box: Box): string {
  const rows = Math.min(slices.length, Math.max(1, Math.floor(box.height / 18)));
  const row = Math.min(24, box.height / rows);
  const top = box.y + Math.max(0, (box.height - row * rows) / 2);
  const shares = sharesOf(pen, slices);
  const values = valuesOf(pen, description, slices);
  const share = widest(pen, shares);
  const number = box.width > 190 ? widest(pen, values) + 14 : 0;
  let svg = "";
  for (let at = 0; at < rows; at++) {
    const y = top + row * at + row / 2;
    if (at === rows - 1 && rows < slices.length) {
      svg += pen.text(box.x + 18, y + 4, pen.words.more.replace("{n}", String(slices.length - at)), {
        fill: "muted",
        max: box.width - 18,
      });
      break;
    }
    svg += tag("rect", { x: box.x, y: y - 5, width: 10, height: 10, rx: 2.5, fill: slices[at].color });
    svg += pen.text(box.x + 18, y + 4, slices[at].name, { max: box.width - 18 - share - number - 10 });
    if (number)
      svg += pen.text(box.x + box.width - share - 14, y + 4, values[at], { anchor: "end", fill: "muted" });
    svg += pen.text(box.x + box.width, y + 4, shares[at], { anchor: "end" });
  }
  return tag("g", { class: "acumen-legend" }, svg);
}

/** A ring with the list of its parts beside it, or below where it is narrow. */
export function pie(pen: Pen, description: Description, box: Box): Marks {
  const slices = slicesOf(pen, description);
  const names =
    widest(
      pen,
      slices.map((slice) => slice.name),
    ) + 18;
  const values = widest(pen, valuesOf(pen, description, slices));
  const wanted = names + values + 70;
  const beside = box.width > 340 || box.height < 180;
  if (beside) {
    const size = Math.min(box.height, box.width * 0.5);
    const width = Math.min(Math.max(90, wanted), box.width - size - 28, 360);
    const left = box.x + Math.max(0, (box.width - size - 28 - width) / 2);
    const svg = ring(pen, description, slices, left + size / 2, box.y + box.height / 2, size / 2);
    const beneath = { x: left + size + 28, y: box.y, width, height: box.height };
    return { ...NONE, svg: svg + (width > 60 ? list(pen, description, slices, beneath) : "") };
  }
  const below = Math.min(slices.length * 20, box.height * 0.45);
  const size = Math.min(box.width, box.height - below - 14);
  const svg = ring(pen, description, slices, box.x + box.width / 2, box.y + size / 2, size / 2);
  return {
    ...NONE,
    svg:
      svg +
      list(pen, description, slices, { x: box.x, y: box.y + size + 14, width: box.width, height: below }),
  };
}

interface Dial {
  cx: number;
  cy: number;
  radius: number;
  width: number;
  /** Where a value stands on the ring; 0 is the top. */
  to(value: number): number;
}

/** How far the ring goes down at either side. */
const OPEN = Math.PI * 0.6;
/** How far the ring reaches below its middle, of its radius. */
const BELOW = -Math.cos(OPEN);

function dialOf(description: Description, box: Box): Dial {
  const { min, max } = description.gauge!;
  const radius = Math.max(10, Math.min(box.width / 2 - 4, (box.height - 24) / (1 + BELOW), 180));
  const share = (value: number) => Math.min(1, Math.max(0, (value - min) / (max - min)));
  return {
    radius,
    cx: box.x + box.width / 2,
    cy: box.y + radius + Math.max(0, (box.height - 24 - radius * (1 + BELOW)) / 2),
    width: Math.max(6, radius * 0.18),
    to: (value) => -OPEN + 2 * OPEN * share(value),
  };
}

function drawDial(pen: Pen, description: Description, dial: Dial, written: string): string {
  const { value, target } = description.gauge!;
  const { radius, width, to } = dial;
  const shape = arc<{ from: number; to: number }>()
    .innerRadius(radius - width)
    .outerRadius(radius)
    .cornerRadius(width / 2)
    .startAngle((one) => one.from)
    .endAngle((one) => one.to);
  const path = (end: number, fill: string, more = {}) =>
    tag("path", { d: shape({ from: -OPEN, to: end }) ?? "", fill, ...more });
  const mark = pen.mark(0, 0, () => written);
  let marks = path(OPEN, pen.color("track"));
  if (value !== null && to(value) > -OPEN)
    marks += path(Math.max(to(value), -OPEN + 0.02), pen.color("accent"), mark);
  if (target !== undefined) {
    const turn = to(target) - Math.PI / 2;
    const end = (one: number) => `${round(Math.cos(turn) * one)} ${round(Math.sin(turn) * one)}`;
    const d = `M${end(radius - width - 4)}L${end(radius + 3)}`;
    marks += tag("path", { d, stroke: pen.color("text"), "stroke-width": 2.5, "stroke-linecap": "round" });
  }
  return tag(
    "g",
    { class: "acumen-series", transform: `translate(${round(dial.cx)} ${round(dial.cy)})` },
    marks,
  );
}

/** The least and the greatest value below the ends of the ring, and the width between them. */
function ends(pen: Pen, description: Description, dial: Dial, box: Box) {
  const { min, max } = description.gauge!;
  const middle = dial.radius - dial.width / 2;
  const across = Math.sin(OPEN) * middle;
  const y = dial.cy + middle * BELOW + dial.width / 2 + 15;
  const style = { anchor: "middle", fill: "muted", max: Math.min(across * 2, box.width / 2) - 8 } as const;
  const [low, high] = pen.writer.ticks([min, max], description.y?.format);
  const [left, right] = [low, high].map((text) => pen.measure(text, SIZE, false) / 2);
  const svg =
    pen.text(Math.max(dial.cx - across, box.x + left), y, low, style) +
    pen.text(Math.min(dial.cx + across, box.x + box.width - right), y, high, style);
  const wide = Math.max(left, right);
  return { svg, y, between: 2 * Math.min(across, box.width / 2 - wide) - 2 * wide - 8 };
}

/** Half a ring, filled as far as the value goes. */
export function gauge(pen: Pen, description: Description, box: Box): Marks {
  const { value, target, start } = description.gauge!;
  const format = description.y?.format;
  const dial = dialOf(description, box);
  const written = value === null ? "–" : pen.writer.full(value, format);
  const inside = (dial.radius - dial.width) * 1.5;
  const fit = (text: string) =>
    Math.min(44, dial.radius * 0.42, inside / Math.max(0.1, pen.measure(text, 1, true)));
  const text = fit(written) < 16 && value !== null ? pen.writer.short(value, format) : written;
  const size = Math.round(fit(text) * 10) / 10;
  const y = dial.cy + size * 0.3;
  let svg = drawDial(pen, description, dial, written);
  svg += pen.text(dial.cx, y, text, { anchor: "middle", size, bold: true });
  let under = target === undefined ? "" : `${pen.words.target} ${pen.writer.full(target, format)}`;
  if (start && description.x) under = pen.writer.moment(Date.parse(start), description.x.interval ?? null);
  const below = ends(pen, description, dial, box);
  // In a small dial it stands between the texts at the ends, or not at all.
  if (under && (y + 34 < below.y || pen.measure(under, 11, false) < below.between))
    svg += pen.text(dial.cx, y + 21, under, { anchor: "middle", fill: "muted", size: 11, max: inside });
  return { ...NONE, svg: svg + below.svg };
}
