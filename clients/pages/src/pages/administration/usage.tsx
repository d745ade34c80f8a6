/** What the project was sent and asked by day and by key, and how much is left of its limits. */
import { useState } from "preact/hooks";
import { useHere } from "../../context.ts";
import { useLoaded } from "../../loading.ts";
import { Chart } from "../../ui/charts.tsx";
import { Choice } from "../../ui/field.tsx";
import { Loading, Problem } from "../../ui/states.tsx";
import { shownTime } from "../../zones.ts";
import { sizeText } from "../../words.ts";
import { dayText, manage, secondsText } from "./api.ts";
import type { SectionProps } from "./settings.tsx";

export interface Taken {
  events: number;
  bytes: number;
  query_seconds: number;
}

export interface TakenOnDay extends Taken {
  day: string;
}

export interface TakenByKey extends Taken {
  kind: string;
  name: string;
  public_id: string | null;
  last_day: string;
}

interface Quota {
  name: string;
  limit: number;
  used: number;
  left: number;
  until: string | null;
}

export interface TakenByDay {
  days: TakenOnDay[];
  keys: TakenByKey[];
  quotas: Quota[];
  rates: { name: string; limit: number; of_key: boolean }[];
}

const SPANS = [
  ["7", "Last 7 days"],
  ["30", "Last 30 days"],
  ["62", "Last 62 days"],
] as const;

const MEASURES = [
  ["events", "Events"],
  ["bytes", "Bytes of events"],
  ["query_seconds", "Seconds of questions"],
] as const;

export function Usage(_: SectionProps) {
  const { project, to } = useHere();
  const [days, setDays] = useState("30");
  const { value, error, reload } = useLoaded(() => manage<TakenByDay>(project, "GET", `usage?days=${days}`), [project.id, days]);
  if (error) return <Problem error={error} retry={reload} />;
  if (!value) return <Loading what="usage" lines={6} />;
  return (
    <>
      <div class="row spread">
        <p class="lead">
          What the server was sent and asked over the network, imports of files among it, by the day of UTC on which it came, whatever
          times the events say. What the commands <code>acumen import</code> and <code>acumen demo</code> stored is not counted.
        </p>
        <Choice id="usage-days" label="Timeframe" value={days} choices={SPANS} choose={setDays} />
      </div>
      <DaysChart days={value.days} title="All keys together" />
      <h2 class="below">By key</h2>
      {value.keys.length === 0 ? (
        <p class="lead">Nothing was sent or asked in these days.</p>
      ) : (
        <div class="scroll" tabIndex={0} role="group" aria-label="By key">
          <table>
            <thead>
              <tr>
                <th scope="col">Key</th>
                <th scope="col" class="number">Events</th>
                <th scope="col" class="number">Bytes</th>
                <th scope="col" class="number">Questions</th>
                <th scope="col">Last used</th>
              </tr>
            </thead>
            <tbody>
              {value.keys.map((one) => (
                <tr key={`${one.kind} ${one.public_id} ${one.name}`}>
                  <th scope="row" class="path">
                    {one.public_id ? <a href={to("settings", "keys", one.public_id)}>{one.name}</a> : nameOf(one)}
                  </th>
                  <td class="number">{one.events.toLocaleString()}</td>
                  <td class="number">{sizeText(one.bytes)}</td>
                  <td class="number">{secondsText(one.query_seconds)}</td>
                  <td class="when">{dayText(one.last_day)}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      <Limits quotas={value.quotas} rates={value.rates} />
    </>
  );
}

function nameOf({ kind, name }: TakenByKey): string {
  return kind === "people" ? "People who are logged in" : `The ${name}`.replace("The keys", "Keys").replace("The scoped", "Scoped");
}

/** One measure of each day, as a chart and, for who reads numbers, as its table. */
export function DaysChart({ days, title }: { days: TakenOnDay[]; title: string }) {
  const [measure, setMeasure] = useState<keyof Taken>(() => MEASURES.find(([name]) => days.some((one) => one[name] > 0))?.[0] ?? "events");
  const start = (day: string) => `${day}T00:00:00.000Z`;
  const next = (day: string) => new Date(Date.parse(start(day)) + 86_400_000).toISOString();
  const result = days.map((one) => ({ value: one[measure], timeframe: { start: start(one.day), end: next(one.day) } }));
  const counted = measure === "query_seconds" ? { analysis_type: "sum", target_property: "seconds" } : { analysis_type: "count" };
  const query = { ...counted, event_collection: "usage", interval: "daily", timezone: "UTC" };
  const label = MEASURES.find(([name]) => name === measure)![1];
  return (
    <div class="gap">
      <Choice id={`measure-${title}`.replaceAll(" ", "-")} label="What is counted" value={measure} choices={MEASURES}
        choose={(name) => setMeasure(name as keyof Taken)} />
      <div class="card tall gap">
        <Chart key={measure} data={{ result, query }} query={JSON.stringify(query)} type="bar" title={`${title}: ${label.toLowerCase()} per day`} height="300" />
      </div>
    </div>
  );
}

const RATES: Record<string, string> = { "collection deletes": "deletions of whole collections", deletes: "deletions", updates: "changes of events" };

function Limits({ quotas, rates }: Pick<TakenByDay, "quotas" | "rates">) {
  return (
    <section class="below" aria-labelledby="limits">
      <h2 id="limits">Limits</h2>
      {quotas.length === 0 && <p class="lead">The project has no quotas.</p>}
      {quotas.map(({ name, limit, used, left, until }) => (
        <div class="quota" key={name}>
          <label for={`quota-${name}`}>{name.replaceAll("_", " ")}</label>
          <progress id={`quota-${name}`} max={limit} value={Math.min(used, limit)} />
          <p class="small">
            {amountText(name, used)} of {amountText(name, limit)}; {left > 0 ? `${amountText(name, left)} left` : "used up"}
            {until && `, until ${shownTime(until)}`}
          </p>
        </div>
      ))}
      {rates.length === 0 ? (
        <p class="lead">No rates are limited.</p>
      ) : (
        <ul>
          {rates.map(({ name, limit, of_key }) => (
            <li key={`${name} ${of_key}`}>
              {limit.toLocaleString()} {RATES[name] ?? name} a minute{of_key ? " with each key" : ""}
            </li>
          ))}
        </ul>
      )}
    </section>
  );
}

function amountText(name: string, amount: number): string {
  if (name.includes("bytes")) return sizeText(amount);
  return name.includes("seconds") ? secondsText(amount) : amount.toLocaleString();
}
