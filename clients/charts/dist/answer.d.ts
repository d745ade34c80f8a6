import { type Scalar } from "./types.js";
type Json = Record<string, unknown>;
export interface Interval {
    start: string;
    end: string;
}
/** One value of each measure, for an interval (or all time) and a group (or all events). */
export interface Row {
    interval: number;
    group: Scalar[];
    values: (number | null)[];
    /** The values of all groups, where `group` has them as one text. */
    key?: Scalar[];
}
export interface Cube {
    shape: "cube";
    intervals: Interval[] | null;
    groups: string[];
    measures: string[];
    rows: Row[];
}
export interface Funnel {
    shape: "funnel";
    steps: {
        name: string;
        value: number | null;
        optional: boolean;
        inverted: boolean;
    }[];
}
/** Values of select_unique: a table, whose last column is the value. */
export interface Lists {
    shape: "lists";
    intervals: boolean;
    groups: string[];
    rows: Scalar[][];
}
export interface Events {
    shape: "events";
    rows: Json[];
}
export interface Message {
    shape: "message";
    text: string;
}
export interface Read {
    /** All of the answer. */
    outer: Json;
    answer: Cube | Funnel | Lists | Events | Message;
    query: Json;
    metadata: Json;
    partial: boolean;
    /** The moment that the answer is of, where it says so. */
    through: string | null;
}
export declare function isObject(value: unknown): value is Json;
/** What rows call a group: a property, a property of sessions, or a cohort. */
export declare function groupName(entry: unknown): string;
export declare function groupNames(query: Json): string[] | null;
/** Read an answer; `asked` is the question, where the answer does not repeat it. An error is a ChartError. */
export declare function read(answer: unknown, asked: Json | null | undefined): Read;
export {};
