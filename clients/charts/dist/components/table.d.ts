import type { Formatter } from "../draw.js";
import type { Cells } from "../types.js";
import { type Texts } from "./texts.js";
export interface TableOptions {
    caption: string;
    rows: number;
    sortable: boolean;
    texts: Texts;
    /** Told which cell was chosen, by the order of the rows before they were sorted. */
    choose?: (row: number, column: number) => void;
}
/** Columns and rows as a table; with `sortable` its headings sort it. */
export declare function tableElement(cells: Cells, formatter: Formatter, options: TableOptions): HTMLTableElement;
