import type { Description, DrawOptions } from "../types.js";
export type ExportKind = "csv" | "png" | "svg";
export declare const EXPORTS: ExportKind[];
/** `csv png svg`: which of them; all where nothing is said. */
export declare function exportsOf(value: string | null): ExportKind[];
/** The whole picture with its title, without anything that a page would have to give. */
export declare function svgOf(description: Description, options: DrawOptions): string;
/** The SVG as PNG, so many pixels for each of its own. */
export declare function pngOf(svg: string, width: number, height: number, scale: number): Promise<Blob>;
/** A name for a file, of a title. */
export declare function fileName(title: string | null, kind: string): string;
