/** For how long each collection keeps its events, and what a shorter time would take. */
import { useState } from "preact/hooks";
import { useHere } from "../../context.ts";
import { inTurns, useLoaded } from "../../loading.ts";
import { schemaOf } from "../../schema.ts";
import { Dialog } from "../../ui/dialog.tsx";
import { described, Field } from "../../ui/field.tsx";
import { Empty, Loading, Problem } from "../../ui/states.tsx";
import { countText } from "../../words.ts";
import { manage } from "./api.ts";
import type { SectionProps } from "./settings.tsx";

const AT_ONCE = 4;
const DAYS_MAX = 36_500;
const PAGE = 50;

interface Kept {
  name: string;
  days: number | null;
}

const pathOf = (name: string) => `retention/${encodeURIComponent(name)}`;

export function RetentionSection(_: SectionProps) {
  const { client, project } = useHere();
  const [shown, setShown] = useState(PAGE);
  const [changing, setChanging] = useState<Kept | null>(null);
  const { value, error, reload } = useLoaded(
    async (signal) => {
      const names = (await schemaOf(client, signal)).map(({ name }) => name);
      const page = names.slice(0, shown);
      const days = await inTurns(page, AT_ONCE, (name) => manage<{ days: number | null }>(project, "GET", pathOf(name)));
      return { kept: page.map((name, at): Kept => ({ name, days: days[at]?.days ?? null })), more: names.length > shown };
    },
    [client, shown],
  );
  if (error) return <Problem error={error} retry={reload} />;
  if (!value) return <Loading what="retention" />;
  if (!value.kept.length) {
    return (
      <Empty title="No collections yet">
        <p>Once there are events, you can say for how long they are kept.</p>
      </Empty>
    );
  }
  return (
    <>
      <p class="lead">Events that are older go day by day, in UTC, by keen.timestamp.</p>
      <ul class="list" aria-label="Retention">
        {value.kept.map((one) => (
          <li key={one.name}>
            <p class="name grow">{one.name}</p>
            <p>{one.days === null ? "kept without limit" : `kept for ${countText(one.days, "day")}`}</p>
            <button type="button" class="quiet" aria-label={`Change the retention of ${one.name}`} onClick={() => setChanging(one)}>
              Change
            </button>
          </li>
        ))}
      </ul>
      {value.more && (
        <p>
          <button type="button" onClick={() => setShown(shown + PAGE)}>
            More collections
          </button>
        </p>
      )}
      {changing && (
        <ChangeRetention kept={changing} close={() => setChanging(null)}
          done={() => {
            setChanging(null);
            reload();
          }}
        />
      )}
    </>
  );
}

interface ChangeProps {
  kept: Kept;
  done: () => void;
  close: () => void;
}

function ChangeRetention({ kept: { name, days }, done, close }: ChangeProps) {
  const { project, say } = useHere();
  const [typed, setTyped] = useState(days === null ? "" : String(days));
  const wanted = Number(typed);
  const valid = typed.trim() !== "" && Number.isInteger(wanted) && wanted >= 1 && wanted <= DAYS_MAX;
  const fault = typed.trim() && !valid ? `A whole number of days from 1 to ${DAYS_MAX.toLocaleString()}; empty to keep them without limit.` : undefined;
  // Those of the day that is not over yet there stay until it is.
  const goes = useLoaded(async () => {
    if (!valid) return null;
    const end = new Date(Math.floor(Date.now() / 86_400_000 - wanted) * 86_400_000).toISOString();
    const question = { event_collection: name, timeframe: { end } };
    return (await manage<{ result: number }>(project, "POST", "queries/count", question)).result;
  }, [typed]);
  const act = async () => {
    if (fault) throw new Error(fault);
    if (valid) await manage(project, "PUT", pathOf(name), { days: wanted });
    else await manage(project, "DELETE", pathOf(name));
    say(valid ? `${name} is kept for ${countText(wanted, "day")}.` : `${name} is kept without limit.`);
    done();
  };
  const shorter = valid && (days === null || wanted < days);
  return (
    <Dialog title={`Retention of ${name}`} action="Save" danger={shorter} act={act} close={close}>
      <Field id="retention-days" label="Days" error={fault} hint="Empty: without limit.">
        <input {...described("retention-days", fault)} inputMode="numeric" value={typed} onInput={(event) => setTyped(event.currentTarget.value)} />
      </Field>
      <p role="status">
        {valid && goes.value !== undefined && goes.value !== null && !goes.busy && (
          <strong>
            {goes.value === 0 ? "No event is older now." : `${countText(goes.value, "event")} of now ${goes.value === 1 ? "is" : "are"} older, and will go at once, for good.`}
          </strong>
        )}
      </p>
    </Dialog>
  );
}
