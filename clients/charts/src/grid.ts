// Tables as pictures, where there is no HTML.
import { NONE, type Marks } from "./cartesian.ts";
import { SIZE, type Box, type Pen } from "./pen.ts";
import { round, tag } from "./svg.ts";
import { cellText, tableOf } from "./table.ts";
import type { Description } from "./types.ts";

const ROW = 26;

/** Widths of columns: what their texts need, long texts giving way where there is not enough. */
function share(wanted: number[], least: number[], width: number): number[] {
  const widths = [...wanted];
  for (let turn = 0; turn < 100; turn++) {
    const over = widths.reduce((sum, one) => sum + one, 0) - width;
    const loose = widths.map((_, at) => at).filter((at) => widths[at] > least[at] + 0.1);
    if (over <= 0.5 || !loose.length) break;
    const most = Math.max(...loose.map((at) => widths[at]));
    const widest = loose.filter((at) => widths[at] > most - 0.1);
    const next = Math.max(
      0,
      ...loose.map((at) => widths[at]).filter((one) => one <= most - 0.1),
      ...widest.map((at) => least[at]),
    );
    for (const at of widest)
      widths[at] = Math.max(least[at], widths[at] - Math.min(most - next || over, over / widest.length));
  }
  return widths;
}

function take(least: number[], width: number, gap: number): number {
  let sum = -gap;
  let count = 0;
  while (count < least.length && sum + least[count] + gap <= width) sum += least[count++] + gap;
  return Math.max(1, count);
}

/** As many rows and columns as there is room for; a last line says how many there are beside them. */
export function grid(pen: Pen, description: Description, box: Box): Marks {
  const { columns, rows, formats } = tableOf(description, { words: pen.words });
  const fit = Math.max(1, Math.floor((box.height - ROW) / ROW));
  const shown = rows.length > fit ? Math.max(1, fit - 1) : rows.length;
  const gap = 20;
  const probe = rows
    .slice(0, shown)
    .map((row, place) =>
      columns
        .slice(0, 40)
        .map((column, at) => cellText(row[at], { ...column, format: formats?.[place] ?? column.format }, pen.writer)),
    );
  const needs = columns
    .slice(0, 40)
    .map(
      (column, at) =>
        Math.max(
          20,
          pen.measure(column.name.slice(0, 100), SIZE, true),
          ...probe.map((row) => pen.measure(row[at].slice(0, 100), SIZE, false)),
        ) + 1,
    );
  const least = needs.map((need, at) => Math.min(columns[at].kind === "text" ? 96 : 220, need));
  const used = columns.slice(0, take(least, box.width, gap));
  const texts = probe.map((row) => row.slice(0, used.length));
  const inner = share(
    needs.slice(0, used.length),
    least.slice(0, used.length).map((one) => Math.min(one, box.width)),
    box.width - gap * (used.length - 1),
  );
  const slack = Math.max(0, box.width - gap * (used.length - 1) - inner.reduce((sum, one) => sum + one, 0));
  const widths = inner.map((width) => width + slack / used.length);
  const lefts = widths.map((_, at) => box.x + widths.slice(0, at).reduce((sum, one) => sum + one + gap, 0));
  const cell = (text: string, at: number, y: number, style: object) => {
    const right = used[at].kind === "number";
    return pen.text(right ? lefts[at] + widths[at] : lefts[at], y, text, {
      anchor: right ? "end" : "start",
      max: widths[at],
      ...style,
    });
  };
  let svg = used
    .map((column, at) => cell(column.name, at, box.y + 15, { bold: true, fill: "muted" }))
    .join("");
  let lines = `M${round(box.x)} ${round(box.y + ROW - 2)}h${round(box.width)}`;
  texts.forEach((row, index) => {
    const top = box.y + ROW * (index + 1);
    svg += tag("g", { "data-index": index }, row.map((text, at) => cell(text, at, top + 16, {})).join(""));
    if (index < texts.length - 1) lines += `M${round(box.x)} ${round(top + ROW - 1.5)}h${round(box.width)}`;
  });
  const hidden = columns.length - used.length;
  const more = [
    rows.length > shown ? pen.words.more.replace("{n}", pen.writer.full(rows.length - shown)) : "",
    hidden > 0 ? pen.words.columns.replace("{n}", String(hidden)) : "",
  ];
  const below = box.y + ROW * (shown + 1) + 16;
  if (below <= box.y + box.height)
    svg += pen.text(box.x, below, more.filter(Boolean).join(" · "), {
      fill: "muted",
      size: 11,
      max: box.width,
    });
  return { ...NONE, svg: tag("path", { d: lines, stroke: pen.color("grid") }) + svg };
}
