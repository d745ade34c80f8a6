/** The dashboards of a project, and making a new one. */
import type { DashboardMetadata } from "acumen-client";
import { useState } from "preact/hooks";
import { useHere } from "../../context.ts";
import { useLoaded } from "../../loading.ts";
import { go } from "../../router.ts";
import { slugOf } from "../../slug.ts";
import { Dialog } from "../../ui/dialog.tsx";
import { described, Field } from "../../ui/field.tsx";
import { Empty, Loading, Problem } from "../../ui/states.tsx";
import { shownTime } from "../../zones.ts";
import { countText } from "../../words.ts";
import { titleOf } from "../saved.tsx";
import { chartWidget, documentOf } from "./document.ts";
import { append, newId, type Tile } from "./layout.ts";

export function DashboardsPage() {
  const { client, to, mayEdit, say } = useHere();
  const { value, error, reload } = useLoaded((signal) => client.dashboards.list({ signal }), [client]);
  const [making, setMaking] = useState(false);
  const [doomed, setDoomed] = useState<DashboardMetadata | null>(null);
  if (error) return <><h1>Dashboards</h1><Problem error={error} retry={reload} /></>;
  if (!value) return <Loading what="dashboards" />;
  const remove = async () => {
    await client.dashboards.delete(doomed!.id);
    say("The dashboard is deleted.");
    setDoomed(null);
    reload();
  };
  const make = mayEdit && (
    <button type="button" class="main" onClick={() => setMaking(true)}>
      New dashboard
    </button>
  );
  return (
    <>
      <div class="row spread">
        <h1>Dashboards</h1>
        {value.length > 0 && make}
      </div>
      {value.length === 0 ? (
        <Empty title="No dashboard yet">
          <p>A dashboard shows the answers of saved queries beside each other, always as of now.</p>
          {make || <p>You may look only; somebody else makes them.</p>}
        </Empty>
      ) : (
        <ul class="list">
          {value.map((one) => (
            <li key={one.id}>
              <a class="name grow" href={to("dashboards", one.id)}>
                {one.title || one.id}
              </a>
              <p class="small aside">
                {countText(one.widgets, "tile")} · {changedAt(one)}
              </p>
              {mayEdit && (
                <button type="button" class="quiet" aria-label={`Delete ${one.title || one.id}`} onClick={() => setDoomed(one)}>
                  Delete
                </button>
              )}
            </li>
          ))}
        </ul>
      )}
      {making && <NewDashboard taken={value.map(({ id }) => id)} close={() => setMaking(false)} />}
      {doomed && (
        <Dialog title={`Delete “${doomed.title || doomed.id}”?`} action="Delete" danger act={remove} close={() => setDoomed(null)}>
          <p>Its saved queries stay. This cannot be undone.</p>
        </Dialog>
      )}
    </>
  );
}

function changedAt({ lastModificationDate: at }: DashboardMetadata): string {
  return at === null ? "" : shownTime(new Date(at).toISOString());
}

function NewDashboard({ taken, close }: { taken: string[]; close: () => void }) {
  const { client, to } = useHere();
  const saved = useLoaded((signal) => client.savedQueries.list({ signal }), [client]);
  const [title, setTitle] = useState("");
  const [chosen, setChosen] = useState<string[]>([]);
  const make = async () => {
    const slug = slugOf(title);
    const id = slug && !taken.includes(slug) && slug !== "metadata" ? slug : `${slug || "dashboard"}-${newId()}`;
    const tiles = chosen.reduce<Tile[]>((all, name) => append(all, chartWidget(name), { w: 6, h: 11 }), []);
    await client.dashboards.put(id, documentOf({}, title, tiles, { timeframe: true, interval: false, filters: [], start: {} }), { title });
    go(`${to("dashboards", id)}?edit=1`);
  };
  const toggle = (name: string) =>
    setChosen(chosen.includes(name) ? chosen.filter((one) => one !== name) : [...chosen, name]);
  return (
    <Dialog title="New dashboard" action="Make it" act={make} close={close}>
      <Field id="dashboard-title" label="Title">
        <input {...described("dashboard-title")} value={title} maxLength={200} required
          onInput={(event) => setTitle(event.currentTarget.value)} />
      </Field>
      <fieldset class="choices">
        <legend>What it shows</legend>
        {saved.error ? <Problem error={saved.error} /> : null}
        {saved.value?.length === 0 && <p class="hint">Nothing is saved yet. Tiles can be added later.</p>}
        {saved.value?.map((one) => (
          <label key={one.query_name} class="check">
            <input type="checkbox" checked={chosen.includes(one.query_name)} onChange={() => toggle(one.query_name)} />
            {titleOf(one)}
          </label>
        ))}
      </fieldset>
    </Dialog>
  );
}
