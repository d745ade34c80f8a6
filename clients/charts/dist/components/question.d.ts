import type { Ask } from "./asking.js";
export type Json = Record<string, unknown>;
export type Timeframe = string | {
    start?: string;
    end?: string;
};
export interface Filter {
    property_name: string;
    operator: string;
    property_value: unknown;
}
/** What is asked differently from how it is saved. */
export interface Changes {
    timeframe?: Timeframe;
    timezone?: string;
    interval?: string;
    filters?: Filter[];
}
export interface Source {
    server: string;
    project: string;
    key: string;
    savedQuery: string;
    query: Json | null;
    dataset: string;
    indexBy: unknown;
    /** A tile of a dashboard whose question is not told. */
    dashboard: string;
    tile: string;
}
/** The request for the answer; null where the attributes do not say what is asked. */
export declare function requestOf(source: Source, changes: Changes): Ask | null;
export interface Span {
    kind: "this" | "previous";
    count: number;
    unit: string;
}
/** A relative timeframe in its parts; null for any other. */
export declare function spanOf(timeframe: unknown): Span | null;
type Zone = string | number | null | undefined;
/** A wall-clock time of the zone as ISO text with its offset: the server cuts days by it. */
export declare function isoOf(wall: number, timezone: Zone): string;
/**
 * The period before, of the same length; of one that still runs, as much as has passed of it, since a part
 * does not compare with a whole. Null where it cannot be told: of all time, and of weeks, whose first day is not said.
 */
export declare function periodBefore(timeframe: unknown, timezone: Zone, now: number): {
    start: string;
    end: string;
} | null;
export {};
