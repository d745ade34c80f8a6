import type { Description, DrawOptions, Scalar } from "../types.js";
import type { Texts } from "./texts.js";
export interface Mark {
    series: number;
    index: number;
}
/** What a `select` event tells. */
export interface Selection {
    /** The name of the series; of single ones it may be empty. */
    series: string;
    /** The values of the series' groups, and the label in a multi_analysis. */
    key: Scalar[];
    index: number;
    /** The category, step or instant as it is shown. */
    name: string;
    /** The value of the first group, where the chart has categories. */
    category: Scalar;
    value: number | null;
    timeframe: {
        start: string;
        end: string;
    } | null;
    /** The values of the groups, in the order asked for, and the label in a multi_analysis; null where there are others too, as in "Other". */
    groups: Scalar[] | null;
    /** Of a cohort the period that was chosen, of a life cycle the period before. */
    within?: {
        start: string;
        end: string;
    };
    /** Of both the whole time that was asked about. */
    whole?: {
        start: string;
        end: string;
    };
    /** What was asked. */
    query?: unknown;
}
export interface PlotState {
    description: Description;
    hidden: Set<number>;
    draw: DrawOptions;
    texts: Texts;
}
/** The colour of a series for CSS. */
export declare function colorOf(description: Description, index: number, theme: DrawOptions["theme"]): string;
export declare class Plot {
    #private;
    private readonly selected;
    private readonly say;
    readonly element: HTMLDivElement;
    constructor(selected: (selection: Selection) => void, say: (text: string) => void);
    /** Draw it at the element's size, and give that back. */
    update(state: PlotState): string;
    selection(mark: Mark): Selection;
}
/** What a mark or a cell stands for. */
export declare function selectionOf(made: Description, { series, index }: Mark, { name, value }: {
    name: string;
    value: number | null;
}): Selection;
