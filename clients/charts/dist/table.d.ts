import { type Lists } from "./answer.js";
import { type Writer } from "./format.js";
import type { Cells, Column, Description, Words } from "./types.js";
type Json = Record<string, unknown>;
/** Events with a column for each property: their time first, the rest of `keen` last. */
export declare function eventCells(events: Json[]): Cells;
/** Values of select_unique, one a row, behind their interval and groups. */
export declare function listCells(lists: Lists, query: Json, names: Record<string, string>, words: Words): Cells;
/** Columns and rows with raw values: ISO text for times, numbers, texts, null. */
export declare function tableOf(description: Description, options?: {
    words?: Partial<Words>;
}): Cells;
/** A cell as people read it. */
export declare function cellText(value: unknown, column: Column, writer: Writer): string;
/** RFC 4180, with raw numbers, and times in the description's zone with their offset. */
export declare function csvOf(description: Description, options?: {
    words?: Partial<Words>;
    timezone?: string | number | null;
}): string;
export {};
