import { type DescribeOptions, type Description } from "./types.js";
/** What a chart of the answer shows. ChartError for an error, and for a type that cannot show the answer. */
export declare function describe(answer: unknown, options?: DescribeOptions): Description;
