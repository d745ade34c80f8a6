import { type Writer } from "./format.js";
import { type Attributes } from "./svg.js";
import { type Description, type DrawOptions, type Measure, type Series, type Words } from "./types.js";
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
export declare const SIZE = 12;
export declare function penOf(description: Description, options: DrawOptions): Pen;
/** The colour of a series: its own, that of its role, or the next of the theme. */
export declare function seriesColor(pen: Pen, series: Series, index: number): string;
/** Room for the title at the top and the note at the bottom, taken off the box. */
export declare function frame(pen: Pen, title: string | null, note: string | null): {
    svg: string;
    box: Box;
};
/** Names with their colours in at most so many rows; gives back what is left of the box. */
export declare function legend(pen: Pen, series: Series[], box: Box): {
    svg: string;
    box: Box;
};
