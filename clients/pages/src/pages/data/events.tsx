/** Events as rows; one opens to its JSON. */
import type { StoredEvent } from "acumen-client";
import { Fragment } from "preact";
import { useState } from "preact/hooks";
import type { Property } from "../../schema.ts";
import { Code } from "../../ui/code.tsx";
import { shownTime } from "../../zones.ts";

const COLUMNS_MAX = 5;
const CELL_MAX = 60;

function valueAt(event: StoredEvent, path: string): unknown {
  let value: unknown = event;
  for (const part of path.split(".")) value = (value as Record<string, unknown> | null | undefined)?.[part];
  return value;
}

function cell(value: unknown): string {
  if (value === undefined) return "";
  const text = typeof value === "string" ? value : JSON.stringify(value);
  return text.length > CELL_MAX ? `${text.slice(0, CELL_MAX)}…` : text;
}

export function EventTable({ events, properties }: { events: StoredEvent[]; properties: Property[] }) {
  const [open, setOpen] = useState<string | null>(null);
  const own = properties.filter(({ name }) => !name.startsWith("keen.")).slice(0, COLUMNS_MAX);
  const columns = own.map(({ name }) => name);
  if (!events.length) return <p>No event is here to see.</p>;
  return (
    <div class="scroll" tabIndex={0} role="group" aria-label="Events">
      <table class="events">
        <thead>
          <tr>
            <th scope="col">Time</th>
            {own.map(({ name, type }) => (
              <th scope="col" class={type === "num" ? "number" : "path"} key={name}>
                {name}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {events.map((event) => {
            const { id, timestamp } = event.keen;
            return (
              <Fragment key={id}>
                <tr>
                  <th scope="row">
                    <button type="button" class="link" aria-expanded={open === id} onClick={() => setOpen(open === id ? null : id)}>
                      {shownTime(timestamp)}
                    </button>
                  </th>
                  {columns.map((name) => (
                    <td key={name} class={typeof valueAt(event, name) === "number" ? "number" : ""}>
                      {cell(valueAt(event, name))}
                    </td>
                  ))}
                </tr>
                {open === id && (
                  <tr class="opened">
                    <td colSpan={columns.length + 1}>
                      <Code text={JSON.stringify(event, null, 2)} what="the event" />
                    </td>
                  </tr>
                )}
              </Fragment>
            );
          })}
        </tbody>
      </table>
    </div>
  );
}
