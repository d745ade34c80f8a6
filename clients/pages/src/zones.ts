/** Time zones, and instants of days in them. */

export const viewersZone = (): string => Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";

export function zoneNames(): string[] {
  const all: string[] = Intl.supportedValuesOf?.("timeZone") ?? [];
  return [...new Set([viewersZone(), "UTC", ...all])];
}

/** Minutes east of UTC that a zone has at an instant. */
export function offsetMinutes(zone: string, at: Date): number {
  const parts = new Intl.DateTimeFormat("en-US", { timeZone: zone, timeZoneName: "longOffset" }).formatToParts(at);
  const text = parts.find(({ type }) => type === "timeZoneName")?.value ?? "GMT";
  const [, sign, hours, minutes] = /GMT([+-])(\d+):(\d+)/.exec(text) ?? [];
  return sign ? (sign === "-" ? -1 : 1) * (Number(hours) * 60 + Number(minutes)) : 0;
}

/** The midnight with which a day (`2026-01-31`) begins in a zone, as ISO 8601 with its offset. */
export function midnight(day: string, zone: string): string {
  const utc = new Date(`${day}T00:00:00Z`);
  const first = offsetMinutes(zone, utc);
  const minutes = offsetMinutes(zone, new Date(utc.getTime() - first * 60_000));
  const two = (value: number) => String(Math.floor(value)).padStart(2, "0");
  const size = Math.abs(minutes);
  return `${day}T00:00:00${minutes < 0 ? "-" : "+"}${two(size / 60)}:${two(size % 60)}`;
}

export function dayAfter(day: string, days = 1): string {
  const date = new Date(`${day}T00:00:00Z`);
  date.setUTCDate(date.getUTCDate() + days);
  return date.toISOString().slice(0, 10);
}

/** When it was, as the viewer writes times. */
export function shownTime(text: string): string {
  const date = new Date(text);
  return Number.isNaN(date.getTime())
    ? text
    : date.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "medium" });
}
