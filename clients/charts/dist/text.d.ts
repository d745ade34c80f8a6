import type { Measure } from "./types.js";
/** The width in pixels of a text in the shipped font. */
export declare const measureInter: Measure;
/** The text, or its start with an ellipsis, so that it is at most so wide. */
export declare function cut(text: string, width: number, size: number, bold: boolean, measure: Measure): string;
/** The text in lines of at most so wide, broken between words; the last line is cut. */
export declare function wrap(text: string, width: number, size: number, bold: boolean, lines: number, measure: Measure): string[];
