/** All that one actor did, over all collections that know the actor: a summary, and the events by day. */
import { useMemo, useState } from "preact/hooks";
import { useHere } from "../../context.ts";
import { dayIn } from "../../days.ts";
import { go, here, usePlace } from "../../router.ts";
import { mayManage } from "../../session.ts";
import { Combobox } from "../../ui/combobox.tsx";
import { Empty, Loading, Problem, textOf } from "../../ui/states.tsx";
import { shownTime, viewersZone, zoneNames } from "../../zones.ts";
import { countText } from "../../words.ts";
import { EventDetail } from "../events/table.tsx";
import { shownValue, type PathValue } from "../events/paths.ts";
import { addressOf } from "../explore/address.ts";
import { actorIn, type Actor } from "./address.ts";
import { DeletionPanel } from "./deletion.tsx";
import { filtersOf, useActor, type Known } from "./known.ts";
import { merged, type Happening } from "./merged.ts";
import { crowded, tellingOf } from "./telling.ts";

export function ActorPage({ property }: { property: string }) {
  const { query } = usePlace();
  const actor = actorIn(property, query);
  if (!actor) {
    return (
      <Empty title="Whose timeline?">
        <p>The address says which property names the actor, and its value: open an event and choose “Timeline of …”.</p>
      </Empty>
    );
  }
  return <Timeline key={`${property} ${JSON.stringify(actor.value)}`} actor={actor} zone={query.get("zone") ?? viewersZone()} />;
}

function Timeline({ actor, zone }: { actor: Actor; zone: string }) {
  const { project } = useHere();
  const mayExtract = project.permissions.includes("extractions");
  const { more, reload, ...known } = useActor(actor, mayExtract);
  const [deleting, setDeleting] = useState(false);
  const shown = useMemo(() => merged(known.parts), [known.parts]);
  if (known.error) return <><h1>Timeline</h1><Problem error={known.error} retry={reload} /></>;
  const sum = known.parts.reduce((all, { count }) => all + count, 0);
  const whole = known.parts.every((one) => one.whole);
  const done = known.looked === known.of && !known.busy;
  return (
    <>
      <div class="row spread">
        <h1>
          <span class="muted">{actor.property} =</span> {shownValue(actor.value)}
        </h1>
        {mayManage(project) && done && known.parts.length > 0 && known.failed.length === 0 && (
          <button type="button" class="quiet" onClick={() => setDeleting(true)}>
            Delete this actor’s events…
          </button>
        )}
      </div>
      <Summary actor={actor} known={known} sum={sum} />
      {known.failed.map(({ collection, error }) => (
        <p class="warning" key={collection}>
          {collection} could not be asked: {textOf(error)}
        </p>
      ))}
      {done && !known.parts.length && <Nothing actor={actor} of={known.of} />}
      {!mayExtract && known.parts.length > 0 && <p class="note">Your key may not read single events, only how many there are.</p>}
      {mayExtract && known.parts.length > 0 && (
        <>
          <ZoneChoice zone={zone} />
          <Days actor={actor} happenings={shown} zone={zone} />
          {!whole && (
            <p class="gap">
              <button type="button" disabled={known.busy} onClick={more}>
                {known.busy ? "Loading …" : "Load more"}
              </button>{" "}
              <span class="small">{shown.length.toLocaleString()} of {sum.toLocaleString()} are shown.</span>
            </p>
          )}
          {whole && done && <p class="small gap">That is all: {countText(sum, "event")}.</p>}
        </>
      )}
      {deleting && <DeletionPanel actor={actor} parts={known.parts} close={() => setDeleting(false)} done={reload} />}
    </>
  );
}

function Nothing({ actor, of }: { actor: Actor; of: number }) {
  const { value } = actor;
  const isNumeric = typeof value === "string" && /^\s*-?\d+(\.\d+)?\s*$/.test(value);
  const hint = isNumeric ? " It may be stored as a number." : typeof value === "string" ? "" : " It may be stored as a text, in quotes.";
  return (
    <Empty title="No event of this actor">
      {of === 0 ? <p>No collection has the property {actor.property}.</p> : <p>{of === 1 ? "One collection has" : `${of} collections have`} the property, and none this value.{hint}</p>}
    </Empty>
  );
}

