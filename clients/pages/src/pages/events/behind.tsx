/** What is behind a number: its events, or the actors of a funnel's step. */
import type { Question } from "acumen-client";
import { useEffect, useState } from "preact/hooks";
import { behind, type Behind, type GroupValue, type Place } from "../../behind.ts";
import { useHere } from "../../context.ts";
import { useLoaded } from "../../loading.ts";
import { useOpened } from "../../router.ts";
import { Panel } from "../../ui/panel.tsx";
import { Tabs } from "../../ui/tabs.tsx";
import { Loading, Problem } from "../../ui/states.tsx";
import { shownTime } from "../../zones.ts";
import { timelineAddress } from "../actors/address.ts";
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

const VIEWS = [
  { id: "actors", label: "Who is left" },
  { id: "events", label: "All events of this step" },
];
const ACTORS_SHOWN = 100;
const ACTORS_MAX = 20_000;

function Actors({ question, step, actor, events }: Extract<Behind, { kind: "actors" }>) {
  const { client } = useHere();
  const [view, setView] = useState("actors");
  return (
    <>
      <p class="small">
        Those who are left at step {step + 1} are told from each other by {actor}.
      </p>
      <Tabs label="Of this step" tabs={VIEWS} chosen={view} choose={setView}>
        {view === "actors" ? <ActorList question={question} step={step} actor={actor} client={client} /> : <EventList question={events} />}
      </Tabs>
    </>
  );
}

interface ActorListProps {
  question: Question;
  step: number;
  actor: string;
  client: ReturnType<typeof useHere>["client"];
}

function ActorList({ question, step, actor, client }: ActorListProps) {
  const { to } = useHere();
  const [shown, setShown] = useState(ACTORS_SHOWN);
  const [wanted, setWanted] = useState("");
  const found = useLoaded(
    async (signal) => {
      const { analysis_type: analysis, ...asked } = question;
      const plain = { ...asked, steps: (question.steps as object[]).map((one) => ({ ...one, with_actors: false })) };
      const counts = (await client.query(analysis, plain, { signal })).result as number[];
      if (counts[step]! > ACTORS_MAX) return { count: counts[step]!, actors: null };
      const { body } = await client.query(analysis, asked, { signal });
      const actors = (body as { actors?: (unknown[] | null)[] }).actors?.[step] ?? [];
      return { count: actors.length, actors };
    },
    [client, JSON.stringify(question), step],
  );
  if (found.error) return <Problem error={found.error} retry={found.reload} />;
  if (!found.value) return <Loading what="actors" lines={6} />;
  const { count, actors } = found.value;
  if (!actors) {
    return <p class="note">{count.toLocaleString()} actors are too many to list here. Narrow the funnel by filters or a shorter time.</p>;
  }
  const matching = actors.filter((one) => String(one).toLowerCase().includes(wanted.toLowerCase()));
  return (
    <>
      <div class="row spread tools">
        <p class="small" role="status">{matching.length.toLocaleString()} of {count.toLocaleString()}</p>
        <input type="search" aria-label="Search actors" placeholder="Search" value={wanted}
          onInput={(event) => (setWanted(event.currentTarget.value), setShown(ACTORS_SHOWN))} />
      </div>
      {actors.length === 0 ? (
        <p>Nobody is left at this step.</p>
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
