/** What is behind a number: its events, or the actors of a funnel's step. */
import type { Question } from "acumen-client";
import { useEffect, useState } from "preact/hooks";
import { behind, type Behind, type GroupValue, type Place } from "../../behind.ts";
import { useHere } from "../../context.ts";
import { useLoaded } from "../../loading.ts";
import { useOpened } from "../../router.ts";
import { Panel } from "../../ui/panel.tsx";
import { Tabs } from "../../ui/tabs.tsx";
import { saveText } from "../../ui/download.ts";
import { Loading, Problem } from "../../ui/states.tsx";
import { shownTime } from "../../zones.ts";
import { timelineAddress } from "../actors/address.ts";
import { ofStep } from "../cohorts/definition.ts";
import { EventList } from "./list.tsx";
import { shownValue } from "./paths.ts";

interface Chosen {
  place: Place;
  question: Question;
}

/** The place that was chosen in a chart below `element`, until it is closed; `name` tells it from other charts of the page. */
export function useChosen(name: string, element: HTMLElement | null, own?: Question | null) {
  const [chosen, open, close] = useOpened<Chosen>(`behind-${name}`);
  useEffect(() => {
    if (!element) return;
    const select = (event: Event) => {
      const { query, ...place } = (event as CustomEvent<Place & { query: Question }>).detail;
      const question = own ?? query;
      // Definitions of saved queries may be hidden from who may see their results.
      if (question?.analysis_type) open({ place, question: withoutNull(question) });
    };
    element.addEventListener("select", select);
    return () => element.removeEventListener("select", select);
  }, [element, JSON.stringify(own)]);
  return { chosen, close };
}

function withoutNull(question: Question): Question {
  return Object.fromEntries(Object.entries(question).filter(([, value]) => value !== null)) as Question;
}

export function BehindPanel({ place, question, close }: Chosen & { close: () => void }) {
  const found = behind(question, place);
  const number = place.value?.toLocaleString();
  const name = [place.timeframe ? shownTime(place.timeframe.start) : place.name, place.series].filter(Boolean).join(" · ");
  return (
    <Panel title={`Behind ${[name, number].filter(Boolean).join(": ")}`} close={close}>
      <Contents found={found} />
    </Panel>
  );
}

function Contents({ found }: { found: Behind }) {
  if (found.kind === "none") return <p class="note">{found.why}</p>;
  if (found.kind === "events") {
    return (
      <>
        <Timelines groups={found.groups} />
        <EventList question={found.question} />
      </>
    );
  }
  return <Actors {...found} />;
}

/** Values that may name an actor, whose whole timeline is elsewhere. */
function Timelines({ groups }: { groups: GroupValue[] }) {
  const { to } = useHere();
  const known = groups.filter(({ value, plain }) => plain && value !== null);
  if (!known.length) return null;
  return (
    <p class="row">
      {known.map(({ property, value }) => (
        <a key={property} href={timelineAddress(to, property, value)}>
          Timeline of {property} = {shownValue(value)}
        </a>
      ))}
    </p>
  );
}

const REACHED = { id: "actors", label: "Who reached this step" };
const LOST = { id: "lost", label: "Who reached the step before and not this one" };
const EVENTS = { id: "events", label: "All events of this step" };
const ACTORS_SHOWN = 100;
const ACTORS_MAX = 20_000;

function Actors({ question, step, actor, events, not, words }: Extract<Behind, { kind: "actors" }>) {
  const { client } = useHere();
  const [view, setView] = useState("actors");
  const called = (tab: { id: string; label: string }, label: string | undefined) => ({ ...tab, label: label ?? tab.label });
  const all = [called(REACHED, words?.reached), ...(not ? [called(LOST, words?.lost)] : []), called(EVENTS, words?.events)];
  return (
    <>
      <p class="small">
        {words?.about ?? `Who reached step ${step + 1} did all before it.`} {actor && `They are told from each other by ${actor}.`}
      </p>
      <Tabs label="Of this step" tabs={all} chosen={view} choose={setView}>
        {view === "actors" && <ActorList key="actors" question={question} step={step} actor={actor} client={client} nobody={words?.nobody} />}
        {view === "lost" && not && <ActorList key="lost" {...not} step={step} client={client} lost />}
        {view === "events" && <EventList question={events} />}
      </Tabs>
    </>
  );
}