function Summary({ actor, known, sum }: { actor: Actor; known: Known; sum: number }) {
  const { to } = useHere();
  const firsts = known.parts.flatMap(({ first }) => first ?? []).sort();
  const lasts = known.parts.flatMap(({ last }) => last ?? []).sort();
  const { parts } = known;
  if (!parts.length && !known.busy && known.looked === known.of) return null;
  const explore = (event_collection: string) => {
    const question = { analysis_type: "count", event_collection, filters: filtersOf(actor), timeframe: "this_30_days", interval: "daily", timezone: viewersZone() };
    return addressOf({ question, type: "", view: "chart", saved: "" }, to("explore"));
  };
  return (
    <section class="card part" aria-label="Summary" aria-busy={known.looked < known.of}>
      {known.looked < known.of || (known.busy && !known.parts.length) ? (
        <p class="waiting" role="status">
          {known.of ? `Looking through ${known.of} collections: ${known.looked} done` : "Looking for collections"}
        </p>
      ) : null}
      {known.busy && !known.parts.length && <Loading what="the timeline" lines={2} />}
      {known.parts.length > 0 && (
        <>
          <dl>
            <dt>First seen</dt>
            <dd>{firsts[0] ? shownTime(firsts[0]) : "–"}</dd>
            <dt>Last seen</dt>
            <dd>{lasts.length ? shownTime(lasts.at(-1)!) : "–"}</dd>
            <dt>Events</dt>
            <dd>{sum.toLocaleString()}</dd>
          </dl>
          <ul class="counts">
            {parts.map(({ collection, count }) => (
              <li key={collection}>
                <a href={explore(collection)}>{collection}</a> {count.toLocaleString()}
              </li>
            ))}
          </ul>
        </>
      )}
    </section>
  );
}

function ZoneChoice({ zone }: { zone: string }) {
  const set = (chosen: string) => {
    const { path, query } = here();
    if (chosen && chosen !== viewersZone()) query.set("zone", chosen);
    else query.delete("zone");
    go(`${path}?${query}`, { replace: true });
  };
  return (
    <div class="field zone">
      <label for="zone">Days in the time zone</label>
      <Combobox id="zone" value={zone} free={false} commit={set}
        options={zoneNames().map((value) => ({ value, ...(value === viewersZone() && { hint: "yours" }) }))} />
    </div>
  );
}

function Days({ actor, happenings, zone }: { actor: Actor; happenings: Happening[]; zone: string }) {
  const telling = useMemo(() => tellingOf(happenings, actor.property), [happenings]);
  const isCrowded = useMemo(() => crowded(happenings), [happenings]);
  const days = new Map<string, Happening[]>();
  for (const one of happenings) {
    const day = dayIn(zone, one.event.keen.timestamp);
    days.set(day, [...(days.get(day) ?? []), one]);
  }
  const written = (day: string) => new Date(`${day}T12:00:00Z`).toLocaleDateString(undefined, { dateStyle: "full", timeZone: "UTC" });
  return (
    <>
      {[...days].map(([day, list]) => (
        <section key={day} class="day">
          <h2>{written(day)}</h2>
          <ol class="list">
            {list.map((one) => (
              <Row key={`${one.collection} ${one.event.keen.id}`} {...one} told={telling(one)} zone={zone} fine={isCrowded(one)} />
            ))}
          </ol>
        </section>
      ))}
    </>
  );
}

interface RowProps extends Happening {
  /** What tells it from others of its collection. */
  told: PathValue[];
  zone: string;
  /** Whether its time needs more than seconds. */
  fine: boolean;
}

function Row({ collection, event, told, zone, fine }: RowProps) {
  const [open, setOpen] = useState(false);
  const digits = { hour: "2-digit", minute: "2-digit", second: "2-digit", fractionalSecondDigits: 3 } as const;
  const time = new Date(event.keen.timestamp).toLocaleTimeString(undefined, { ...(fine ? digits : { timeStyle: "medium" }), timeZone: zone });
  return (
    <li>
      <button type="button" class="link when" aria-expanded={open} onClick={() => setOpen(!open)}>
        {time}
      </button>
      <span class="name">{collection}</span>
      <span class="grow small">{told.map(({ path, value }) => `${path}: ${shownValue(value)}`).join(" · ")}</span>
      {open && (
        <div class="whole">
          <EventDetail event={event} />
        </div>
      )}
    </li>
  );
}
