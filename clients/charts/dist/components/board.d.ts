import { type Controls } from "./controls.js";
import type { Changes, Json } from "./question.js";
export interface Widget {
    kind: "chart" | "text" | "image";
    title: string | null;
    /** The name of a saved query, or a question. */
    query: string | Json | null;
    /** The id by which the server answers a question that it does not tell. */
    tile: string;
    /** Settings of the drawing, which give way where they do not fit. */
    drawing: Json;
    /** Of a text: plain, or of the dashboard creator's editor. */
    content: unknown;
    link: string;
    /** Columns of twelve, and pixels. */
    width: number;
    height: number;
    /** From 1; null where the order places it. */
    column: number | null;
    row: number | null;
}
export interface Board {
    title: string | null;
    controls: Controls;
    /** What the controls are set to at first. */
    start: Changes;
    widgets: Widget[];
}
export declare function boardOf(document: unknown): Board;
