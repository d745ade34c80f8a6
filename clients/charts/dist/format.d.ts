import { type Unit, type Zone } from "./time.js";
import type { NumberFormat } from "./types.js";
export interface Writer {
    locale: string;
    zone: Zone;
    /** With all digits that mean something. */
    full(value: number, format?: NumberFormat): string;
    /** Short: for labels at marks and large numbers. */
    short(value: number, format?: NumberFormat): string;
    /** Short, for labels that are read together: with equally many decimals. */
    alike(values: number[], format?: NumberFormat): string[];
    /** Labels of ticks: as short as they can be while they differ and are true. */
    ticks(values: number[], format?: NumberFormat): string[];
    percent(share: number): string;
    /** The part that each value is of all, rounded: with equally many decimals, equal for equal values. */
    shares(values: number[]): string[];
    /** An interval's start with as much of it as the interval's length calls for. */
    moment(instant: number, interval: string | null): string;
    /** The two lines of a tick's label: the tick, and what it is part of. */
    tick(instant: number, unit: Unit, few: boolean): [string, string];
    date(instant: number, options: Intl.DateTimeFormatOptions): string;
    /** ISO text with the zone's offset. */
    iso(instant: number): string;
}
/** How a place writes numbers and times; `resolve` keeps to digits that the shipped font has. */
export declare function writerOf(options: {
    locale?: string;
    timezone?: string | number | null;
    resolve?: boolean;
}): Writer;
