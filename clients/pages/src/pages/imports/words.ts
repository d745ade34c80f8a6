/** Times for people, and names. */

const placeOf = (zone: string) => (zone === "UTC" ? "UTC" : (zone.split("/").pop() ?? zone).replaceAll("_", " "));

/** An instant as it is in a zone: 3 July 2026, 14:00 in Berlin. */
export function instantIn(zone: string, text: string): string {
  const date = new Date(text);
  const day = date.toLocaleDateString(undefined, { dateStyle: "long", timeZone: zone });
  const time = date.toLocaleTimeString(undefined, { timeStyle: "short", timeZone: zone });
  return `${day}, ${time} ${zone === "UTC" ? "UTC" : `in ${placeOf(zone)}`}`;
}

/** What a collection of a file could be called. */
export function nameFrom(file: string): string {
  const stem = file.replace(/(\.gz)?$/i, "").replace(/\.[a-z]+$/i, "");
  return stem.normalize("NFKD").replace(/[^A-Za-z0-9]+/g, "_").replace(/^_+|_+$/g, "").slice(0, 64).toLowerCase() || "events";
}
