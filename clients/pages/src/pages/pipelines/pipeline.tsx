/** One pipeline: how it does, its buckets, runs and steps, what it reads and what reads it. */
import { useMemo, useState } from "preact/hooks";
import { useHere } from "../../context.ts";
import { useLoaded } from "../../loading.ts";
import { go } from "../../router.ts";
import { call } from "../../session.ts";
import { Loading, Problem, textOf } from "../../ui/states.tsx";
import { Tabs } from "../../ui/tabs.tsx";
import { countText } from "../../words.ts";
import { shownTime } from "../../zones.ts";
import { BucketTable, ChangeBuckets, Strip, zoneOf, type Range } from "./buckets.tsx";
import { addressIn, lineageOf, type Bucket, type Details, type Lineage, type Run, type Timeline } from "./calls.ts";
import { Steps } from "./definition.tsx";
import { PipelineGraph } from "./graph.tsx";
import { around, graphOf, idOf, reached } from "./graph_model.ts";
import { NotForViewers } from "./list.tsx";
import { useLive } from "./live.ts";
import { AssetLink, ReaderList } from "./readers.tsx";
import { StateBadge, Why } from "./state.tsx";
import { bucketText, LATE, RUN_STATES, secondsText, stateOf, stateText } from "./words.ts";

/** Buckets of the calendar: two weeks of hours, a year of days. */
const SHOWN = { hour: 336, day: 371, week: 156, month: 120 };
const RUNS = 50;

interface Told {
  pipeline: Details;
  timeline: Timeline;
  buckets: Bucket[];
  runs: Run[];
}

export function PipelinePage({ name }: { name: string }) {
  return useHere().mayEdit ? <Watched name={name} /> : <NotForViewers />;
}

function Watched({ name }: { name: string }) {
  const { project, to } = useHere();
  const { value, error, reload } = useLive<Told>(
    async (signal) => {
      const get = <T,>(query: string, ...parts: string[]) => call<T>("GET", addressIn(project, "pipelines", name, ...parts) + query, undefined, signal);
      const pipeline = await get<Details>("");
      const limit = `?limit=${SHOWN[pipeline.bucket]}`;
      const [timeline, { buckets }, { runs }] = await Promise.all([
        get<Timeline>(limit, "timeline"),
        get<{ buckets: Bucket[] }>(limit, "buckets"),
        get<{ runs: Run[] }>(`?limit=${RUNS}`, "runs"),
      ]);
      return { pipeline, timeline, buckets, runs };
    },
    [project, name],
    ({ pipeline, runs }) => runs.some(({ state }) => state === "running") || (pipeline.due > 0 && pipeline.health !== "paused"),
  );
  if (!value) {
    return error ? (
      <>
        <h1>{name}</h1>
        <Problem error={error} retry={reload} />
        <p><a href={to("pipelines")}>All pipelines</a></p>
      </>
    ) : <Loading what="the pipeline" lines={6} />;
  }
  return <Shown {...value} error={error} reload={reload} />;
}

