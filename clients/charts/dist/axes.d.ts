import { type Box, type Pen } from "./pen.js";
import type { IndexAxis, NumberFormat, ValueAxis } from "./types.js";
export interface Scale {
    low: number;
    high: number;
    ticks: number[];
    labels: string[];
}
/** A scale that holds all values; `zero` makes it begin (or end) at zero. */
export declare function scaleOf(pen: Pen, values: Iterable<number | null>, axis: ValueAxis, zero: boolean, count: number): Scale;
export declare function place(scale: Scale, value: number, from: number, to: number): number;
/** Horizontal lines with their labels to the left. */
export declare function valueAxis(pen: Pen, scale: Scale, plot: Box): string;
export declare function widest(pen: Pen, labels: string[], size?: number): number;
export declare const TIME_AXIS_HEIGHT = 38;
/** Labels of instants in two lines, such as days over months; `where` is the place of an instant. */
export declare function timeAxis(pen: Pen, axis: IndexAxis, plot: Box, where: (index: number, instant: number) => number): string;
/** Labels below bands: all of them cut to their band, or every second, third … of numbers. */
export declare function bandAxis(pen: Pen, names: string[], plot: Box, thin: boolean): string;
/** Ticks of numbers along the bottom. */
export declare function numberAxis(pen: Pen, scale: Scale, plot: Box, format?: NumberFormat): string;
