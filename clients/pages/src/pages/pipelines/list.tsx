/** All pipelines of a project: as a graph, and the same as a list. */
import { useMemo, useState } from "preact/hooks";
import { useHere } from "../../context.ts";
import { go, usePlace } from "../../router.ts";
import { call } from "../../session.ts";
import { Code } from "../../ui/code.tsx";
import { Empty, Loading, Problem, textOf } from "../../ui/states.tsx";
import { countText } from "../../words.ts";
import { shownTime } from "../../zones.ts";
import { addressIn, type Pipeline, type Run } from "./calls.ts";
import { PipelineGraph } from "./graph.tsx";
import { around, graphOf, idOf } from "./graph_model.ts";
import { useLive } from "./live.ts";
import { StateBadge, Why } from "./state.tsx";
import { secondsText, stateOf, STATES, stateText, type ShownState } from "./words.ts";

const SHOWN_MAX = 500;
const ORDERS = { name: "Pipeline", state: "State", owner: "Owner", rows: "Rows", seconds: "Processor time", until: "Derived until" } as const;
const NUMBERS = ["rows", "seconds"];
const BEGIN = `# pipelines.toml
owner = "data@shop.example"

[pipelines.revenue]
from = "purchases"
into = "revenue"
steps = [{ aggregate = { by = ["country"], values = { total = { sum = "price" } } } }]`;

type Order = keyof typeof ORDERS;

interface Row {
  pipeline: Pipeline;
  state: ShownState;
}

const VALUES: Record<Order, (row: Row) => string | number> = {
  name: ({ pipeline }) => pipeline.name,
  state: ({ state }) => Object.keys(STATES).indexOf(state),
  owner: ({ pipeline }) => pipeline.owner,
  rows: ({ pipeline }) => pipeline.rows,
  seconds: ({ pipeline }) => pipeline.processor_seconds,
  until: ({ pipeline }) => pipeline.derived_until ?? "",
};

export function PipelinesPage() {
  return useHere().mayEdit ? <Pipelines /> : <NotForViewers />;
}

function Pipelines() {
  const { project } = useHere();
  const { value, error, reload } = useLive(
    async (signal) => {
      const get = <T,>(...parts: string[]) => call<T>("GET", addressIn(project, ...parts), undefined, signal);
      const [pipelines, { runs }] = await Promise.all([
        get<Pipeline[]>("pipelines"),
        call<{ runs: Run[] }>("GET", `${addressIn(project, "runs")}?state=running`, undefined, signal),
      ]);
      return { pipelines, running: new Set(runs.filter(({ delivers }) => !delivers).map(({ pipeline }) => pipeline)) };
    },
    [project],
    ({ pipelines, running }) => running.size > 0 || pipelines.some(({ due, health }) => due > 0 && health !== "paused"),
  );
  if (!value) return error ? <><h1>Pipelines</h1><Problem error={error} retry={reload} /></> : <Loading what="the pipelines" lines={6} />;
  return (
    <>
      <h1>Pipelines</h1>
      {error !== undefined && <p class="warning" role="status">What is shown may be old. {textOf(error)}</p>}
      {value.pipelines.length ? <Found {...value} /> : <None />}
    </>
  );
}

export function NotForViewers() {
  return (
    <Empty title="Pipelines are for editors">
      <p>You may ask questions about what pipelines derive; how they are doing is shown to editors and owners of the project.</p>
    </Empty>
  );
}

function None() {
  return (
    <div class="begin">
      <p class="lead">
        No pipeline yet. A pipeline keeps a derived collection: it reads the events of others, runs operations on them, and stores the rows that come out, again whenever the events change. Pipelines are described by a file in a folder, which lives in git:
      </p>
      <Code text={BEGIN} what="pipelines.toml" />
      <p class="gap">Where the server runs, say what it would change, and then apply it:</p>
      <Code text={"acumen plan FOLDER\nacumen apply FOLDER"} what="commands" />
      <p class="gap">
        A CI can do both <a href="/docs#tag/pipelines">over HTTP</a>. All keys and operations are in <code>docs/pipelines.md</code>, and a folder to begin with in <code>examples/pipelines</code>.
      </p>
    </div>
  );
}