interface ActorListProps {
  question: Question;
  step: number;
  actor: string;
  client: ReturnType<typeof useHere>["client"];
  /** Whether they are those who did not reach the step. */
  lost?: boolean;
  /** Whether the answer names them as those who dropped out. */
  dropped?: boolean;
  nobody?: string | undefined;
}

function ActorList({ question, step, actor: said, client, lost = false, dropped = false, nobody = "Nobody reached this step." }: ActorListProps) {
  const { to, mayEdit } = useHere();
  const cohort = mayEdit ? ofStep(question, step, dropped) : null;
  const [shown, setShown] = useState(ACTORS_SHOWN);
  const [wanted, setWanted] = useState("");
  const found = useLoaded(
    async (signal) => {
      const { analysis_type: analysis, ...asked } = question;
      const plain = { ...asked, steps: (question.steps as object[]).map((one) => ({ ...one, with_actors: false, with_dropped: false })) };
      const counts = (await client.query(analysis, plain, { signal })).result as number[];
      const most = dropped ? counts[step - 1]! - counts[step]! : counts[step]!;
      if (most > ACTORS_MAX) return { count: most, actors: null, actor: said };
      const { body } = await client.query(analysis, asked, { signal });
      const told = body as { actors?: (unknown[] | null)[]; dropped?: (unknown[] | null)[]; steps?: { actor_property?: unknown }[] };
      const actors = (dropped ? told.dropped : told.actors)?.[step] ?? [];
      // Where the question does not say it, the project's settings do.
      return { count: actors.length, actors, actor: said || String([told.steps?.[step]?.actor_property].flat()[0]) };
    },
    [client, JSON.stringify(question), step],
  );
  if (found.error) return <Problem error={found.error} retry={found.reload} />;
  if (!found.value) return <Loading what="actors" lines={6} />;
  const { count, actors, actor } = found.value;
  if (!actors) {
    return <p class="note">{count.toLocaleString()} actors are too many to list here. Narrow the funnel by filters or a shorter time.</p>;
  }
  const matching = actors.filter((one) => String(one).toLowerCase().includes(wanted.toLowerCase()));
  return (
    <>
      <div class="row spread tools">
        <p class="small" role="status">{matching.length.toLocaleString()} of {count.toLocaleString()}</p>
        <div class="row">
          <input type="search" aria-label="Search actors" placeholder="Search" value={wanted}
            onInput={(event) => (setWanted(event.currentTarget.value), setShown(ACTORS_SHOWN))} />
          {cohort && (
            <a class="button" href={`${to("cohorts")}?of=${encodeURIComponent(JSON.stringify(cohort))}`}>
              Make a cohort of them
            </a>
          )}
          {matching.length > 0 && (
            <button type="button" onClick={() => saveText(`step-${step + 1}-${lost ? "not-reached" : "reached"}.csv`, "text/csv", csvOf(actor, matching))}>
              Export as CSV
            </button>
          )}
        </div>
      </div>
      {actors.length === 0 ? (
        <p>{lost ? "All who reached the step before reached this one too." : nobody}</p>
      ) : (
        <ul class="list compact">
          {matching.slice(0, shown).map((one) => (
            <li key={JSON.stringify(one)}>
              <a href={timelineAddress(to, actor, one)}>{shownValue(one)}</a>
            </li>
          ))}
        </ul>
      )}
      {matching.length > shown && (
        <p class="gap">
          <button type="button" onClick={() => setShown(shown * 2)}>
            Show more
          </button>
        </p>
      )}
    </>
  );
}

function csvOf(actor: string, actors: readonly unknown[]): string {
  const cell = (value: unknown) => `"${(typeof value === "string" ? value : JSON.stringify(value)).replaceAll('"', '""')}"`;
  return [actor, ...actors].map((one) => `${cell(one)}\r\n`).join("");
}
