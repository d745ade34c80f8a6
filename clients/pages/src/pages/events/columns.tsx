/** Which properties of a collection's events a table shows: those that say most, or those that were chosen. */
import type { StoredEvent } from "acumen-client";
import { useMemo, useState } from "preact/hooks";
import { useHere } from "../../context.ts";
import type { Property } from "../../schema.ts";
import { COLUMNS } from "../../session.ts";
import { isRandom, likelyActors, valueAt } from "./paths.ts";

const COLUMNS_MAX = 5;
const ACTORS_MAX = 2;
const OFFERED_MAX = 300;
/** Of so many events it is settled which properties differ: what arrives later moves no column. */
const JUDGED = 20;

/** The properties that filters name, in groups of filters too. */
export function namedIn(filters: unknown): string[] {
  const given = (Array.isArray(filters) ? filters : []) as { operands?: unknown; property_name?: unknown }[];
  const found = given.flatMap(({ operands, property_name }) => (operands ? namedIn(operands) : property_name ? [String(property_name)] : []));
  return [...new Set(found)];
}

/** First what the question names, then who it was, then what differs most between the events; nothing that is always the same. */
export function tellingColumns(events: readonly StoredEvent[], names: readonly string[], named: readonly string[]): string[] {
  const weights = new Map<string, number>();
  for (const name of names) {
    const values = events.map((event) => valueAt(event, name));
    const known = values.filter((value) => value !== undefined && value !== null);
    const different = new Set(values.map((value) => JSON.stringify(value))).size;
    if (different < 2) continue;
    // Random ids differ most and say least.
    weights.set(name, known.every(isRandom) ? 0 : (different / values.length) * (known.length / values.length));
  }
  const differing = [...weights.keys()].sort((a, b) => weights.get(b)! - weights.get(a)!);
  const actors = likelyActors(differing).slice(0, ACTORS_MAX);
  const first = named.filter((name) => names.includes(name));
  const best = [...new Set([...first, ...actors, ...differing])].slice(0, COLUMNS_MAX);
  return best.length ? best : names.slice(0, COLUMNS_MAX);
}

function kept(): Record<string, string[]> {
  try {
    return JSON.parse(localStorage.getItem(COLUMNS) ?? "{}");
  } catch {
    return {};
  }
}

/** The columns to show, and the choice of others, which this browser remembers until the log-out. */
export function useColumns(collection: string, events: readonly StoredEvent[], properties: readonly Property[], named: readonly string[]) {
  const { project } = useHere();
  const place = `${project.id} ${collection}`;
  const [, setTurn] = useState(0);
  const chosen = kept()[place] ?? null;
  const own = properties.filter(({ name }) => !name.startsWith("keen.")).map(({ name }) => name);
  const telling = useMemo(
    () => tellingColumns(events, own, named),
    [own.join(), named.join(), Math.min(events.length, JUDGED)],
  );
  const choose = (names: string[] | null) => {
    const { [place]: _, ...others } = kept();
    localStorage.setItem(COLUMNS, JSON.stringify(names ? { ...others, [place]: names } : others));
    setTurn((before) => before + 1);
  };
  return { columns: chosen?.filter((name) => own.includes(name)) ?? telling, isChosen: chosen !== null, choose };
}

interface ColumnChoiceProps {
  properties: readonly Property[];
  columns: string[];
  isChosen: boolean;
  choose: (names: string[] | null) => void;
}

export function ColumnChoice({ properties, columns, isChosen, choose }: ColumnChoiceProps) {
  const names = properties.map(({ name }) => name).filter((name) => !name.startsWith("keen."));
  const offered = [...new Set([...columns, ...names])].slice(0, OFFERED_MAX);
  return (
    <details class="pick">
      <summary>Columns</summary>
      <fieldset class="choices">
        <legend class="unseen">Columns of the table</legend>
        {offered.sort().map((name) => (
          <label class="check" key={name}>
            <input type="checkbox" checked={columns.includes(name)}
              onChange={(event) => choose(event.currentTarget.checked ? [...columns, name] : columns.filter((one) => one !== name))} />
            {name}
          </label>
        ))}
      </fieldset>
      {isChosen && (
        <button type="button" class="quiet" onClick={() => choose(null)}>
          Those that say most
        </button>
      )}
    </details>
  );
}
