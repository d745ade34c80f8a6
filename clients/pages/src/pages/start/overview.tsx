/** What there is: each collection with its events of the last days. */
import { useState } from "preact/hooks";
import { useHere } from "../../context.ts";
import { inTurns, useLoaded } from "../../loading.ts";
import type { CollectionSchema } from "../../schema.ts";
import { TOKEN } from "../../session.ts";
import { viewersZone } from "../../zones.ts";
import { Chart } from "../../ui/charts.tsx";
import { Choice } from "../../ui/field.tsx";
import { Spark } from "../../ui/spark.tsx";

const SHOWN_MAX = 24;
const AT_ONCE = 3;
const SPANS = [
  ["this_7_days", "Last 7 days"],
  ["this_14_days", "Last 14 days"],
  ["this_30_days", "Last 30 days"],
  ["this_90_days", "Last 90 days"],
] as const;

interface Counted {
  name: string;
  days: number[];
  sum: number;
}

export function Overview({ schema, busy }: { schema: CollectionSchema[]; busy: boolean }) {
  const { client, project, to } = useHere();
  const [timeframe, setTimeframe] = useState("this_14_days");
  const [chosen, setChosen] = useState<string | null>(null);
  const timezone = viewersZone();
  const names = schema.slice(0, SHOWN_MAX).map(({ name }) => name);
  const counted = useLoaded(
    async (signal) => {
      const asked = await inTurns(names, AT_ONCE, async (name): Promise<Counted> => {
        const { result } = await client.count(name, { timeframe, timezone, interval: "daily" }, { signal });
        const days = result.map(({ value }) => value);
        return { name, days, sum: days.reduce((a, b) => a + b, 0) };
      });
      return asked.map((one, at) => one ?? { name: names[at]!, days: [], sum: NaN });
    },
    [client, timeframe, names.join("\n")],
  );
  const rows = counted.value ?? names.map((name) => ({ name, days: [], sum: NaN }));
  const largest = rows.reduce((a, b) => (b.sum > (a?.sum || 0) ? b : a), rows[0]);
  const shown = chosen ?? (counted.value ? largest!.name : null);
  const query = { analysis_type: "count", event_collection: shown, timeframe, timezone, interval: "daily" };
  return (
    <>
      <div class="row spread">
        <p class="lead">
          {schema.length === 1 ? "One collection" : `${schema.length.toLocaleString()} collections`}, days in your time
          zone ({timezone}).
        </p>
        <Choice id="span" label="Timeframe" value={timeframe} choices={SPANS} choose={setTimeframe} />
      </div>
      <div class="card tall">
        {shown && (
          <Chart
            project={project.id}
            token={TOKEN}
            query={JSON.stringify(query)}
            title={`${shown}: events per day`}
            type="area"
            height="300"
          />
        )}
      </div>
      <div class="scroll" tabIndex={0} role="group" aria-label="Collections">
      <table aria-busy={busy || counted.busy}>
        <thead>
          <tr>
            <th scope="col">Collection</th>
            <th scope="col" class="number">Events</th>
            <th scope="col" class="roomy">By day</th>
            <th scope="col"><span class="unseen">Open</span></th>
          </tr>
        </thead>
        <tbody>
          {rows.map(({ name, days, sum }) => (
            <tr key={name} class={name === shown ? "chosen" : ""}>
              <th scope="row" class="path">
                <button type="button" class="link" aria-pressed={name === shown} onClick={() => setChosen(name)}>
                  {name}
                </button>
              </th>
              <td class="number">{Number.isNaN(sum) ? "–" : sum.toLocaleString()}</td>
              <td class="roomy">
                <Spark values={days} />
              </td>
              <td class="end">
                <a href={`${to("explore")}?q=${encodeURIComponent(JSON.stringify({ ...query, event_collection: name }))}`} aria-label={`Explore ${name}`}>
                  Explore
                </a>{" "}
                <a href={to("data", name)} aria-label={`Data of ${name}`}>
                  Data
                </a>
              </td>
            </tr>
          ))}
        </tbody>
      </table>
      </div>
      {schema.length > SHOWN_MAX && (
        <p>
          The first {SHOWN_MAX} are shown. <a href={to("data")}>All {schema.length.toLocaleString()} collections</a>
        </p>
      )}
    </>
  );
}
