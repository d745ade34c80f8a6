/** The cohorts of a project: who is in them, and how many that are now. */
import type { ActorCohort } from "acumen-client";
import { useState } from "preact/hooks";
import { useHere } from "../../context.ts";
import { inTurns, useLoaded } from "../../loading.ts";
import { usePlace } from "../../router.ts";
import { Dialog } from "../../ui/dialog.tsx";
import { Empty, Loading, Problem } from "../../ui/states.tsx";
import { countText } from "../../words.ts";
import { forgetCohorts } from "../explore/cohort_names.ts";
import { CohortForm, givenIn } from "./form.tsx";
import { saidOf, titleOf } from "./words.ts";

const COUNTED_MAX = 30;
const SEARCHED_FROM = 10;

export function CohortsPage() {
  const given = givenIn(usePlace().query);
  return given ? <CohortForm given={given} /> : <List />;
}

function List() {
  const { client, to, mayEdit } = useHere();
  const { value, error, reload } = useLoaded((signal) => client.cohorts.list({ signal }), [client]);
  const sizes = useLoaded(
    async (signal) => {
      const all = (value ?? []).slice(0, COUNTED_MAX);
      const found = await inTurns(all, 2, async ({ name }) => (await client.cohorts.actors(name, 0, { signal })).result);
      return new Map(all.map(({ name }, at) => [name, found[at]]));
    },
    [client, value],
  );
  const [doomed, setDoomed] = useState<ActorCohort | null>(null);
  const [wanted, setWanted] = useState("");
  if (error) return <><h1>Cohorts</h1><Problem error={error} retry={reload} /></>;
  if (!value) return <Loading what="cohorts" />;
  const make = mayEdit && <a class="button main" href={`${to("cohorts")}?new`}>New cohort</a>;
  const found = value.filter((one) => `${titleOf(one)} ${one.name}`.toLowerCase().includes(wanted.toLowerCase()));
  const sizeOf = ({ name }: ActorCohort) => {
    const size = sizes.value?.get(name);
    return sizes.busy ? "…" : size === undefined || size === null ? "" : `${countText(size, "actor")} now`;
  };
  return (
    <>
      <div class="row spread">
        <h1>Cohorts</h1>
        {value.length > 0 && make}
      </div>
      {value.length === 0 ? (
        <Empty title="No cohort yet">
          <p>A cohort is a set of people, accounts or devices: those who did something often enough, those of a funnel’s step, or a list. Questions can be about them alone, or compare them with all others.</p>
          {make || <p>You may look only; somebody else makes them.</p>}
        </Empty>
      ) : (
        <>
          {value.length > SEARCHED_FROM && (
            <input type="search" aria-label="Search cohorts" placeholder="Search" value={wanted} onInput={(event) => setWanted(event.currentTarget.value)} />
          )}
          <ul class="list">
            {found.map((one) => (
              <li key={one.name}>
                <div class="grow">
                  <a class="name" href={to("cohorts", one.name)}>
                    {titleOf(one)}
                  </a>
                  <p class="small">{saidOf(one)}</p>
                </div>
                <p class="small aside">{sizeOf(one)}</p>
                {mayEdit && (
                  <button type="button" class="quiet" aria-label={`Delete ${titleOf(one)}`} onClick={() => setDoomed(one)}>
                    Delete
                  </button>
                )}
              </li>
            ))}
          </ul>
          {found.length === 0 && <p>No cohort is called “{wanted}”.</p>}
        </>
      )}
      {doomed && <Deletion cohort={doomed} close={() => setDoomed(null)} done={() => (setDoomed(null), reload())} />}
    </>
  );
}

export function Deletion({ cohort, close, done }: { cohort: ActorCohort; close: () => void; done: () => void }) {
  const { client, say } = useHere();
  const remove = async () => {
    await client.cohorts.delete(cohort.name);
    forgetCohorts();
    say(`“${titleOf(cohort)}” is deleted.`);
    done();
  };
  return (
    <Dialog title={`Delete “${titleOf(cohort)}”?`} action="Delete" danger act={remove} close={close}>
      <p>Saved queries and cohorts that name it cannot be answered from then on, until there is one of this name again. No event is deleted.</p>
    </Dialog>
  );
}
