export interface Zone {
    /** As Intl knows it; null for a fixed offset, whose times are shifted and written as UTC. */
    name: string | null;
    /** Milliseconds to add to an instant, so that the UTC fields of the sum are those of the wall clock. */
    offset(instant: number): number;
}
/** A zone by its IANA name or by seconds east of UTC; UTC where there is none or no such. */
export declare function zoneOf(timezone: string | number | null | undefined): Zone;
/** Whether Intl knows a zone of this name. */
export declare function isZone(name: string): boolean;
export type Unit = "minute" | "hour" | "day" | "month" | "year";
export interface Ticks {
    unit: Unit;
    step: number;
    instants: number[];
}
/**
 * Ticks for intervals: every interval if `fits` takes that, else every second, third … of odd lengths, else
 * where the calendar turns; the first that fits.
 */
export declare function timeTicks(starts: number[], ends: number[], zone: Zone, fits: (ticks: Ticks) => boolean): Ticks;
