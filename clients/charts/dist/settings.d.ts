import { type Annotation, type ChartType, type DescribeOptions, type NumberFormat, type Words } from "./types.js";
type Json = Record<string, unknown>;
export interface Settings {
    type: ChartType | null;
    /** Whether a type that cannot show the answer is an error; one of saved metadata gives way instead. */
    strict: boolean;
    title: string | null;
    now: number | null;
    previous: unknown;
    previousName: string;
    format: NumberFormat;
    names: Record<string, string>;
    colors: Record<string, string> | string[];
    annotations: Annotation[];
    limit: number | null;
    all: boolean;
    orientation?: "horizontal" | "vertical";
    curve?: "linear" | "smooth" | "step";
    min?: number;
    max?: number;
    target?: number;
    value: "finished" | "latest" | "total";
    higherIsBetter: boolean;
    timezone: string | number | null | undefined;
    words: Words;
    notes: string[];
}
/** A colour that can stand in an attribute: no functions that load something. */
export declare function isColor(value: unknown): value is string;
/** The options in force: those given, else those of the saved query's metadata, else what is usual. */
export declare function settingsOf(options: DescribeOptions, metadata: Json): Settings;
export {};
