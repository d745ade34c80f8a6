/** What the properties of a collection are like: types, how many events lack them, values, ranges. */
import { ApiError } from "acumen-client";
import { Fragment } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { useHere } from "../../context.ts";
import { typeName, type Property } from "../../schema.ts";
import { call } from "../../session.ts";
import { Choice } from "../../ui/field.tsx";
import { Spark } from "../../ui/spark.tsx";
import { Problem } from "../../ui/states.tsx";
import { shownTime } from "../../zones.ts";
import { countText } from "../../words.ts";
import { timelineAddress } from "../actors/address.ts";
import { shownValue } from "../events/paths.ts";
import { exploring, questionAbout } from "./questions.ts";

interface PropertyProfile {
  name: string;
  types: Record<string, number>;
  missing: number | null;
  distinct: { count: number; exact: boolean };
  top: { values: { value: unknown; count: number }[]; exact: boolean };
  numbers: { min: unknown; max: unknown; mean: unknown } | null;
  dates: { count: number; first: string; last: string } | null;
  lengths: { min: number; max: number; mean: number } | null;
}

interface Profile {
  events: number;
  first: string | null;
  last: string | null;
  over_time: { interval: string; counts: { start: string; events: number }[] };
  properties: PropertyProfile[];
  next: string | null;
}

type Known = ReadonlyMap<string, PropertyProfile>;

const PAGE = 25;
const LIMIT = 100;
/** Properties of one request: each takes memory of the server. */
const AT_ONCE = 10;
/** Characters of names in one address, which must not become too long. */
const NAMES_MAX = 3000;
const COLUMNS = 6;
const ORDERS = [
  ["name", "By name"],
  ["type", "By type"],
  ["missing", "Those missing most"],
  ["distinct", "Most different values"],
] as const;

export function Profiles({ collection, properties }: { collection: string; properties: Property[] }) {
  const [wanted, setWanted] = useState("");
  const [order, setOrder] = useState("name");
  const [pages, setPages] = useState(1);
  const [open, setOpen] = useState<string | null>(null);
  const measured = order === "missing" || order === "distinct";
  const text = wanted.toLowerCase();
  const found = properties.filter(({ name }) => name.toLowerCase().includes(text));
  const { known, whole, error, read } = useProfiles(collection);
  const sorted = inOrder(found, order, known);
  const shown = sorted.slice(0, pages * PAGE);
  const names = (measured ? found : shown).map(({ name }) => name);
  useEffect(() => read(names), [names.join("\n")]);
  const lacking = names.filter((name) => !known.has(name)).length;
  return (
    <>
      {whole && <Summary profile={whole} />}
      {error ? <Problem error={error} retry={() => read(names)} /> : null}
      <div class="row spread tools">
        <input type="search" aria-label="Search properties" placeholder="Search" value={wanted}
          onInput={(event) => (setWanted(event.currentTarget.value), setPages(1))} />
        <Choice id="order" label="Order of the properties" value={order} choices={ORDERS} choose={(chosen) => (setOrder(chosen), setPages(1))} />
      </div>
      <p class="small" role="status">
        {countText(found.length, "property", "properties")}
        {lacking > 0 && !error && `, ${lacking.toLocaleString()} still being read`}
      </p>
      <div class="scroll" tabIndex={0} role="group" aria-label="Properties">
        <table>
          <thead>
            <tr>
              <th scope="col">Property</th>
              <th scope="col">Type</th>
              <th scope="col" class="number">Missing</th>
              <th scope="col" class="number">Different</th>
              <th scope="col">Range, or the most frequent values</th>
              <th scope="col"><span class="unseen">Ask</span></th>
            </tr>
          </thead>
          <tbody>
            {shown.map((one) => (
              <Fragment key={one.name}>
                <Row collection={collection} property={one} profile={known.get(one.name)} open={open === one.name}
                  toggle={() => setOpen(open === one.name ? null : one.name)} />
                {open === one.name && (
                  <tr class="opened">
                    <td colSpan={COLUMNS}>
                      <Detail collection={collection} property={one} profile={known.get(one.name)} />
                    </td>
                  </tr>
                )}
              </Fragment>
            ))}
          </tbody>
        </table>
      </div>
      {found.length === 0 && <p>No property is called “{wanted}”.</p>}
      {sorted.length > shown.length && (
        <p class="gap">
          <button type="button" onClick={() => setPages(pages + 1)}>
            Show more
          </button>{" "}
          <span class="small">{shown.length} of {sorted.length.toLocaleString()}; search for others.</span>
        </p>
      )}
    </>
  );
}

function inOrder(properties: Property[], order: string, known: Known): Property[] {
  const rank = ({ name, type }: Property): number | string => {
    const profile = known.get(name);
    if (order === "type") return typeName(type);
    if (order === "missing") return -(profile?.missing ?? -1);
    return order === "distinct" ? -(profile?.distinct.count ?? -1) : 0;
  };
  return [...properties].sort((a, b) => (rank(a) < rank(b) ? -1 : rank(a) > rank(b) ? 1 : 0));
}

