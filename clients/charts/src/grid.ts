// Tables as pictures, where there is no HTML.
import { NONE, type Marks } from "./cartesian.ts";
import { SIZE, type Box, type Pen } from "./pen.ts";
import { round, tag } from "./svg.ts";
import { cellText, tableOf } from "./table.ts";
import type { Description } from "./types.ts";

const ROW = 26;
const COLUMN_MIN = 44;

/** Widths of columns: what their texts need, the widest giving way where there is not enough. */
function share(wanted: number[], width: number): number[] {
  const widths = [...wanted];
  let over = widths.reduce((sum, one) => sum + one, 0) - width;
  for (let turn = 0; over > 0.5 && turn < 200; turn++) {
    const most = Math.max(...widths);
    const next = Math.max(COLUMN_MIN, ...widths.filter((one) => one < most));
    const at = widths.map((one, index) => (one === most ? index : -1)).filter((index) => index >= 0);
    const less = Math.min(most - next || over / at.length, over / at.length);
    for (const index of at) widths[index] -= less;
    over -= less * at.length;
  }
  return widths;
}

/** As many rows and columns as there is room for; a last line says how many there are beside them. */
export function grid(pen: Pen, description: Description, box: Box): Marks {
  const { columns, rows } = tableOf(description, { words: pen.words });
  const fit = Math.max(1, Math.floor((box.height - ROW) / ROW));
  const shown = rows.length > fit ? Math.max(1, fit - 1) : rows.length;
  const most = Math.max(1, Math.floor(box.width / (COLUMN_MIN + 16)));
  const used = columns.slice(0, most);
  const texts = rows.slice(0, shown).map((row) => used.map((column, at) => cellText(row[at], column, pen.writer)));
  const wanted = used.map((column, at) => Math.min(360, Math.max(
    pen.measure(column.name.slice(0, 100), SIZE, true), ...texts.map((row) => pen.measure(row[at].slice(0, 100), SIZE, false)), 20) + 1));
  const gap = 20;
  const inner = share(wanted, box.width - gap * (used.length - 1));
  const slack = Math.max(0, box.width - gap * (used.length - 1) - inner.reduce((sum, one) => sum + one, 0));
  const widths = inner.map((width) => width + slack / used.length);
  const lefts = widths.map((_, at) => box.x + widths.slice(0, at).reduce((sum, one) => sum + one + gap, 0));
  const cell = (text: string, at: number, y: number, style: object) => {
    const right = used[at].kind === "number";
    return pen.text(right ? lefts[at] + widths[at] : lefts[at], y, text, { anchor: right ? "end" : "start", max: widths[at], ...style });
  };
  let svg = used.map((column, at) => cell(column.name, at, box.y + 15, { bold: true, fill: "muted" })).join("");
  let lines = `M${round(box.x)} ${round(box.y + ROW - 2)}h${round(box.width)}`;
  texts.forEach((row, index) => {
    const top = box.y + ROW * (index + 1);
    svg += tag("g", { "data-index": index }, row.map((text, at) => cell(text, at, top + 16, {})).join(""));
    if (index < texts.length - 1) lines += `M${round(box.x)} ${round(top + ROW - 1.5)}h${round(box.width)}`;
  });
  const hidden = [rows.length > shown ? pen.words.more.replace("{n}", pen.writer.full(rows.length - shown)) : "", columns.length > used.length ? `+${columns.length - used.length} ⟶` : ""];
  if (rows.length > shown) svg += pen.text(box.x, box.y + ROW * (shown + 1) + 16, hidden[0], { fill: "muted", size: 11 });
  return { ...NONE, svg: tag("path", { d: lines, stroke: pen.color("grid") }) + svg };
}
