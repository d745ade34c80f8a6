import { type DescribeOptions, type Description } from "./types.js";
/**
 * What a chart of the answer shows. ChartError for an error, for a type that cannot show the answer, and for an answer
 * whose parts are not what its shape needs.
 */
export declare function describe(answer: unknown, options?: DescribeOptions): Description;
