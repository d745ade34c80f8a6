/** What became of an import that has ended. */
import { useState } from "preact/hooks";
import { useHere } from "../../context.ts";
import { TOKEN } from "../../session.ts";
import { saveText } from "../../ui/download.ts";
import { Problem } from "../../ui/states.tsx";
import { dayAfter } from "../../zones.ts";
import type { Import } from "./calls.ts";
import { inWords } from "./time.tsx";
import { instantIn } from "./words.ts";

const TITLES: Partial<Record<Import["state"], string>> = {
  done: "The file is imported",
  failed: "The import failed",
  cancelled: "The import was cancelled",
};

export function Report({ job, change }: { job: Import; change: () => void }) {
  const { to } = useHere();
  const { stored, already_stored: known, refused, event_collection: collection } = job;
  return (
    <>
      <section class="card roomy-card">
        <h2>{TITLES[job.state] ?? job.state}</h2>
        {job.message && <p class="fault">{job.message}</p>}
        <ul class="counts">
          <li>
            <strong>{stored.toLocaleString()}</strong> stored{collection && ` in ${collection}`}
          </li>
          {known > 0 && (
            <li>
              <strong>{known.toLocaleString()}</strong> stored before
            </li>
          )}
          <li>
            <strong>{refused.toLocaleString()}</strong> refused
          </li>
        </ul>
        {job.first && job.last && (
          <p class="small">
            From {instantIn(zoneOf(job), job.first)} to {instantIn(zoneOf(job), job.last)}.
          </p>
        )}
        {known > 0 && (
          <p class="hint">
            The same file was imported before in the same way. If its events were deleted since, import it once more with “Store again what an earlier import stored”.
          </p>
        )}
        <p class="row">
          {collection && stored + known > 0 && (
            <a class="button main" href={exploring(to("explore"), job)}>
              Explore {collection}
            </a>
          )}
          {job.state !== "done" && (
            <button type="button" class={stored ? "" : "main"} onClick={change}>
              {stored ? "Go on or change it" : "Change it and try again"}
            </button>
          )}
        </p>
      </section>
      {refused > 0 && <Refused job={job} />}
    </>
  );
}

const zoneOf = ({ options }: Import) => options?.timezone ?? "UTC";

/** Counts by day over the time of the file, or of the last days where that is not known. */
function exploring(page: string, { event_collection, first, last, options }: Import): string {
  const timezone = options?.timezone ?? "UTC";
  const timeframe = first && last ? { start: `${first.slice(0, 10)}T00:00:00.000Z`, end: `${dayAfter(last.slice(0, 10))}T00:00:00.000Z` } : "this_14_days";
  const days = first && last ? (Date.parse(last) - Date.parse(first)) / 86_400_000 : 14;
  const interval = days > 1000 ? "monthly" : days > 3 ? "daily" : "hourly";
  const question = { analysis_type: "count", event_collection, timeframe, timezone, interval };
  return `${page}?q=${encodeURIComponent(JSON.stringify(question))}`;
}

function Refused({ job }: { job: Import }) {
  const [error, setError] = useState<unknown>(null);
  const save = async () => {
    setError(null);
    const answer = await fetch(job.refused_url ?? "", { headers: { authorization: TOKEN } });
    if (!answer.ok) throw new Error("The refused rows could not be fetched. They are kept for some days only.");
    saveText(`${job.file_name}.refused.ndjson`, "application/x-ndjson", await answer.text());
  };
  return (
    <section class="refused">
      <div class="row spread">
        <h2>Refused</h2>
        {job.refused_url && (
          <button type="button" onClick={() => void save().catch(setError)}>
            Save the refused rows
          </button>
        )}
      </div>
      {error !== null && <Problem error={error} />}
      <div class="scroll" tabIndex={0} role="group" aria-label="Why rows were refused">
        <table>
          <thead>
            <tr>
              <th scope="col">Why</th>
              <th scope="col" class="number">Rows</th>
              <th scope="col">{job.refused_reasons.some(({ lines }) => lines.length) ? "First lines" : "First rows"}</th>
            </tr>
          </thead>
          <tbody>
            {job.refused_reasons.map(({ reason, count, lines, numbers }) => (
              <tr key={reason}>
                <th scope="row">{inWords(reason)}</th>
                <td class="number">{count.toLocaleString()}</td>
                <td>{(lines.length ? lines : numbers).map((line) => line.toLocaleString()).join(", ")}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}
