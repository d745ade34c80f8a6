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
}

interface Order {
  column: number;
  falling: boolean;
}

function ordered(cells: Cells, order: Order | null): unknown[][] {
  if (!order) return cells.rows;
  const { column, falling } = order;
  const numeric = cells.columns[column].kind === "number";
  const compare = (a: unknown, b: unknown) =>
    numeric ? Number(a) - Number(b) : String(a).localeCompare(String(b), undefined, { numeric: true });
  return [...cells.rows].sort((left, right) => {
    const [a, b] = [left[column], right[column]];
    // what is not there comes last either way
    if (a === null || b === null) return (a === null ? 1 : 0) - (b === null ? 1 : 0);
    return falling ? -compare(a, b) : compare(a, b);
  });
}

function body(cells: Cells, formatter: Formatter, rows: number, order: Order | null): HTMLElement {
  const made = el("tbody");
  for (const row of ordered(cells, order).slice(0, rows)) {
    const line = el("tr");
    cells.columns.forEach((column, at) => {
      const numeric = column.kind === "number";
      const values = { class: numeric ? "number" : null, scope: at === 0 && !numeric ? "row" : null };
      line.append(el(at === 0 && !numeric ? "th" : "td", values, formatter.cell(row[at], column)));
    });
    made.append(line);
  }
  return made;
}

/** Columns and rows as a table; with `sortable` its headings sort it. */
export function tableElement(cells: Cells, formatter: Formatter, options: TableOptions): HTMLTableElement {
  const { texts } = options;
  let order: Order | null = null;
  let shown = body(cells, formatter, options.rows, order);
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
      const made = body(cells, formatter, options.rows, order);
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
