/** Links and frames that show a dashboard without log-in: made, copied, revoked. */
import { useState } from "preact/hooks";
import { useHere } from "../../context.ts";
import { useLoaded } from "../../loading.ts";
import { isWhole, type Condition } from "../../question.ts";
import { schemaOf, valuesFrom } from "../../schema.ts";
import { call } from "../../session.ts";
import { CopyButton } from "../../ui/code.tsx";
import { Dialog } from "../../ui/dialog.tsx";
import { Choice, Field, TextField } from "../../ui/field.tsx";
import { Loading, Problem } from "../../ui/states.tsx";
import { shownTime } from "../../zones.ts";
import { Filters } from "../explore/filters.tsx";
import { conditionsText } from "../explore/operators.ts";
import { allProperties } from "./conditions.ts";
import { addressOf } from "./store.ts";

interface Share {
  id: string;
  name: string;
  link: string | null;
  iframe: string | null;
  made_by: string;
  created_date: string;
  last_used_on: string | null;
  expires_at: number | null;
  /** Null: what the dashboard's controls say. */
  viewer: { timeframe?: boolean | null; interval?: boolean | null; filters?: string[] | null } | null;
  filters: Record<string, any>[] | null;
  /** Sites that may frame it; null: every site. */
  origins: string[] | null;
}

const DAY_SECONDS = 86_400;
const ENDS = [
  ["", "Never, until it is revoked"],
  ["1", "In a day"],
  ["7", "In 7 days"],
  ["14", "In 14 days"],
  ["30", "In 30 days"],
  ["365", "In a year"],
] as const;
const MAY = [
  ["", "What the dashboard's controls say"],
  ["nothing", "Nothing"],
  ["chosen", "What I choose here"],
] as const;

const wordsOf = (text: string) => text.split(/[\s,]+/).filter(Boolean);

export function ShareDialog({ id, close }: { id: string; close: () => void }) {
  const { project, say } = useHere();
  const path = addressOf(project, id, "shares");
  const shares = useLoaded(() => call<Share[]>("GET", path), [path]);
  const [form, setForm] = useState(EMPTY);
  const [made, setMade] = useState("");
  const [fault, setFault] = useState("");
  const make = async () => {
    const wrong = wordsOf(form.origins).find((one) => !isOrigin(one));
    setFault(wrong === undefined ? "" : `“${wrong}” is no address of a site: write it as https://shop.example, without a path.`);
    if (wrong !== undefined) throw new Error("Look at the sites in the options.");
    const share = await call<Share>("POST", path, sentOf(form));
    setForm(EMPTY);
    setMade(share.id);
    say(`“${share.name}” is made.`);
    shares.reload();
  };
  return (
    <Dialog title="Share this dashboard" action="Make a link" act={make} close={close} leave="Close" wide>
      <p class="lead">
        Whoever has a link sees this dashboard as it is whenever they look, without log-in, and nothing else of the project.
      </p>
      <ShareForm form={form} fault={fault} set={(patch) => setForm({ ...form, ...patch })} />
      <h3>Links that work</h3>
      {shares.error ? <Problem error={shares.error} retry={shares.reload} /> : !shares.value ? <Loading what="links" lines={2} /> : null}
      {shares.value?.length === 0 && <p class="hint">There is none.</p>}
      {shares.value && shares.value.length > 0 && (
        <ul class="list shares" aria-label="Links that work">
          {[...shares.value].reverse().map((one) => (
            <Line key={one.id} share={one} isNew={one.id === made} path={path} gone={() => (say(`“${one.name}” is revoked.`), shares.reload())} />
          ))}
        </ul>
      )}
    </Dialog>
  );
}

interface Form {
  name: string;
  may: string;
  timeframe: boolean;
  interval: boolean;
  properties: string;
  ends: string;
  origins: string;
  conditions: Condition[];
}

const EMPTY: Form = {
  name: "", may: "", timeframe: true, interval: false, properties: "", ends: "", origins: "", conditions: [],
};

function sentOf({ name, may, timeframe, interval, properties, ends, origins, conditions }: Form) {
  if (!conditions.every(isWhole)) throw new Error("Finish each filter, or remove it: an unfinished one would hide nothing.");
  const chosen = { timeframe, interval, filters: wordsOf(properties) };
  return {
    name: name.trim() || "Link",
    ...(may === "nothing" ? { viewer: {} } : may === "chosen" ? { viewer: chosen } : {}),
    ...(ends ? { expires_at: Math.floor(Date.now() / 1000) + Number(ends) * DAY_SECONDS } : {}),
    ...(wordsOf(origins).length ? { origins: wordsOf(origins) } : {}),
    ...(conditions.length ? { filters: conditions } : {}),
  };
}

