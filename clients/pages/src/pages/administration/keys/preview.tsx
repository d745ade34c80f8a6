/** What a key with these rights would see: the server answers as it would answer the key. */
import { useState } from "preact/hooks";
import { useHere } from "../../../context.ts";
import { typeName } from "../../../schema.ts";
import { textOf } from "../../../ui/states.tsx";
import { countText } from "../../../words.ts";
import { manage } from "../api.ts";
import type { KeyDefinition } from "./draft.ts";
import { PreviewQuestion } from "./preview_question.tsx";

export interface Seen {
  name: string;
  visible: boolean;
  properties: Record<string, string> | null;
  events: number | null;
  newest: Record<string, unknown>[] | null;
}

export interface Shown {
  collections: Seen[];
  next: string | null;
  readable: { saved_queries: string[]; datasets: string[]; more: boolean };
}

const PROPERTIES_SHOWN = 40;

export function Preview({ asked }: { asked: () => KeyDefinition }) {
  const { project } = useHere();
  const [state, setState] = useState<{ shown: Shown | null; of: KeyDefinition | null; busy: boolean; error: unknown }>({
    shown: null,
    of: null,
    busy: false,
    error: null,
  });
  const { shown, of, busy, error } = state;
  const look = async (after = "") => {
    const before = after ? shown : null;
    try {
      const { permitted, options } = after ? of! : asked();
      setState({ shown: before, of: before ? of : null, busy: true, error: null });
      const query = after ? `?after=${encodeURIComponent(after)}` : "";
      const found = await manage<Shown>(project, "POST", `key-preview${query}`, { permitted, options });
      const collections = [...(before?.collections ?? []), ...found.collections];
      setState({ shown: { ...found, collections }, of: { name: "", permitted, options: options ?? {} }, busy: false, error: null });
    } catch (failure) {
      setState({ shown: before, of: before ? of : null, busy: false, error: failure });
    }
  };
  return (
    <section aria-labelledby="preview" aria-busy={busy}>
      <div class="row spread">
        <h2 id="preview">What it would see</h2>
        <button type="button" onClick={() => look()} disabled={busy}>
          {shown ? "Look again" : "Preview"}
        </button>
      </div>
      <p class="lead">Nothing is made: the server answers as it would answer a key with these rights.</p>
      {error !== null && (
        <p class="fault" role="alert">
          {textOf(error)}
        </p>
      )}
      {shown && of && (
        <>
          <Summary shown={shown} of={of} />
          {looksInto(of) && (
            <ul class="list" aria-label="Collections as the key would see them">
              {shown.collections.map((one) => (
                <Collection key={one.name} seen={one} />
              ))}
            </ul>
          )}
          {looksInto(of) && shown.next !== null && (
            <p>
              <button type="button" disabled={busy} onClick={() => look(shown.next!)}>
                More collections
              </button>
            </p>
          )}
          {of.permitted.includes("queries") && (
            <PreviewQuestion key={JSON.stringify(of)} rights={of} collections={shown.collections.map(({ name }) => name)} />
          )}
        </>
      )}
    </section>
  );
}

/** Whether it asks about collections at all. */
const looksInto = ({ permitted }: KeyDefinition) => permitted.includes("queries") || permitted.includes("schema");

function Summary({ shown, of }: { shown: Shown; of: KeyDefinition }) {
  const { permitted } = of;
  const { saved_queries, datasets, more } = shown.readable;
  const lists = [
    ["It sees the results of the saved queries", saved_queries],
    ["It sees the results of the cached datasets", datasets],
  ] as const;
  const writes = permitted.length === 1 && permitted[0] === "writes";
  const nothing = !saved_queries.length && !datasets.length;
  return (
    <div role="status">
      {!looksInto(of) && !writes && (
        <p class="note">
          It asks nothing of the collections themselves{nothing ? ", and there is no result yet that it could see." : "."}
        </p>
      )}
      {looksInto(of) && shown.collections.length === 0 && <p class="note">The project has no collections yet.</p>}
      {writes && <p class="note">It sends events, and sees nothing.</p>}
      {lists.map(
        ([label, names]) =>
          names.length > 0 && (
            <p key={label}>
              {label}: {names.join(", ")}
              {more ? ", and more" : ""}
            </p>
          ),
      )}
    </div>
  );
}

function Collection({ seen: { name, visible, properties, events, newest } }: { seen: Seen }) {
  const names = Object.entries(properties ?? {});
  return (
    <li class={visible ? "" : "hidden-from"}>
      <div class="grow">
        <p class="name">
          {name} {!visible && <span class="badge">sees nothing of it</span>}
        </p>
        {visible && (
          <p class="small">
            {events === null ? "may ask no questions" : countText(events, "event")} ·{" "}
            {properties === null ? "may not read its schema" : countText(names.length, "property", "properties")}
          </p>
        )}
        {names.length > 0 && (
          <details>
            <summary>Properties</summary>
            <p class="small">
              {names.slice(0, PROPERTIES_SHOWN).map(([one, type]) => `${one} (${typeName(type)})`).join(", ")}
              {names.length > PROPERTIES_SHOWN && `, and ${names.length - PROPERTIES_SHOWN} more`}
            </p>
          </details>
        )}
        {newest && newest.length > 0 && (
          <details>
            <summary>The newest events</summary>
            {newest.map((event, at) => (
              <pre key={at} class="event">
                <code>{JSON.stringify(event, null, 2)}</code>
              </pre>
            ))}
          </details>
        )}
      </div>
    </li>
  );
}