/** Profiles are asked for when they are needed, some at a time, and kept while the collection is shown. */
function useProfiles(collection: string) {
  const { project } = useHere();
  const [known, setKnown] = useState<Known>(new Map());
  const [whole, setWhole] = useState<Profile | null>(null);
  const [error, setError] = useState<unknown>(null);
  const latest = useRef(known);
  latest.current = known;
  const read = (names: string[]) => {
    const abort = new AbortController();
    const path = `/3.0/projects/${project.id}/events/${encodeURIComponent(collection)}/profile`;
    const run = async () => {
      setError(null);
      let left = names.filter((name) => !latest.current.has(name));
      let most = AT_ONCE;
      while (left.length && !abort.signal.aborted) {
        const some = first(left, most);
        const query = new URLSearchParams({ property_names: JSON.stringify(some), limit: String(LIMIT) });
        const profile = await call<Profile>("GET", `${path}?${query}`, undefined, abort.signal).catch((failure: unknown) => {
          if (failure instanceof ApiError && failure.code === "QueryLimitError" && some.length > 1) return null;
          throw failure;
        });
        if (abort.signal.aborted) return;
        if (!profile) {
          // The server has not the memory for so many at once.
          most = Math.ceil(some.length / 2);
          continue;
        }
        setWhole(profile);
        const found = new Map([...latest.current, ...profile.properties.map((one) => [one.name, one] as const)]);
        latest.current = found;
        setKnown(found);
        left = left.filter((name) => !some.includes(name));
      }
    };
    run().catch((failure: unknown) => abort.signal.aborted || setError(failure));
    return () => abort.abort();
  };
  return { known, whole, error, read };
}

function first(names: string[], most: number): string[] {
  let length = 0;
  const some = names.slice(0, most).filter((name) => (length += encodeURIComponent(name).length + 8) < NAMES_MAX);
  return some.length ? some : names.slice(0, 1);
}

function Summary({ profile }: { profile: Profile }) {
  const { events, first, last, over_time: over } = profile;
  return (
    <div class="row part card about">
      <p>
        {countText(events, "event")}
        {first && last && <span class="small">, {shownTime(first)} – {shownTime(last)}</span>}
      </p>
      <Spark values={over.counts.map((one) => one.events)} />
    </div>
  );
}

interface RowProps {
  collection: string;
  property: Property;
  profile: PropertyProfile | undefined;
  open: boolean;
  toggle: () => void;
}

function Row({ collection, property, profile, open, toggle }: RowProps) {
  const { to } = useHere();
  const { name, type } = property;
  const types = profile ? Object.keys(profile.types).map(kindName).join(", ") : typeName(type);
  return (
    <tr>
      <th scope="row" class="path">
        <button type="button" class="link" aria-expanded={open} onClick={toggle}>
          {name}
        </button>
      </th>
      <td class="types">{types || typeName(type)}</td>
      <td class="number">{profile && profile.missing !== null ? percent(profile.missing) : "…"}</td>
      <td class="number">{profile ? `${profile.distinct.exact ? "" : "about "}${profile.distinct.count.toLocaleString()}` : "…"}</td>
      <td class="small">{profile ? rangeOf(profile) : "…"}</td>
      <td class="end">
        <a aria-label={`Values of ${name}`} href={exploring(to("explore"), questionAbout(collection, property))}>
          {type === "num" ? "Average by day" : "Values"}
        </a>
      </td>
    </tr>
  );
}

/** Here null is one kind of value among others. */
const kindName = (type: string) => (type === "null" ? "null" : typeName(type));

function percent(share: number): string {
  if (share > 0 && share < 0.001) return "< 0.1 %";
  return `${(share * 100).toLocaleString(undefined, { maximumFractionDigits: 1 })} %`;
}

function rangeOf({ numbers, dates, top }: PropertyProfile): string {
  if (numbers) return `${Number(numbers.min).toLocaleString()} – ${Number(numbers.max).toLocaleString()}`;
  if (dates) return `${shownTime(dates.first)} – ${shownTime(dates.last)}`;
  return top.values.slice(0, 3).map(({ value }) => shownValue(value)).join(", ");
}

function Detail({ collection, property, profile }: Omit<RowProps, "open" | "toggle">) {
  const { to } = useHere();
  if (!profile) return <p class="small">Being read …</p>;
  const { numbers, lengths, top, types } = profile;
  const counts = Object.entries(types).map(([type, count]) => `${kindName(type)}: ${count.toLocaleString()}`);
  const filtered = (property_value: unknown) => {
    const filters = [{ property_name: property.name, operator: "eq", property_value }];
    return exploring(to("explore"), { analysis_type: "count", event_collection: collection, filters, interval: "daily" });
  };
  return (
    <div class="detail">
      <p class="small">
        Events by type: {counts.join(" · ")}
        {numbers && ` · mean ${Number(numbers.mean).toLocaleString(undefined, { maximumSignificantDigits: 6 })}`}
        {lengths && ` · ${lengths.min} to ${lengths.max} characters`}
      </p>
      {top.values.length === 0 ? (
        <p class="small">No value is frequent: most occur once.</p>
      ) : (
        <ul class="values">
          {top.values.map(({ value, count }) => (
            <li key={JSON.stringify(value)}>
              <a href={filtered(value)} aria-label={`Explore ${property.name} = ${shownValue(value)}`}>{shownValue(value)}</a>
              <span class="small">{count.toLocaleString()}</span>
              <a class="small" href={timelineAddress(to, property.name, value)} aria-label={`Timeline of ${property.name} = ${shownValue(value)}`}>
                Timeline
              </a>
            </li>
          ))}
        </ul>
      )}
    </div>
  );
}
