/** A question, answered as a key with these rights would be. */
import { useState } from "preact/hooks";
import { useHere } from "../../../context.ts";
import { useLoaded } from "../../../loading.ts";
import { viewersZone } from "../../../zones.ts";
import { Chart } from "../../../ui/charts.tsx";
import { Choice, Field } from "../../../ui/field.tsx";
import { Loading, Problem } from "../../../ui/states.tsx";
import { manage } from "../api.ts";
import type { KeyDefinition } from "./draft.ts";

export function PreviewQuestion({ rights, collections }: { rights: KeyDefinition; collections: string[] }) {
  const { project } = useHere();
  const [collection, setCollection] = useState(collections[0] ?? "");
  const question = {
    analysis_type: "count",
    event_collection: collection,
    timeframe: "this_14_days",
    timezone: viewersZone(),
    interval: "daily",
  };
  const { permitted, options } = rights;
  const answer = useLoaded(
    async () => (collection ? manage<object>(project, "POST", "key-preview/answer", { permitted, options, question }) : null),
    [collection],
  );
  if (!collection) return null;
  return (
    <section class="card part gap" aria-labelledby="as-key">
      <h3 id="as-key">A question, as the key would be answered</h3>
      <Field id="preview-collection" label="Events by day in">
        <Choice id="preview-collection" value={collection} choices={collections.map((one) => [one, one] as const)} choose={setCollection} />
      </Field>
      {answer.error ? (
        <Problem error={answer.error} retry={answer.reload} />
      ) : answer.value ? (
        <Chart data={answer.value} query={JSON.stringify(question)} type="bar" title={`${collection}: events per day`} height="240" />
      ) : (
        <Loading what="the answer" />
      )}
    </section>
  );
}
