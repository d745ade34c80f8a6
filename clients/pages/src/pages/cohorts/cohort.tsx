/** One cohort: who is in it, how many and the first of them, and what can be asked about them. */
import type { ActorCohort, Question } from "acumen-client";
import { useState } from "preact/hooks";
import { useHere } from "../../context.ts";
import { useLoaded } from "../../loading.ts";
import { go, usePlace } from "../../router.ts";
import { schemaOf } from "../../schema.ts";
import { Dialog } from "../../ui/dialog.tsx";
import { described, Field } from "../../ui/field.tsx";
import { Loading, Problem } from "../../ui/states.tsx";
import { countText } from "../../words.ts";
import { viewersZone } from "../../zones.ts";
import { timelineAddress } from "../actors/address.ts";
import { shownValue } from "../events/paths.ts";
import { addressOf } from "../explore/address.ts";
import { actorsIn } from "./definition.ts";
import { areNumbers, CohortForm } from "./form.tsx";
import { Deletion } from "./list.tsx";
import { saidOf, titleOf } from "./words.ts";

const SHOWN = 100;

export function CohortPage({ name }: { name: string }) {
  const { client } = useHere();
  const edits = usePlace().query.has("edit");
  const { value, error, reload } = useLoaded((signal) => client.cohorts.get(name, { signal }), [client, name]);
  if (error) return <><h1>{name}</h1><Problem error={error} retry={reload} /></>;
  if (!value) return <Loading what="the cohort" lines={6} />;
  if (edits && value.kind !== "static") return <CohortForm given={value} saved={value} done={reload} />;
  return <Cohort cohort={value} reload={reload} />;
}

function Cohort({ cohort, reload }: { cohort: ActorCohort; reload: () => void }) {
  const { to, mayEdit } = useHere();
  const [doomed, setDoomed] = useState(false);
  const [changing, setChanging] = useState(false);
  const isList = cohort.kind === "static";
  return (
    <>
      <div class="row spread">
        <h1>{titleOf(cohort)}</h1>
        {mayEdit && (
          <div class="row">
            {isList ? (
              <button type="button" onClick={() => setChanging(true)}>
                Add or remove
              </button>
            ) : (
              <a class="button" href={`${to("cohorts", cohort.name)}?edit`}>
                Edit
              </a>
            )}
            <button type="button" class="quiet" onClick={() => setDoomed(true)}>
              Delete
            </button>
          </div>
        )}
      </div>
      <p class="lead">
        {saidOf(cohort)}. They are told from each other by {String(cohort.actor_property)}; questions call the cohort <code>{cohort.name}</code>.
      </p>
      <Questions cohort={cohort} />
      <Actors cohort={cohort} />
      {changing && <Members cohort={cohort} close={() => setChanging(false)} done={() => (setChanging(false), reload())} />}
      {doomed && <Deletion cohort={cohort} close={() => setDoomed(false)} done={() => go(to("cohorts"))} />}
    </>
  );
}

type Json = Record<string, any>;

/** A collection to ask about: one that the cohort is made of, else one whose events have its actors. */
function useCollection({ all, any, funnel, actor_property }: ActorCohort): string | undefined {
  const { client } = useHere();
  const own = ([...(all ?? []), ...(any ?? []), ...(((funnel as Json)?.steps ?? []) as Json[])] as Json[]).map((one) => one.event_collection).find(Boolean);
  const schema = useLoaded(async (signal) => (own ? [] : schemaOf(client, signal)), [client, own]);
  return own ?? schema.value?.find(({ properties }) => properties.some(({ name }) => name === actor_property))?.name;
}

function Questions({ cohort }: { cohort: ActorCohort }) {
  const { to } = useHere();
  const collection = useCollection(cohort);
  if (!collection) return null;
  const base = { event_collection: collection, timeframe: "this_30_days", timezone: viewersZone() };
  const address = (question: Json) => addressOf({ question: { ...base, ...question } as unknown as Question, type: "", view: "chart", saved: "" }, to("explore"));
  const who = { analysis_type: "count_unique", target_property: cohort.actor_property, interval: "daily" };
  return (
    <p class="row">
      <a class="button" href={address({ analysis_type: "count", interval: "daily", filters: [{ operator: "in_cohort", property_value: cohort.name }] })}>
        Explore what they do
      </a>
      <a class="button" href={address({ ...who, group_by: [{ cohort: cohort.name }] })}>
        Compare them with all others
      </a>
    </p>
  );
}

function Actors({ cohort }: { cohort: ActorCohort }) {
  const { client, to } = useHere();
  const { value, error, reload } = useLoaded((signal) => client.cohorts.actors(cohort.name, SHOWN, { signal }), [client, cohort]);
  const { result, actors, truncated } = value ?? {};
  return (
    <section aria-labelledby="actors" class="gap">
      <div class="row spread tools">
        <h2 id="actors">{result === undefined ? "Who is in it" : `${countText(result, "actor")} now`}</h2>
      </div>
      {error ? <Problem error={error} retry={reload} /> : !actors && <Loading what="actors" lines={4} />}
      {actors && (actors.length === 0 ? (
        <p>Nobody is in it now.</p>
      ) : (
        <ul class="list compact">
          {actors.map((one) => (
            <li key={JSON.stringify(one)}>
              <a href={timelineAddress(to, String(cohort.actor_property), one)}>{shownValue(one)}</a>
            </li>
          ))}
        </ul>
      ))}
      {truncated && <p class="small gap">The first {SHOWN} of them. Programs can have more, by the API.</p>}
    </section>
  );
}

/** Who is added to a list, and who is taken out. */
function Members({ cohort, close, done }: { cohort: ActorCohort; close: () => void; done: () => void }) {
  const { client, say } = useHere();
  const [texts, setTexts] = useState({ add: "", remove: "" });
  const { value: schema } = useLoaded((signal) => schemaOf(client, signal), [client]);
  const change = async () => {
    // A list may hold numbers and texts: who is to be removed is looked for as both.
    const remove = [...actorsIn(texts.remove, true), ...actorsIn(texts.remove, false)];
    const numbers = areNumbers(schema ?? [], cohort.actor_property);
    const changed = await client.cohorts.change(cohort.name, { add: actorsIn(texts.add, numbers), remove: [...new Set(remove)] });
    say(`${countText(Number(changed.actors_listed), "actor")} in the list now.`);
    done();
  };
  return (
    <Dialog title={`Change “${titleOf(cohort)}”`} action="Change the list" act={change} close={close}>
      {(["add", "remove"] as const).map((name) => (
        <Field key={name} id={`members-${name}`} label={name === "add" ? "Add" : "Take out"} hint="One in each line.">
          <textarea {...described(`members-${name}`)} rows={5} spellcheck={false} value={texts[name]} onInput={(event) => setTexts({ ...texts, [name]: event.currentTarget.value })} />
        </Field>
      ))}
    </Dialog>
  );
}
