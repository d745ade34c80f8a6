/** The first event: sent from this page or from somewhere else, seen when it arrives, and drawn. */
import type { StoredEvent } from "acumen-client";
import { useEffect, useRef, useState } from "preact/hooks";
import { useHere } from "../../context.ts";
import { useLoaded } from "../../loading.ts";
import { mayEdit, mayManage, recorderOf, TOKEN } from "../../session.ts";
import { sendSnippets } from "../../snippets.ts";
import { shownTime, viewersZone } from "../../zones.ts";
import { Chart } from "../../ui/charts.tsx";
import { Snippets } from "../../ui/code.tsx";
import { Problem, textOf } from "../../ui/states.tsx";
import { keyToSend, writeKeyOf } from "./keys.ts";

const COLLECTION = "visits";
const EVENT = { page: "/pricing", seconds: 42, user: { id: "ann", plan: "free" } };
const LOOK_SECONDS = 3;

export function FirstEvent({ collections, look }: { collections: string[]; look: () => void }) {
  const arrived = useArrivals(collections, look);
  return (
    <>
      <p class="lead">
        {arrived.events.length ? "It works." : "Nothing has been recorded here yet."} An event is a fact with a name and a few properties: somebody saw a page,
        bought something, signed up.
      </p>
      <ol class="steps">
        <li>
          <h2>Send an event</h2>
          <SendIt fromHere />
        </li>
        <li>
          <h2>See it arrive</h2>
          <Arrivals events={arrived.events} error={arrived.error} />
        </li>
        <li>
          <h2>Ask a question</h2>
          {arrived.events.length ? <FirstChart count={arrived.events.length} /> : <p>A chart will stand here.</p>}
        </li>
      </ol>
    </>
  );
}

/** The events of the collection as they come; events of others are found by looking at what there is. */
function useArrivals(collections: string[], look: () => void) {
  const { client } = useHere();
  const [events, setEvents] = useState<StoredEvent[]>([]);
  const [error, setError] = useState<unknown>(null);
  const other = collections.find((name) => name !== COLLECTION);
  useEffect(() => {
    const abort = new AbortController();
    const follow = async () => {
      for await (const event of client.tail(COLLECTION, { signal: abort.signal })) {
        setEvents((before) => [event, ...before].slice(0, 5));
      }
    };
    follow().catch((failure: unknown) => abort.signal.aborted || setError(failure));
    return () => abort.abort(new DOMException("", "AbortError"));
  }, [client]);
  const found = events.length > 0 || other !== undefined;
  useEffect(() => {
    if (found) return;
    const timer = setInterval(() => document.hidden || look(), LOOK_SECONDS * 1000);
    return () => clearInterval(timer);
  }, [found, look]);
  const latest = useLoaded(
    async (signal) => (other ? (await client.extraction(other, { latest: 5 }, { signal })).result : []),
    [other],
  );
  return { events: events.length ? events : (latest.value ?? []), error };
}

interface SendItProps {
  /** Whether this page can send its example, which would be among the events of a project that has some. */
  fromHere?: boolean;
}

/** The code that sends an event, with a key filled in. */
export function SendIt({ fromHere = false }: SendItProps) {
  const { client, project, say, to } = useHere();
  // A session records nothing: that takes a key, which editors and owners get.
  const maySend = mayEdit(project);
  const known = useLoaded(async (signal) => (mayManage(project) ? writeKeyOf(client, signal) : null), [client]);
  const [made, setMade] = useState<string | null>(null);
  const [state, setState] = useState<{ busy: boolean; error: unknown }>({ busy: false, error: null });
  const key = made ?? known.value ?? null;
  const run = (task: () => Promise<void>) => {
    setState({ busy: true, error: null });
    task().then(
      () => setState({ busy: false, error: null }),
      (error: unknown) => setState({ busy: false, error }),
    );
  };
  const send = async () => {
    const used = key ?? (await keyToSend(client, project));
    setMade(used);
    await recorderOf(project, used).record(COLLECTION, EVENT);
    say("The event is stored.");
  };
  return (
    <>
      {maySend && fromHere ? (
        <p class="row">
          <button type="button" class="main" disabled={state.busy || known.busy} onClick={() => run(send)}>
            Send an event from this page
          </button>
          <span>or from a program:</span>
        </p>
      ) : (
        !maySend && <p>Events are sent with a key, which owners of the project see. Whoever has one can send an event like this:</p>
      )}
      {state.error !== null && <Problem error={state.error} />}
      <Snippets label="Ways to send" of={sendSnippets(project.id, key ?? "WRITE_KEY", COLLECTION, EVENT)} />
      {maySend && !key && !known.busy && (
        <p class="hint">
          WRITE_KEY stands for the project's write key.{" "}
          <button type="button" class="link" onClick={() => run(async () => setMade(await keyToSend(client, project)))}>
            {mayManage(project) ? "Make a key that can only send, and fill it in" : "Fill it in"}
          </button>
        </p>
      )}
      {maySend && (
        <p class="gap">
          You have the data already? <a href={to("import")}>Import a file</a>.
        </p>
      )}
      {key && <p class="hint">The key in the examples can send events and nothing else.</p>}
    </>
  );
}

function Arrivals({ events, error }: { events: StoredEvent[]; error: unknown }) {
  if (error) return <p class="warning">The live view is not available: {textOf(error)}</p>;
  if (!events.length) {
    return (
      <p class="waiting" role="status">
        <span class="pulse" aria-hidden="true" /> Waiting for the first event …
      </p>
    );
  }
  return (
    <ul class="arrivals" aria-live="polite">
      {events.map((event) => (
        <li key={event.keen.id}>
          <p class="small">{shownTime(event.keen.timestamp)}</p>
          <pre>
            <code>{JSON.stringify({ ...event, keen: undefined }, null, 2)}</code>
          </pre>
        </li>
      ))}
    </ul>
  );
}

function FirstChart({ count }: { count: number }) {
  const { project, to } = useHere();
  const name = COLLECTION;
  const timezone = viewersZone();
  const query = { analysis_type: "count", event_collection: name, timeframe: "this_1_hours", timezone, interval: "minutely" };
  const chart = useRef<{ reload(): Promise<void> } | null>(null);
  const seen = useRef(count);
  useEffect(() => {
    if (count !== seen.current) void chart.current?.reload();
    seen.current = count;
  }, [count]);
  return (
    <>
      <div class="card">
        <Chart
          onReady={(made) => (chart.current = made)}
          project={project.id}
          token={TOKEN}
          query={JSON.stringify(query)}
          title="Events in this hour"
          type="bar"
          height="260"
        />
      </div>
      <p class="row">
        <a class="button main" href={`${to("explore")}?q=${encodeURIComponent(JSON.stringify({ ...query, timeframe: "today", interval: "hourly" }))}`}>
          Ask more in the explorer
        </a>
        <a class="button" href={to("data", name)}>
          Look at the data
        </a>
      </p>
    </>
  );
}
