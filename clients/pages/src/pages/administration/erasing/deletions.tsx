/** Deletions that wait and those of the last day, and a form that makes one. */
import { useEffect, useState } from "preact/hooks";
import { useHere } from "../../../context.ts";
import { useLoaded } from "../../../loading.ts";
import type { Condition } from "../../../question.ts";
import { schemaOf } from "../../../schema.ts";
import { FindActor } from "../../actors/find.tsx";
import { Loading, Problem } from "../../../ui/states.tsx";
import { shownTime } from "../../../zones.ts";
import { countText, sizeText } from "../../../words.ts";
import { manage } from "../api.ts";
import type { SectionProps } from "../settings.tsx";
import { Erase } from "./erase.tsx";

interface Erasure {
  id: number;
  kind: "events" | "property" | "update";
  state: "waiting" | "done" | "failed";
  event_collection: string | null;
  requested_at: string;
  ended_at: string | null;
  events: number;
  problem: string | null;
  filters: Condition[] | null;
  timeframe: { start: string | null; end: string | null } | null;
  property_name: string | null;
  on_disk: { gone: boolean; files: number; bytes: number; segments: number; by: string | null } | null;
}

const LOOK_SECONDS = 3;

export function Deletions(_: SectionProps) {
  const { client, project } = useHere();
  const schema = useLoaded((signal) => schemaOf(client, signal), [client]);
  const { value, error, reload } = useLoaded(() => manage<Erasure[]>(project, "GET", "erasures"), [project.id]);
  const moves = value?.some((one) => one.state === "waiting" || one.on_disk?.gone === false) ?? false;
  useEffect(() => {
    if (!moves) return;
    const timer = setInterval(() => document.hidden || reload(), LOOK_SECONDS * 1000);
    return () => clearInterval(timer);
  }, [moves, reload]);
  return (
    <>
      <p class="lead">The timeline of a person has their events of all collections, and deletes them.</p>
      <FindActor schema={schema.value ?? []} />
      <Erase done={reload} />
      <section class="below" aria-labelledby="deletions">
        <h2 id="deletions">Deletions and changes of the last day</h2>
        <p class="lead">Who asked for them is in the audit log. What they were about is forgotten with the events.</p>
        {error ? <Problem error={error} retry={reload} /> : !value ? <Loading what="deletions" /> : null}
        {value?.length === 0 && <p class="lead">Nothing was deleted or changed.</p>}
        {value && value.length > 0 && (
          <ul class="list" aria-label="Deletions">
            {value.map((one) => (
              <Row key={one.id} one={one} />
            ))}
          </ul>
        )}
      </section>
    </>
  );
}

const STATES = { waiting: "in progress", done: "done", failed: "failed" } as const;

function Row({ one }: { one: Erasure }) {
  const [opened, setOpened] = useState(false);
  const narrowed = one.filters?.length || one.timeframe;
  return (
    <li>
      <div class="grow">
        <p class="name">
          {titleOf(one)} <span class={`badge${one.state === "failed" ? " warn" : ""}`}>{STATES[one.state]}</span>
        </p>
        <p class="small">
          asked for {shownTime(one.requested_at)}
          {one.ended_at && `, ended ${shownTime(one.ended_at)}`}
        </p>
        {diskText(one) && <p class="small">{diskText(one)}</p>}
        {one.problem && <p class="fault">{one.problem}</p>}
        {narrowed && (
          <>
            <button type="button" class="link" aria-expanded={opened} onClick={() => setOpened(!opened)}>
              Which events
            </button>
            {opened && <pre>{JSON.stringify({ filters: one.filters ?? [], timeframe: one.timeframe }, null, 2)}</pre>}
          </>
        )}
      </div>
    </li>
  );
}

function titleOf({ kind, state, events, event_collection, property_name }: Erasure): string {
  const where = event_collection === null ? "a collection that is gone" : event_collection;
  const what = { events: "Events", property: property_name ? `The property ${property_name}` : "A property", update: "Changes" }[kind];
  return state === "done" ? `${what} in ${where}: ${countText(events, "event")}` : `${what} in ${where}`;
}

function diskText({ on_disk: left, kind, events }: Erasure): string {
  if (!left || !events) return "";
  const whose = kind === "update" ? "The old values" : "Their bytes";
  if (left.gone) return `${whose} are gone from the disk.`;
  const parts = [
    left.files > 0 && `${countText(left.files, "old file")} (${sizeText(left.bytes)})`,
    left.segments > 0 && countText(left.segments, "part of the log", "parts of the log"),
  ].filter(Boolean);
  return `In no answer any more. Still on the disk: ${parts.join(" and ")}${left.by ? `, until about ${shownTime(left.by)}` : ""}.`;
}
