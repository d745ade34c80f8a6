// The table behind a chart, as HTML.
import type { Formatter } from "../draw.ts";
import type { Cells } from "../types.ts";
import { el } from "./dom.ts";
import { fill, type Texts } from "./texts.ts";

export interface TableOptions {
  caption: string;
  rows: number;
  sortable: boolean;
  texts: Texts;
  /** Told which cell was chosen, by the order of the rows before they were sorted. */
  choose?: (row: number, column: number) => void;
}

interface Order {
  column: number;
  falling: boolean;
}

interface Row {
  row: unknown[];
  at: number;
}

function ordered(cells: Cells, order: Order | null): Row[] {
  const rows = cells.rows.map((row, at) => ({ row, at }));
  if (!order) return rows;
  const { column, falling } = order;
  const numeric = cells.columns[column].kind === "number";
  const compare = (a: unknown, b: unknown) =>
    numeric ? Number(a) - Number(b) : String(a).localeCompare(String(b), undefined, { numeric: true });
  return rows.sort((left, right) => {
    const [a, b] = [left.row[column], right.row[column]];
    // what is not there comes last either way
    if (a === null || b === null) return (a === null ? 1 : 0) - (b === null ? 1 : 0);
    return falling ? -compare(a, b) : compare(a, b);
  });
}

function body(cells: Cells, formatter: Formatter, options: TableOptions, order: Order | null): HTMLElement {
  const { choose } = options;
  const made = el("tbody", { onkeydown: choose ? walk : null });
  for (const { row, at: place } of ordered(cells, order).slice(0, options.rows)) {
    const line = el("tr");
    const format = cells.formats?.[place];
    cells.columns.forEach((column, at) => {
      const numeric = column.kind === "number";
      const values = {
        class: numeric ? "number" : null,
        scope: at === 0 && !numeric ? "row" : null,
        tabindex: choose ? (at || made.firstChild ? -1 : 0) : null,
        onclick: choose ? () => choose(place, at) : null,
      };
      line.append(el(at === 0 && !numeric ? "th" : "td", values, formatter.cell(row[at], format ? { ...column, format } : column)));
    });
    made.append(line);
  }
  return made;
}

/** One cell is a stop for Tab; arrows go from there to the others, and Enter chooses. */
function walk(event: KeyboardEvent): void {
  const { key, target } = event;
  const cell = target as HTMLTableCellElement;
  const line = cell.parentElement!;
  const rows = line.parentElement!.children;
  const [across, along] = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1] }[
    key
  ] ?? [0, 0];
  if (key === "Enter" || key === " ") cell.click();
  else if (across || along) {
    const to = rows[[...rows].indexOf(line) + along]?.children[cell.cellIndex + across] as typeof cell;
    if (to) {
      cell.tabIndex = -1;
      to.tabIndex = 0;
      to.focus();
    }
  } else return;
  event.preventDefault();
}

/** Columns and rows as a table; with `sortable` its headings sort it. */
export function tableElement(cells: Cells, formatter: Formatter, options: TableOptions): HTMLTableElement {
  const { texts } = options;
  let order: Order | null = null;
  let shown = body(cells, formatter, options, order);
  const head = el("tr");
  const table = el(
    "table",
    {},
    el("caption", { class: "unseen" }, options.caption),
    el("thead", {}, head),
    shown,
  );
  cells.columns.forEach((column, at) => {
    const numeric = column.kind === "number";
    const heading = el("th", { scope: "col", class: numeric ? "number" : null });
    const sort = () => {
      order = { column: at, falling: order?.column === at ? !order.falling : numeric };
      for (const one of head.children) one.removeAttribute("aria-sort");
      heading.setAttribute("aria-sort", order.falling ? "descending" : "ascending");
      const made = body(cells, formatter, options, order);
      shown.replaceWith(made);
      shown = made;
    };
    const name = column.name || texts.name;
    heading.append(
      options.sortable
        ? el("button", { type: "button", title: fill(texts.sort, { name }), onclick: sort }, name)
        : name,
    );
    head.append(heading);
  });
  if (cells.rows.length > options.rows) {
    const text = fill(texts.firstRows, { n: options.rows, all: cells.rows.length });
    table.append(el("tfoot", {}, el("tr", {}, el("td", { colspan: cells.columns.length }, text))));
  }
  return table;
}
