/** Which events an answer was computed from: the version, what was read, left out and reused, what each filter left, and the statements. */
import type { Question } from "acumen-client";
import { useHere } from "../../context.ts";
import { useLoaded } from "../../loading.ts";
import { Code } from "../../ui/code.tsx";
import { Loading, Problem } from "../../ui/states.tsx";
import { countText } from "../../words.ts";
import { shownTime } from "../../zones.ts";
import { conditionText } from "./operators.ts";

interface Source {
  collection: string;
  files: number;
  files_skipped: number;
  events_in_files: number;
  events_skipped: number;
  events_in_no_file: number;
}

interface Explained {
  snapshot?: { version: string; instant: string };
  sources: Source[];
  reused: { collection: string; partial_answers: number; events: number }[];
  filters?: { collection: string; in_timeframe: number | null; filters: { filter: Record<string, any>; kept?: number }[] }[];
  statements: { sql: string }[];
  events_counted_by_catalog: number;
}

export function Why({ question }: { question: Question }) {
  const { client } = useHere();
  const found = useLoaded(
    async (signal) => {
      const { analysis_type: analysis, ...asked } = question;
      return ((await client.query(analysis, { ...asked, explain: true }, { signal })).body as { explain: Explained }).explain;
    },
    [client, JSON.stringify(question)],
  );
  if (found.error) return <Problem error={found.error} />;
  if (!found.value) return <Loading what="what the answer was computed from" lines={5} />;
  const { snapshot, sources, reused, filters = [], statements, events_counted_by_catalog: counted } = found.value;
  const filtered = filters.filter((part) => part.filters.length > 0);
  return (
    <div class="why">
      {snapshot && (
        <>
          <p class="small">
            The events as they were at {shownTime(snapshot.instant)}. With this version as <code>as_of</code> the answer is the same again, whatever comes:
          </p>
          <Code text={snapshot.version} what="the version" />
        </>
      )}
      <Sources sources={sources} />
      <ul class="facts">
        {reused.map(({ collection, partial_answers: partials, events }) => (
          <li key={collection}>
            Of {countText(events, "event")} of {collection} nothing was read again: what {countText(partials, "file")} {partials === 1 ? "contributes" : "contribute"} was known.
          </li>
        ))}
        {counted > 0 && <li>{countText(counted, "event")} were counted without reading: the catalog knows how many there are.</li>}
        {filtered.map((part, at) => (
          <li key={at}>
            Of {part.collection} {part.in_timeframe === null ? "" : `${countText(part.in_timeframe, "event")} lie in the timeframe. `}
            {part.filters.map(({ filter, kept }) => `${named(filter)}${kept === undefined ? "" : `: ${kept.toLocaleString()} left`}`).join("; ")}.
          </li>
        ))}
      </ul>
      {statements.length > 0 && (
        <details class="more gap">
          <summary>{countText(statements.length, "statement")}</summary>
          {statements.map(({ sql }, at) => (
            <Code key={at} text={sql} what={`statement ${at + 1}`} />
          ))}
        </details>
      )}
    </div>
  );
}

/** A filter without its value, which an explanation does not repeat. */
const named = (filter: Record<string, any>): string => conditionText({ ...filter, property_value: "…" });

const COLUMNS = ["Collection", "Files", "Of them read", "Events in files", "Of them outside the timeframe", "In no file yet"];

function Sources({ sources }: { sources: Source[] }) {
  if (!sources.length) return <p>Nothing was read for it.</p>;
  return (
    <div class="scroll" tabIndex={0} role="region" aria-label="What was read">
      <table>
        <thead>
          <tr>
            {COLUMNS.map((name, at) => (
              <th key={name} scope="col" class={at ? "number" : undefined}>
                {name}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {sources.map((one, line) => (
            <tr key={line}>
              <th scope="row" class="path">{one.collection}</th>
              {[one.files, one.files - one.files_skipped, one.events_in_files, one.events_skipped, one.events_in_no_file].map((number, at) => (
                <td key={at} class="number">
                  {number.toLocaleString()}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
