/** The live view: events of a collection as they arrive. */
import type { StoredEvent } from "acumen-client";
import { useEffect, useState } from "preact/hooks";
import { useHere } from "../../context.ts";
import { useLoaded } from "../../loading.ts";
import { schemaOf } from "../../schema.ts";
import { Problem } from "../../ui/states.tsx";
import { EventTable } from "../events/table.tsx";

const KEPT_MAX = 200;

export function LivePage({ name }: { name: string }) {
  const { client, to } = useHere();
  const [paused, setPaused] = useState(false);
  const live = useTail(name, paused);
  const schema = useLoaded(async (signal) => (await schemaOf(client, signal)).find((one) => one.name === name), [client, name, live.events.length > 0]);
  return (
    <>
      <div class="row spread">
        <h1>{name}, live</h1>
        <div class="row">
          <a class="button" href={to("data", name)}>
            Stored events
          </a>
          <button type="button" aria-pressed={paused} onClick={() => setPaused(!paused)}>
            {paused ? "Go on" : "Pause"}
          </button>
        </div>
      </div>
      {live.error ? <Problem error={live.error} /> : null}
      <p class="waiting" role="status">
        {!paused && live.open && <span class="pulse" aria-hidden="true" />}
        {paused ? "Paused" : live.open ? "Listening" : live.error ? "Not connected" : "Connecting …"} ·{" "}
        {live.count.toLocaleString()} since you came
        {live.left > 0 && `, ${live.left.toLocaleString()} left out because they came too fast`}
      </p>
      {live.events.length > 0 ? (
        <EventTable collection={name} events={live.events} properties={schema.value?.properties ?? []} />
      ) : (
        <p class="note">Events show up here about a tenth of a second after they are stored.</p>
      )}
    </>
  );
}

interface Live {
  events: StoredEvent[];
  count: number;
  left: number;
  open: boolean;
  error: unknown;
}

function useTail(name: string, paused: boolean): Live {
  const { client } = useHere();
  const [live, setLive] = useState<Live>({ events: [], count: 0, left: 0, open: false, error: null });
  useEffect(() => {
    if (paused) return;
    const abort = new AbortController();
    const change = (patch: (now: Live) => Partial<Live>) =>
      abort.signal.aborted || setLive((now) => ({ ...now, ...patch(now) }));
    const follow = async () => {
      const tail = client.tail(name, {
        signal: abort.signal,
        onState: (state) => change(() => ({ open: state === "open" })),
        onGap: (events) => change(({ left }) => ({ left: left + events })),
      });
      for await (const event of tail) {
        change(({ events, count }) => ({ events: [event, ...events].slice(0, KEPT_MAX), count: count + 1 }));
      }
    };
    follow().catch((error: unknown) => change(() => ({ error, open: false })));
    return () => abort.abort(new DOMException("", "AbortError"));
  }, [client, name, paused]);
  return live;
}
