/** Access keys: the list, and one of them. */
import { useState } from "preact/hooks";
import { useHere } from "../../../context.ts";
import { useLoaded } from "../../../loading.ts";
import { Empty, Loading, Problem } from "../../../ui/states.tsx";
import { countText } from "../../../words.ts";
import { dayText, keysOf, manage, secondsText } from "../api.ts";
import type { SectionProps } from "../settings.tsx";
import type { TakenByDay, TakenByKey } from "../usage.tsx";
import type { AccessKey } from "./draft.ts";
import { KeyPage } from "./key_page.tsx";
import { OwnKeys } from "./own_keys.tsx";
import { saidOf } from "./words.ts";

/** From how many keys on they can be searched. */
const MANY = 10;
const DAYS = 30;

export function Keys({ rest: [chosen] }: SectionProps) {
  return chosen ? <KeyPage id={chosen} /> : <KeyList />;
}

function KeyList() {
  const { project, to } = useHere();
  const keys = useLoaded(() => keysOf(project), [project.id]);
  const [wanted, setWanted] = useState("");
  const used = useLoaded(() => manage<TakenByDay>(project, "GET", `usage?days=${DAYS}`), [project.id]);
  if (keys.error) return <Problem error={keys.error} retry={keys.reload} />;
  if (!keys.value) return <Loading what="keys" />;
  const shown = keys.value.filter(({ name }) => name.toLowerCase().includes(wanted.toLowerCase()));
  return (
    <>
      <div class="row spread">
        <p class="lead">Each program gets a key of its own, which may do what it needs and no more.</p>
        <a class="button main" href={to("settings", "keys", "new")}>
          Make a key
        </a>
      </div>
      {keys.value.length === 0 && (
        <Empty title="No access keys yet">
          <p>A key for a customer's dashboard, for example, sees that customer's events alone. Before you make it, see what it would see.</p>
        </Empty>
      )}
      {keys.value.length > MANY && (
        <input type="search" aria-label="Search keys by name" placeholder="Search by name" value={wanted}
          onInput={(event) => setWanted(event.currentTarget.value)} />
      )}
      {keys.value.length > 0 && (
        <ul class="list" aria-label="Access keys">
          {shown.map((one) => (
            <Row key={one.public_id ?? one.name} one={one} used={used.value?.keys} />
          ))}
        </ul>
      )}
      <OwnKeys />
    </>
  );
}

function Row({ one, used }: { one: AccessKey; used: TakenByKey[] | undefined }) {
  const { to } = useHere();
  const taken = used?.find(({ public_id }) => public_id !== null && public_id === one.public_id);
  return (
    <li>
      <div class="grow">
        <p class="name">
          {one.public_id ? <a href={to("settings", "keys", one.public_id)}>{one.name}</a> : one.name}{" "}
          {!one.is_active && <span class="badge warn">revoked</span>}
          {one.key === null && <span class="badge warn">of another secret</span>}
        </p>
        <p class="small">{saidOf(one)}</p>
      </div>
      <p class="small">{used && (taken ? usedText(taken) : `not used in ${DAYS} days`)}</p>
    </li>
  );
}

function usedText({ last_day, events, query_seconds }: TakenByKey): string {
  const did = [events > 0 && countText(events, "event"), query_seconds > 0 && `${secondsText(query_seconds)} of questions`];
  return `last used ${dayText(last_day)} · ${did.filter(Boolean).join(", ") || "nothing taken"} in ${DAYS} days`;
}
