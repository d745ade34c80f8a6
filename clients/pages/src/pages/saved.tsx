/** The saved queries of a project. */
import type { SavedQuery } from "acumen-client";
import { useState } from "preact/hooks";
import { useHere } from "../context.ts";
import { useLoaded } from "../loading.ts";
import { saidOf } from "../question.ts";
import { Dialog } from "../ui/dialog.tsx";
import { Empty, Loading, Problem } from "../ui/states.tsx";
import { shownTime } from "../zones.ts";
import { exploreSaved } from "./explore/address.ts";

export function titleOf({ query_name, metadata }: SavedQuery): string {
  const told: unknown = metadata?.display_name;
  return typeof told === "string" && told ? told : query_name;
}

const SEARCHED_FROM = 10;

/** The one that was changed last is first. */
function newestFirst(all: readonly SavedQuery[]): SavedQuery[] {
  const changed = ({ last_modified_date }: SavedQuery) => Date.parse(last_modified_date) || 0;
  return [...all].sort((a, b) => changed(b) - changed(a));
}

export function SavedPage() {
  const { client, to, mayEdit, say } = useHere();
  const { value, error, reload } = useLoaded((signal) => client.savedQueries.list({ signal }), [client]);
  const [doomed, setDoomed] = useState<SavedQuery | null>(null);
  const [wanted, setWanted] = useState("");
  if (error) return <><h1>Saved queries</h1><Problem error={error} retry={reload} /></>;
  if (!value) return <Loading what="saved queries" />;
  const found = newestFirst(value).filter((one) => `${titleOf(one)} ${one.query_name}`.toLowerCase().includes(wanted.toLowerCase()));
  const remove = async () => {
    await client.savedQueries.delete(doomed!.query_name);
    say(`“${titleOf(doomed!)}” is deleted.`);
    setDoomed(null);
    reload();
  };
  return (
    <>
      <div class="row spread">
        <h1>Saved queries</h1>
        <a class="button main" href={to("explore")}>
          New question
        </a>
      </div>
      {value.length === 0 ? (
        <Empty title="Nothing is saved yet">
          <p>Ask a question in the explorer and save it: then it has a name, and can stand on dashboards.</p>
          <a class="button" href={to("explore")}>
            Open the explorer
          </a>
        </Empty>
      ) : (
        <>
          {value.length > SEARCHED_FROM && (
            <input type="search" aria-label="Search saved queries" placeholder="Search" value={wanted}
              onInput={(event) => setWanted(event.currentTarget.value)} />
          )}
          <ul class="list">
            {found.map((one) => (
              <li key={one.query_name}>
                <div class="grow">
                  <a class="name" href={exploreSaved(to, one)}>
                    {titleOf(one)}
                  </a>
                  <p class="small">{saidOf(one.query)}</p>
                </div>
                <p class="small aside">
                  {one.refresh_rate ? `kept for ${one.refresh_rate / 3600} h` : "computed when asked"} ·{" "}
                  {shownTime(one.last_modified_date)}
                </p>
                {mayEdit && (
                  <button type="button" class="quiet" aria-label={`Delete ${titleOf(one)}`} onClick={() => setDoomed(one)}>
                    Delete
                  </button>
                )}
              </li>
            ))}
          </ul>
          {found.length === 0 && <p>No saved query is called “{wanted}”.</p>}
        </>
      )}
      {doomed && (
        <Dialog title={`Delete “${titleOf(doomed)}”?`} action="Delete" danger act={remove} close={() => setDoomed(null)}>
          <p>Charts and dashboards that show it will be empty. This cannot be undone.</p>
        </Dialog>
      )}
    </>
  );
}