/** As the server reads them: a scheme, a name, perhaps a port, and no path. */
const isOrigin = (text: string) => text === "null" || /^[a-z][a-z0-9+.-]*:\/\/([a-z0-9_.-]+|\[[0-9a-f:.]+\])(:\d+)?$/i.test(text);

interface ShareFormProps {
  form: Form;
  set: (patch: Partial<Form>) => void;
  /** What is wrong with the sites. */
  fault: string;
}

function ShareForm({ form, set, fault }: ShareFormProps) {
  const { client } = useHere();
  const { value: schema = [] } = useLoaded((signal) => schemaOf(client, signal), [client]);
  return (
    <>
      <TextField id="share-name" label="For whom, or where" value={form.name} set={(name) => set({ name })}
        hint="So that you know later which link to revoke." />
      <details>
        <summary>Options</summary>
        <Field id="share-may" label="Viewers may change">
          <Choice id="share-may" value={form.may} choices={MAY} choose={(may) => set({ may })} />
        </Field>
        {form.may === "chosen" && (
          <fieldset>
            <legend class="unseen">What viewers may change</legend>
            <label class="check">
              <input type="checkbox" checked={form.timeframe} onChange={(event) => set({ timeframe: event.currentTarget.checked })} />
              The timeframe
            </label>
            <label class="check">
              <input type="checkbox" checked={form.interval} onChange={(event) => set({ interval: event.currentTarget.checked })} />
              The interval
            </label>
            <TextField id="share-properties" label="Filters on these properties" value={form.properties}
              set={(properties) => set({ properties })} hint="Names, with commas between." />
          </fieldset>
        )}
        <Field id="share-ends" label="Ends">
          <Choice id="share-ends" value={form.ends} choices={ENDS} choose={(ends) => set({ ends })} />
        </Field>
        <TextField id="share-origins" label="Sites that may show it in a frame" value={form.origins} set={(origins) => set({ origins })} error={fault}
          hint="As https://shop.example; left empty, every site may." />
        <Filters id="share-filter" legend="Show only events for which" draft={valuesFrom(schema)} properties={allProperties(schema)}
          filters={form.conditions} change={(conditions) => set({ conditions })} error={undefined} />
      </details>
    </>
  );
}

/** What viewers of a link may change, for people. */
function mayText(viewer: Share["viewer"]): string {
  if (!viewer) return "what the dashboard’s controls say";
  const { timeframe, interval, filters } = viewer;
  const parts = [timeframe && "the timeframe", interval && "the interval", filters?.length && `filters on ${filters.join(", ")}`];
  return parts.filter(Boolean).join(", ") || "nothing";
}

interface LineProps {
  share: Share;
  isNew: boolean;
  path: string;
  gone: () => void;
}

function Line({ share, isNew, path, gone }: LineProps) {
  const [asked, setAsked] = useState(false);
  const [error, setError] = useState<unknown>(null);
  const revoke = () => call("DELETE", `${path}/${share.id}`).then(gone, setError);
  const { name, link, iframe, expires_at: ends } = share;
  const used = share.last_used_on ? `used ${share.last_used_on}` : "not used yet";
  const until = ends ? `ends ${shownTime(new Date(ends * 1000).toISOString())}` : "has no end";
  return (
    <li class={isNew ? "new" : undefined}>
      <div class="grow">
        <p class="name">{name}</p>
        <p class="small">
          {share.made_by} · {shownTime(share.created_date)} · {used} · {until}
        </p>
        <p class="small">
          Shows {share.filters?.length ? `only events for which ${conditionsText(share.filters)}` : "all events"} · viewers may change{" "}
          {mayText(share.viewer)} · {share.origins ? `may be framed by ${share.origins.join(", ")}` : "every site may frame it"}
        </p>
      </div>
      <div class="row">
        {link && <CopyButton text={link} what={`link ${name}`} label="Copy link" />}
        {iframe && <CopyButton text={iframe} what={`frame of ${name}`} label="Copy frame" />}
        {link && (
          <a href={link} target="_blank" rel="noreferrer" aria-label={`Open the link ${name}`}>
            Open
          </a>
        )}
        {asked ? (
          <button type="button" class="danger" onClick={revoke}>
            Revoke now
          </button>
        ) : (
          <button type="button" class="quiet" aria-label={`Revoke ${name}`} onClick={() => setAsked(true)}>
            Revoke
          </button>
        )}
      </div>
      {isNew && link && <code class="made">{link}</code>}
      {error !== null && <Problem error={error} />}
    </li>
  );
}
