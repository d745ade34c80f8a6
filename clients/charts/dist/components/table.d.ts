import type { Formatter } from "../draw.js";
import type { Cells } from "../types.js";
import { type Texts } from "./texts.js";
export interface TableOptions {
    caption: string;
    rows: number;
    sortable: boolean;
    texts: Texts;
}
/** Columns and rows as a table; with `sortable` its headings sort it. */
export declare function tableElement(cells: Cells, formatter: Formatter, options: TableOptions): HTMLTableElement;