function Shown({ pipeline, timeline, buckets, runs, error, reload }: Told & { error: unknown; reload: () => void }) {
  const { to, say, project } = useHere();
  const [view, setView] = useState("buckets");
  const [range, setRange] = useState<Range | null>(null);
  const [changing, setChanging] = useState(false);
  const [fault, setFault] = useState<unknown>(null);
  const running = new Set(runs.filter(({ state, delivers }) => state === "running" && !delivers).map(({ pipeline }) => pipeline));
  const state = stateOf(pipeline, running);
  const pause = async () => {
    setFault(null);
    try {
      await call("POST", addressIn(project, "pipelines", pipeline.name, pipeline.paused ? "resume" : "pause"));
      say(`${pipeline.name} is ${pipeline.paused ? "resumed" : "paused"}.`);
      reload();
    } catch (failure) {
      setFault(failure);
    }
  };
  const { description } = pipeline.definition.pipeline;
  return (
    <>
      <p class="small"><a href={to("pipelines")}>Pipelines</a></p>
      <div class="row spread">
        <h1>{pipeline.name}</h1>
        <div class="row">
          <button type="button" onClick={pause}>{pipeline.paused ? "Resume" : "Pause"}</button>
          <button type="button" onClick={() => setChanging(true)}>Change buckets</button>
        </div>
      </div>
      {typeof description === "string" && <p class="lead">{description}</p>}
      {error !== undefined && <p class="warning" role="status">What is shown may be old. {textOf(error)}</p>}
      {fault !== null && <Problem error={fault} />}
      {pipeline.overdue && (
        <p class="warning" role="status">
          Overdue since {shownTime(pipeline.overdue.since)}: {LATE[pipeline.overdue.why] ?? pipeline.overdue.message}.
        </p>
      )}
      {pipeline.problem && state !== "fresh" && (
        <div class="problem">
          <p>The newest bucket that failed says:</p>
          <pre>{pipeline.problem}</pre>
        </div>
      )}
      <Facts pipeline={pipeline} state={state} />
      <section aria-labelledby="calendar" class="gap">
        <div class="row spread">
          <h2 id="calendar">Its {pipeline.bucket}s</h2>
          {range && (
            <div class="row">
              <button type="button" onClick={() => setChanging(true)}>Change what is chosen</button>
              <button type="button" class="quiet" onClick={() => setRange(null)}>Choose none</button>
            </div>
          )}
        </div>
        <Strip pipeline={pipeline} slots={timeline.buckets} range={range} choose={setRange} />
      </section>
      <Tabs label={`Of ${pipeline.name}`} chosen={view} choose={setView}
        tabs={[{ id: "buckets", label: "Buckets" }, { id: "runs", label: "Runs" }, { id: "steps", label: "Steps" }, { id: "lineage", label: "Lineage" }]}>
        {view === "buckets" && <BucketTable pipeline={pipeline} slots={timeline.buckets} buckets={buckets} total={timeline.total} />}
        {view === "runs" && <Runs pipeline={pipeline} runs={runs} />}
        {view === "steps" && <Steps pipeline={pipeline} />}
        {view === "lineage" && <LineageOf pipeline={pipeline} state={[state, stateText(pipeline, state)]} />}
      </Tabs>
      {changing && <ChangeBuckets pipeline={pipeline} range={range} close={() => setChanging(false)} done={() => (setChanging(false), setRange(null), reload())} />}
    </>
  );
}

function Facts({ pipeline, state }: { pipeline: Details; state: ReturnType<typeof stateOf> }) {
  const more = stateText(pipeline, state);
  return (
    <dl class="card facts-of">
      <dt>State</dt>
      <dd><StateBadge state={state} />{more && <span class="small"> {more}</span>}</dd>
      <dt>Reads</dt>
      <dd>{pipeline.from.map((name, at) => <span key={name}>{at > 0 && ", "}<AssetLink asset={{ kind: "collection", name }} /></span>)}</dd>
      <dt>Fills</dt>
      <dd><AssetLink asset={{ kind: "collection", name: pipeline.into }} /></dd>
      <dt>Owner</dt>
      <dd>{pipeline.owner}</dd>
      <dt>Buckets</dt>
      <dd>one for each {pipeline.bucket}, {zoneOf(pipeline)}</dd>
      <dt>Derived until</dt>
      <dd>{pipeline.derived_until ? shownTime(pipeline.derived_until) : "not yet"}</dd>
      {pipeline.fresh_within_seconds !== null && (
        <>
          <dt>Deadline</dt>
          <dd>lacks nothing that was stored {secondsText(pipeline.fresh_within_seconds)} before</dd>
        </>
      )}
      <dt>Rows</dt>
      <dd>{pipeline.rows.toLocaleString()}, in {secondsText(pipeline.processor_seconds)} of processor time</dd>
      <dt>Version</dt>
      <dd>{pipeline.version}{pipeline.revision && <> of git revision <code>{pipeline.revision}</code></>}</dd>
    </dl>
  );
}

