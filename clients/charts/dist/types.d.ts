export declare const CHART_TYPES: readonly ["metric", "line", "area", "bar", "stacked", "table", "funnel", "heatmap", "pie", "gauge", "sankey"];
export type ChartType = (typeof CHART_TYPES)[number];
export type Scalar = string | number | boolean | null;
/** How numbers are written. `percent` is of 1, unless `of` is 100; durations are in `unit`. */
export interface NumberFormat {
    style: "number" | "percent" | "currency" | "duration" | "bytes";
    currency?: string;
    of?: 1 | 100;
    unit?: "ms" | "s" | "min" | "h";
    decimals?: number;
    prefix?: string;
    suffix?: string;
    /** Without the sign of what is drawn below zero for the eye alone. */
    unsigned?: boolean;
}
/** Where the marks stand: on instants (`starts`, `ends`), or on values of groups, shown as `names`. */
export interface IndexAxis {
    kind: "time" | "category" | "number";
    name: string;
    starts?: string[];
    ends?: string[];
    interval?: string | null;
    timezone?: string | null;
    values?: Scalar[];
    names?: string[];
    /** The values of the groups that each index stands for; null of the sum of what is not shown. */
    keys?: (Scalar[] | null)[];
    /** Which index is the sum of what is not shown. */
    other?: number;
}
export interface ValueAxis {
    kind: "number";
    name: string;
    format: NumberFormat;
    integers: boolean;
    min?: number;
    max?: number;
}
export interface Series {
    name: string;
    /** The values of the groups, and the label in a multi_analysis; what a `select` event tells. */
    key: Scalar[];
    values: (number | null)[];
    format?: NumberFormat;
    color?: string;
    /** `other` is the sum of what is not shown, `previous` the period before. */
    role?: "other" | "previous";
    /** Series whose sizes do not compare are drawn in panels of their own, one above the other. */
    panel?: number;
    /** Which series it has the colour of. */
    like?: number;
    /** Which of its values are not over yet. */
    open?: boolean[];
}
/** A line across the chart: at an instant or category (`at`), or at a value. */
export interface Annotation {
    at?: string | number;
    value?: number;
    label?: string;
}
export interface Metric {
    name: string;
    value: number | null;
    format?: NumberFormat;
    /** The instant or period that the value is of. */
    start?: string;
    end?: string;
    previous?: number | null;
    previousStart?: string;
    previousName?: string;
    sparkline?: (number | null)[];
    /** How many last values of the sparkline are of intervals that have not ended. */
    unfinished?: number;
}
export interface FunnelStep {
    name: string;
    value: number | null;
    optional?: boolean;
    inverted?: boolean;
    key?: Scalar[] | null;
    /** Seconds from the step before, of the one in the middle. */
    time?: number | null;
}
export interface Column {
    name: string;
    kind: "time" | "number" | "text";
    /** For times: the interval's name, which says how much of the time is shown. */
    interval?: string | null;
    format?: NumberFormat;
}
export interface Cells {
    columns: Column[];
    rows: unknown[][];
    /** Of each row the values of its groups, and of `select_unique` the value. */
    keys?: Scalar[][];
    /** The mark that each cell stands for, its series and index: where rows and columns are not those of the chart. */
    marks?: ([number, number] | null)[][];
    /** How the numbers of each row are written, where rows differ. */
    formats?: (NumberFormat | undefined)[];
}
/** What a mark says of itself, in place of what its axes say. */
export interface Told {
    name?: string;
    value?: number | null;
    extra?: string;
    /** The interval that it is of, and another one that belongs to it: the period of a cohort, or the one before. */
    timeframe?: {
        start: string;
        end: string;
    };
    within?: {
        start: string;
        end: string;
    };
    /** The whole time that was asked about. */
    whole?: {
        start: string;
        end: string;
    };
}
/** Ways from node to node; `column` is a step, `rank` which of its nodes, or which edge, counted on behind the nodes. */
export interface Flow {
    nodes: {
        name: string;
        column: number;
        rank: number;
        paths: number;
        stopped: number;
        other: boolean;
    }[];
    edges: {
        source: number;
        target: number;
        paths: number;
        rank: number;
    }[];
    /** Whether the steps lead to an end, not from a beginning. */
    back: boolean;
}
export interface Description {
    version: 1;
    type: ChartType;
    title: string | null;
    empty: boolean;
    x: IndexAxis | null;
    y: ValueAxis | null;
    series: Series[];
    /** Heat maps of two groups, or of groups over time: the rows from top to bottom are the series. */
    metrics?: Metric[];
    steps?: FunnelStep[];
    flow?: Flow;
    /** By `series,index`. */
    told?: Record<string, Told>;
    gauge?: {
        value: number | null;
        min: number;
        max: number;
        target?: number;
        start?: string;
    };
    table?: Cells;
    annotations: Annotation[];
    /** How many last intervals have not ended, and how many have not begun. */
    unfinished: number;
    future: number;
    /** Whether the analysis can be added up over groups: counts and sums. */
    additive: boolean;
    orientation?: "horizontal" | "vertical";
    curve?: "linear" | "smooth" | "step";
    /** The answer lacks events of damaged files. */
    partial: boolean;
    note: string | null;
    higherIsBetter: boolean;
    timezone: string | null;
}
export interface DescribeOptions {
    /** One of CHART_TYPES; without it, or with "auto", the answer's shape decides. */
    type?: string | null;
    title?: string | null;
    /** What was asked, where the answer does not repeat it. */
    query?: Record<string, unknown> | null;
    /** The instant that tells finished intervals from others: milliseconds, a Date or ISO text. */
    now?: number | string | Date | null;
    /** The answer of the period before: for the delta of a metric, and as a pale line. */
    previous?: unknown;
    previousName?: string;
    format?: Partial<NumberFormat> | string | null;
    /** Names to show in place of groups, labels and steps. */
    names?: Record<string, string>;
    /** By series name, or in order. */
    colors?: Record<string, string> | string[];
    annotations?: Annotation[];
    /** How many series or categories are shown, before the rest becomes "Other". */
    limit?: number;
    /** All of them, by their own values: for CSV. */
    all?: boolean;
    orientation?: "horizontal" | "vertical";
    curve?: "linear" | "smooth" | "step";
    min?: number;
    max?: number;
    target?: number;
    /** Which number a metric shows of intervals: of the last that has ended, of the newest, or their sum. */
    value?: "finished" | "latest" | "total";
    higherIsBetter?: boolean;
    timezone?: string | number | null;
    words?: Partial<Words>;
}
/** Every text of our own that a chart may show. */
export interface Words {
    other: string;
    none: string;
    empty: string;
    noData: string;
    total: string;
    value: string;
    name: string;
    step: string;
    time: string;
    more: string;
    topOf: string;
    leftOut: string;
    firstOf: string;
    target: string;
    versus: string;
    incomplete: string;
    unfinished: string;
    previous: string;
    ofFirst: string;
    optional: string;
    inverted: string;
    columns: string;
    unknownType: string;
    chart: string;
    all: string;
    cohort: string;
    size: string;
    actors: string;
    period: string;
    ofThem: string;
    dashed: string;
    lastOf: string;
    paths: string;
    from: string;
    to: string;
    ended: string;
    began: string;
    goOn: string;
    stepAt: string;
    leastLeft: string;
    number: string;
    median: string;
    expected: string;
    soFar: string;
    yes: string;
    no: string;
    /** What properties of sessions are called; others are `Session position`. */
    sessions: string;
}
export declare const WORDS: Words;
export declare class ChartError extends Error {
    /** `cause` is the error that reading the answer ended in, where there was one. */
    constructor(message: string, options?: {
        cause: unknown;
    });
}
export type Measure = (text: string, size: number, bold: boolean) => number;
export interface DrawOptions {
    width?: number;
    height?: number;
    /** "light", "dark", or values by name of the custom property, with or without `--acumen-`. */
    theme?: string | Record<string, string>;
    locale?: string;
    timezone?: string | number | null;
    /** In place of the description's title; false or "" for none. */
    title?: string | false | null;
    /** Colours as values, and digits that the shipped font has, for renderers without CSS. */
    resolve?: boolean;
    /** Paint the background; as `resolve` if absent. */
    background?: boolean;
    /** Names of series in a legend or at the ends of lines; without it the page has to show them. */
    legend?: boolean;
    /** Marks get labels for screen readers, and lines a mark at each point. */
    interactive?: boolean;
    /** Width of a text in pixels, where the font is another than Inter. */
    measure?: Measure;
    words?: Partial<Words>;
}
/** A drawing, and where its marks are: for tooltips without measuring the page. */
export interface Drawing {
    svg: string;
    width: number;
    height: number;
    /** The area of the marks; null where the type has no axes. */
    plot: {
        x: number;
        y: number;
        width: number;
        height: number;
    } | null;
    orientation: "horizontal" | "vertical";
    /** The middle of each index along its axis; null where it is not drawn. */
    positions: (number | null)[];
    /** Across the axis, for each series and index; null where there is no mark. */
    points: (number | null)[][];
}