function Found({ pipelines, running }: { pipelines: Pipeline[]; running: Set<string> }) {
  const { to } = useHere();
  const { query } = usePlace();
  const [wanted, setWanted] = useState("");
  const of = query.get("of") ?? "";
  const graph = useMemo(() => graphOf(pipelines), [JSON.stringify(pipelines.map(({ name, from, into }) => [name, from, into]))]);
  const states = new Map(pipelines.map((one) => [one.name, stateOf(one, running)]));
  const text = wanted.trim().toLowerCase();
  const chosen = graph.nodes.some(({ id }) => id === of) ? of : "";
  const seeds = text
    ? graph.nodes.filter(({ kind, name }) => name.toLowerCase().includes(text) || (kind === "pipeline" && pipelines.some((one) => one.name === name && one.owner.toLowerCase().includes(text)))).map(({ id }) => id)
    : chosen ? [chosen] : null;
  const shown = useMemo(() => (seeds ? around(graph, seeds) : graph), [graph, seeds?.join("\n")]);
  const kept = new Set(shown.nodes.map(({ id }) => id));
  const rows = pipelines.filter(({ name }) => kept.has(idOf("pipeline", name))).map((pipeline) => ({ pipeline, state: states.get(pipeline.name)! }));
  const choose = (id: string) => go(id === chosen ? to("pipelines") : `${to("pipelines")}?of=${encodeURIComponent(id)}`, { replace: true });
  const said = new Map(pipelines.map((one) => {
    const state = states.get(one.name)!;
    const more = stateText(one, state) || (one.rows ? countText(one.rows, "row") : "");
    return [idOf("pipeline", one.name), [state, more]] as [string, [ShownState, string]];
  }));
  const name = chosen.slice(chosen.indexOf("/") + 1);
  return (
    <>
      <div class="row spread">
        <Counts states={[...states.values()]} />
        <input type="search" aria-label="Search pipelines, collections and owners" placeholder="Search" value={wanted} onInput={(event) => setWanted(event.currentTarget.value)} />
      </div>
      <PipelineGraph graph={shown} states={said} chosen={text ? "" : chosen} choose={choose}
        label="Graph of collections and pipelines. Arrows move, Enter shows what is up- and downstream. The list below says the same.">
        {text ? (
          <p class="small">{rows.length ? `What “${wanted.trim()}” names, with what is up- and downstream: ${countText(rows.length, "pipeline")}.` : `Nothing is called “${wanted.trim()}”.`}</p>
        ) : chosen ? (
          <>
            <p class="small">Up- and downstream of {chosen.split("/")[0]} <strong>{name}</strong>: {countText(rows.length, "pipeline")}.</p>
            <a class="button" href={chosen.startsWith("p") ? to("pipelines", name) : to("data", name)}>Open {name}</a>
            <button type="button" class="quiet" onClick={() => choose(chosen)}>Show all</button>
          </>
        ) : (
          <p class="small">Choose one to see what is up- and downstream of it.</p>
        )}
      </PipelineGraph>
      {rows.length > 0 && <List rows={rows} />}
    </>
  );
}

function Counts({ states }: { states: ShownState[] }) {
  return (
    <p class="row counts-of" role="status">
      {(Object.keys(STATES) as ShownState[]).map((state) => {
        const count = states.filter((one) => one === state).length;
        return count > 0 && <StateBadge key={state} state={state} label={`${count.toLocaleString()} ${STATES[state]}`} />;
      })}
    </p>
  );
}

function List({ rows }: { rows: Row[] }) {
  const { to } = useHere();
  const [order, setOrder] = useState<Order>("state");
  const [down, setDown] = useState(false);
  const value = VALUES[order];
  const sorted = [...rows].sort((a, b) => {
    const [x, y] = [value(a), value(b)];
    const by = x < y ? -1 : x > y ? 1 : 0;
    return (down ? -by : by) || (a.pipeline.name < b.pipeline.name ? -1 : 1);
  });
  const sortBy = (one: Order) => {
    setDown(one === order ? !down : NUMBERS.includes(one));
    setOrder(one);
  };
  return (
    <div class="scroll" tabIndex={0} role="group" aria-label="List of pipelines">
      <table class="pipes">
        <thead>
          <tr>
            {(Object.keys(ORDERS) as Order[]).map((one) => (
              <th key={one} scope="col" class={columnOf(one)} aria-sort={one === order ? (down ? "descending" : "ascending") : undefined}>
                <button type="button" class="sort" onClick={() => sortBy(one)}>
                  {ORDERS[one]} <span aria-hidden="true">{one === order ? (down ? "▾" : "▴") : ""}</span>
                </button>
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {sorted.slice(0, SHOWN_MAX).map(({ pipeline, state }) => (
            <tr key={pipeline.name}>
              <th scope="row">
                <a class="name" href={to("pipelines", pipeline.name)}>{pipeline.name}</a>
                <p class="small flow">{pipeline.from.join(", ")} → {pipeline.into}</p>
                {pipeline.problem && <Why problem={pipeline.problem} />}
              </th>
              <td>
                <StateBadge state={state} />
                <p class="small">{stateText(pipeline, state)}</p>
              </td>
              <td class="roomy owner">{pipeline.owner}</td>
              <td class="number">{pipeline.rows.toLocaleString()}</td>
              <td class="number roomy">{secondsText(pipeline.processor_seconds)}</td>
              <td class="roomy when">{pipeline.derived_until ? shownTime(pipeline.derived_until) : "–"}</td>
            </tr>
          ))}
        </tbody>
      </table>
      {sorted.length > SHOWN_MAX && <p class="note">The first {SHOWN_MAX} of {sorted.length.toLocaleString()} are listed; search for others.</p>}
    </div>
  );
}

function columnOf(order: Order): string {
  return `${NUMBERS.includes(order) ? "number" : ""}${["owner", "seconds", "until"].includes(order) ? " roomy" : ""}`;
}
