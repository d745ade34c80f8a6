// Pies and gauges.
import { arc, pie as pieLayout } from "d3-shape";
import { widest } from "./axes.ts";
import { NONE, type Marks } from "./cartesian.ts";
import { seriesColor, SIZE, type Box, type Pen } from "./pen.ts";
import { tag } from "./svg.ts";
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
    const own = { name: x!.names![index], key: [], values: [], ...(x?.other === index ? { role: "other" as const } : {}) };
    return { index, name: x!.names![index], value: Math.max(0, value ?? 0), color: seriesColor(pen, own, index) };
  });
}

function ring(pen: Pen, description: Description, slices: Slice[], cx: number, cy: number, radius: number): string {
  const total = slices.reduce((sum, slice) => sum + slice.value, 0);
  const shape = arc<{ startAngle: number; endAngle: number; padAngle: number }>()
    .innerRadius(radius * 0.62).outerRadius(radius).cornerRadius(2);
  const arcs = pieLayout<Slice>().value((slice) => slice.value).sort(null).padAngle(slices.length > 1 ? 0.012 : 0)(slices);
  const marks = arcs.map((one) => {
    const { data } = one;
    if (!data.value && !pen.interactive) return "";
    const text = () => `${data.name}: ${pen.writer.full(data.value, description.y?.format)}, ${pen.writer.percent(data.value / (total || 1))}`;
    return tag("path", { class: "acumen-slice", d: shape(one) ?? "", fill: data.color, ...pen.mark(0, data.index, text) });
  });
  let svg = tag("g", { class: "acumen-series", transform: `translate(${cx} ${cy})` }, marks.join(""));
  if (description.additive && radius > 50) {
    const text = pen.writer.short(total, description.y?.format);
    const size = Math.min(26, radius * 0.3, (radius * 1.05) / Math.max(0.1, pen.measure(text, 1, true)));
    svg += pen.text(cx, cy + size * 0.2, text, { anchor: "middle", size: Math.round(size * 10) / 10, bold: true });
    svg += pen.text(cx, cy + size * 0.2 + 16, pen.words.total, { anchor: "middle", fill: "muted", size: 11, max: radius * 1.1 });
  }
  return svg;
}

function list(pen: Pen, description: Description, slices: Slice[], box: Box): string {
  const total = slices.reduce((sum, slice) => sum + slice.value, 0) || 1;
  const rows = Math.min(slices.length, Math.max(1, Math.floor(box.height / 18)));
  const row = Math.min(24, box.height / rows);
  const top = box.y + Math.max(0, (box.height - row * rows) / 2);
  const shares = slices.map((slice) => pen.writer.percent(slice.value / total));
  const values = slices.map((slice) => pen.writer.short(slice.value, description.y?.format));
  const share = widest(pen, shares);
  const number = box.width > 190 ? widest(pen, values) + 14 : 0;
  let svg = "";
  for (let at = 0; at < rows; at++) {
    const y = top + row * at + row / 2;
    if (at === rows - 1 && rows < slices.length) {
      svg += pen.text(box.x + 18, y + 4, pen.words.more.replace("{n}", String(slices.length - at)), { fill: "muted", max: box.width - 18 });
      break;
    }
    svg += tag("rect", { x: box.x, y: y - 5, width: 10, height: 10, rx: 2.5, fill: slices[at].color });
    svg += pen.text(box.x + 18, y + 4, slices[at].name, { max: box.width - 18 - share - number - 10 });
    if (number) svg += pen.text(box.x + box.width - share - 14, y + 4, values[at], { anchor: "end", fill: "muted" });
    svg += pen.text(box.x + box.width, y + 4, shares[at], { anchor: "end" });
  }
  return tag("g", { class: "acumen-legend" }, svg);
}