function Runs({ pipeline, runs }: { pipeline: Details; runs: Run[] }) {
  if (!runs.length) return <p>No run is known. Runs that ended are forgotten after some days.</p>;
  const zone = zoneOf(pipeline);
  return (
    <div class="scroll" tabIndex={0} role="group" aria-label="Runs">
      <table>
        <thead>
          <tr>
            <th scope="col">Bucket</th>
            <th scope="col">State</th>
            <th scope="col" class="roomy">Began</th>
            <th scope="col" class="number">Took</th>
            <th scope="col" class="number roomy">Attempts</th>
            <th scope="col" class="roomy">Why</th>
          </tr>
        </thead>
        <tbody>
          {runs.map((run) => (
            <tr key={run.id}>
              <th scope="row">
                {bucketText(run.start, pipeline.bucket, zone)}
                {run.delivers && <p class="small">is delivered</p>}
              </th>
              <td>
                <span class={`state is-${RUN_COLOURS[run.state]}`}>
                  <span class="dot" aria-hidden="true" /> {RUN_STATES[run.state]}
                </span>
                {run.problem && <Why problem={run.problem} />}
              </td>
              <td class="roomy when">{run.began ? shownTime(run.began) : "–"}</td>
              <td class="number">{run.seconds === null ? "–" : secondsText(run.seconds)}</td>
              <td class="number roomy">{run.attempts}</td>
              <td class="roomy">{run.cause}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

const RUN_COLOURS: Record<Run["state"], string> = { waiting: "stale", running: "running", done: "fresh", dead: "failed", cancelled: "skipped", replayed: "failed", superseded: "failed" };

function LineageOf({ pipeline, state }: { pipeline: Details; state: [ReturnType<typeof stateOf>, string] }) {
  const { project, to } = useHere();
  const { value, error, reload } = useLoaded<[Lineage, Lineage]>(
    async (signal) => Promise.all([lineageOf(project, null, signal), lineageOf(project, pipeline.into, signal)]),
    [project, pipeline.name, pipeline.version],
  );
  const own = idOf("pipeline", pipeline.name);
  const graph = useMemo(() => {
    const known = (value?.[0].readers ?? []).filter(({ kind }) => kind === "pipeline");
    return around(graphOf(known.map(({ name, reads, into }) => ({ name, from: reads.map((one) => one.name), into: into! }))), [own]);
  }, [value, own]);
  if (error) return <Problem error={error} retry={reload} />;
  if (!value) return <Loading what="the lineage" lines={4} />;
  const above = reached(graph.edges, [own], 1);
  const upstream = graph.nodes.filter(({ id }) => above.has(id) && id !== own);
  const { readers } = value[1];
  const choose = (id: string) => {
    const node = graph.nodes.find((one) => one.id === id)!;
    if (id !== own) go(to(node.kind === "pipeline" ? "pipelines" : "data", node.name));
  };
  return (
    <>
      <PipelineGraph graph={graph} states={new Map([[own, state]])} chosen={own} choose={choose} label="Graph of what is up- and downstream. The lists below say the same; Enter opens.">
        <p class="small">Choose one to open it.</p>
      </PipelineGraph>
      <div class="two-columns">
        <section aria-labelledby="upstream">
          <h2 id="upstream">Upstream</h2>
          <ul class="list">
            {upstream.map(({ id, kind, name }) => (
              <li key={id}>
                <AssetLink asset={{ kind, name }} />
                <span class="small">{kind === "pipeline" ? "pipeline" : pipeline.from.includes(name) ? "collection, read directly" : "collection"}</span>
              </li>
            ))}
          </ul>
        </section>
        <section aria-labelledby="downstream">
          <h2 id="downstream">What reads {pipeline.into}</h2>
          {readers.length ? <ReaderList readers={readers} collection={pipeline.into} /> : <p>Nothing that is saved. Programs may ask about it all the same.</p>}
          {readers.length > 0 && <p class="small">{countText(readers.length, "definition")}, directly or by way of others.</p>}
        </section>
      </div>
    </>
  );
}
