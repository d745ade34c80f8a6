// What every type draws with: colours, texts that fit, numbers and times, and the frame around the marks.
import { writerOf, type Writer } from "./format.ts";
import { tag, title as titleTag, escape, type Attributes } from "./svg.ts";
import { cut, measureInter, wrap } from "./text.ts";
import { painter, SERIES_COLORS } from "./theme.ts";
import { WORDS, type Description, type DrawOptions, type Measure, type Series, type Words } from "./types.ts";

export interface Box {
  x: number;
  y: number;
  width: number;
  height: number;
}

export interface TextStyle {
  size?: number;
  bold?: boolean;
  anchor?: "start" | "middle" | "end";
  fill?: string;
  /** Cut to this width, with the whole text as a tooltip. */
  max?: number;
  class?: string;
}

export interface Pen {
  width: number;
  height: number;
  color(name: string): string;
  over(color: string, opacity: number): string;
  writer: Writer;
  words: Words;
  measure: Measure;
  interactive: boolean;
  /** Whether names of series are drawn: in a legend, or at the ends of lines. */
  legend: boolean;
  text(x: number, y: number, text: string, style?: TextStyle): string;
  /** Attributes of a mark: which it is, and what it says to a screen reader. */
  mark(series: number, index: number, label: () => string): Attributes;
}

export const SIZE = 12;

export function penOf(description: Description, options: DrawOptions): Pen {
  const resolve = options.resolve === true;
  const { color, over } = painter(options.theme, resolve);
  const measure = options.measure ?? measureInter;
  const words: Words = { ...WORDS, ...options.words };
  const side = (value: number | undefined, usual: number) =>
    Math.min(10_000, Math.max(40, Number.isFinite(value) ? value! : usual));
  return {
    width: side(options.width, 640),
    height: side(options.height, 360),
    color,
    over,
    words,
    measure,
    interactive: options.interactive === true,
    legend: options.legend !== false,
    writer: writerOf({ locale: options.locale, timezone: options.timezone ?? description.timezone, resolve }),
    text(x, y, text, { size = SIZE, bold = false, anchor, fill = "text", max, class: name } = {}) {
      const shown = max === undefined ? text : cut(text, max, size, bold, measure);
      if (!shown) return "";
      const attributes = {
        class: name,
        x,
        y,
        fill: color(fill),
        "font-size": size === SIZE ? null : size,
        "font-weight": bold ? 600 : null,
        "text-anchor": anchor === "start" ? null : anchor,
      };
      return tag("text", attributes, (shown === text ? "" : titleTag(text)) + escape(shown));
    },
    mark(series, index, label) {
      const where = { "data-series": series, "data-index": index };
      return this.interactive ? { ...where, role: "img", "aria-label": label() } : where;
    },
  };
}

/** The colour of a series: its own, that of its role, or the next of the theme. */
export function seriesColor(pen: Pen, series: Series, index: number): string {
  if (series.color) return series.color;
  if (series.role === "other") return pen.color("series-other");
  const { like } = series;
  if (series.role === "previous" && like === undefined) return pen.color("series-other");
  if (like !== undefined) index = like;
  return pen.color(`series-${(index % SERIES_COLORS) + 1}`);
}

/** Room for the title at the top and the note at the bottom, taken off the box. */
export function frame(pen: Pen, title: string | null, note: string | null): { svg: string; box: Box } {
  const pad = pen.width < 420 || pen.height < 200 ? 12 : 16;
  const box = { x: pad, y: pad, width: pen.width - 2 * pad, height: pen.height - 2 * pad };
  let svg = "";
  if (title && pen.height >= 90) {
    const size = pen.width < 420 ? 14 : 15;
    const lines = wrap(title, box.width, size, true, pen.height > 240 ? 2 : 1, pen.measure);
    lines.forEach((line, index) => {
      const whole = index === lines.length - 1 && line.endsWith("…") ? titleTag(title) : "";
      const attributes = {
        class: "acumen-title",
        x: box.x,
        y: box.y + size * 0.8 + index * size * 1.3,
        fill: pen.color("text"),
        "font-size": size,
        "font-weight": 600,
      };
      svg += tag("text", attributes, whole + escape(line));
    });
    const used = lines.length * size * 1.3 + 8;
    box.y += used;
    box.height -= used;
  }
  if (note && pen.height >= 160) {
    const lines = wrap(note, box.width, 11, false, pen.height > 240 ? 2 : 1, pen.measure);
    const top = box.y + box.height - (lines.length - 1) * 14 - 2;
    lines.forEach((line, index) => {
      const whole = line.endsWith("…") ? titleTag(note) : "";
      svg += tag(
        "text",
        { class: "acumen-note", x: box.x, y: top + index * 14, fill: pen.color("muted"), "font-size": 11 },
        whole + escape(line),
      );
    });
    box.height -= lines.length * 14 + 6;
  }
  return { svg, box };
}

/** Names with their colours in at most so many rows; gives back what is left of the box. */
export function legend(pen: Pen, series: Series[], box: Box): { svg: string; box: Box } {
  if (pen.height < 120 || !pen.legend) return { svg: "", box };
  const most = Math.min(200, box.width - 24);
  const rowsMax = box.height > 300 ? 3 : box.height > 180 ? 2 : 1;
  const gap = 18;
  let x = box.x;
  let row = 0;
  let svg = "";
  for (let index = 0; index < series.length; index++) {
    const name = cut(series[index].name, most, SIZE, false, pen.measure);
    const width = 16 + pen.measure(name, SIZE, false);
    const rest = series.length - index;
    const more = pen.words.more.replace("{n}", String(rest));
    const room = row === rowsMax - 1 && rest > 1 ? pen.measure(more, SIZE, false) + gap : 0;
    if (x > box.x && x + width + room > box.x + box.width) {
      if (row === rowsMax - 1) {
        svg += pen.text(x, box.y + row * 20 + 10, more, { fill: "muted", max: box.x + box.width - x });
        break;
      }
      row++;
      x = box.x;
    }
    const y = box.y + row * 20;
    const fill = seriesColor(pen, series[index], index);
    const swatch =
      series[index].role === "previous"
        ? tag("path", { d: `M${x} ${y + 6}h10`, stroke: fill, "stroke-width": 2, "stroke-dasharray": "3 2" })
        : tag("rect", { x, y: y + 1, width: 10, height: 10, rx: 2.5, fill });
    svg += tag(
      "g",
      { class: "acumen-legend", "data-series": index },
      swatch + pen.text(x + 16, y + 10, series[index].name, { max: most }),
    );
    x += width + gap;
  }
  const used = (row + 1) * 20 + 6;
  return { svg, box: { ...box, y: box.y + used, height: box.height - used } };
}