/** A ring with the list of its parts beside it, or below where it is narrow. */
export function pie(pen: Pen, description: Description, box: Box): Marks {
  const slices = slicesOf(pen, description);
  const names = widest(pen, slices.map((slice) => slice.name)) + 18;
  const values = widest(pen, slices.map((slice) => pen.writer.short(slice.value, description.y?.format)));
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
  return { ...NONE, svg: svg + list(pen, description, slices, { x: box.x, y: box.y + size + 14, width: box.width, height: below }) };
}

/** Half a ring, filled as far as the value goes. */
export function gauge(pen: Pen, description: Description, box: Box): Marks {
  const { value, min, max, target, start } = description.gauge!;
  const angle = Math.PI * 0.6;
  // the ring reaches below its middle by the cosine of what is left open
  const below = -Math.cos(angle);
  const radius = Math.max(10, Math.min(box.width / 2 - 4, (box.height - 24) / (1 + below), 180));
  const cx = box.x + box.width / 2;
  const cy = box.y + radius + Math.max(0, (box.height - 24 - radius * (1 + below)) / 2);
  const share = (one: number) => Math.min(1, Math.max(0, (one - min) / (max - min)));
  const to = (one: number) => -angle + 2 * angle * share(one);
  const width = Math.max(6, radius * 0.18);
  const shape = arc<{ from: number; to: number }>().innerRadius(radius - width).outerRadius(radius).cornerRadius(width / 2)
    .startAngle((one) => one.from).endAngle((one) => one.to);
  const path = (from: number, end: number, fill: string, more = {}) => tag("path", { d: shape({ from, to: end }) ?? "", fill, ...more });
  let marks = path(-angle, angle, pen.color("track"));
  const written = value === null ? "–" : pen.writer.full(value, description.y?.format);
  if (value !== null && share(value) > 0) {
    const own = description.series[0]?.color ?? pen.color("accent");
    marks += path(-angle, Math.max(to(value), -angle + 0.02), own, pen.mark(0, 0, () => written));
  }
  if (target !== undefined) {
    const turn = to(target) - Math.PI / 2;
    const [c, s] = [Math.cos(turn), Math.sin(turn)];
    const ends = [radius - width - 4, radius + 3].map((one) => `${(c * one).toFixed(2)} ${(s * one).toFixed(2)}`);
    marks += tag("path", { d: `M${ends.join("L")}`, stroke: pen.color("text"), "stroke-width": 2.5, "stroke-linecap": "round" });
  }
  let svg = tag("g", { class: "acumen-series", transform: `translate(${cx.toFixed(2)} ${cy.toFixed(2)})` }, marks);
  const inside = (radius - width) * 1.5;
  const size = Math.min(44, radius * 0.42, inside / Math.max(0.1, pen.measure(written, 1, true)));
  const short = size < 16 && value !== null ? pen.writer.short(value, description.y?.format) : written;
  const fitting = Math.min(44, radius * 0.42, inside / Math.max(0.1, pen.measure(short, 1, true)));
  svg += pen.text(cx, cy + fitting * 0.3, short, { anchor: "middle", size: Math.round(fitting * 10) / 10, bold: true });
  const under = start && description.x ? pen.writer.moment(Date.parse(start), description.x.interval ?? null)
    : target !== undefined ? `${pen.words.target} ${pen.writer.full(target, description.y?.format)}` : "";
  if (under) {
    svg += pen.text(cx, cy + fitting * 0.3 + 18, under, { anchor: "middle", fill: "muted", size: 11, max: inside });
  }
  const [low, high] = pen.writer.ticks([min, max], description.y?.format);
  const across = Math.sin(angle) * (radius - width / 2);
  const bottom = cy + (radius - width / 2) * below + width / 2 + 15;
  const room = Math.min(across * 2, box.width / 2) - 8;
  svg += pen.text(Math.max(cx - across, box.x + pen.measure(low, SIZE, false) / 2), bottom, low, { anchor: "middle", fill: "muted", max: room });
  svg += pen.text(Math.min(cx + across, box.x + box.width - pen.measure(high, SIZE, false) / 2), bottom, high, { anchor: "middle", fill: "muted", max: room });
  return { ...NONE, svg };
}
