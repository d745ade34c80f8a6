/** Events as rows; one opens to its JSON, and leads to what its actors did. */
import type { StoredEvent } from "acumen-client";
import { Fragment } from "preact";
import { useState } from "preact/hooks";
import { useHere } from "../../context.ts";
import type { Property } from "../../schema.ts";
import { Code } from "../../ui/code.tsx";
import { Choice } from "../../ui/field.tsx";
import { shownTime } from "../../zones.ts";
import { likelyActors, shownValue, valueAt, valuesOf } from "./paths.ts";
import { ColumnChoice, useColumns } from "./columns.tsx";
import { timelineAddress } from "../actors/address.ts";

const CELL_MAX = 60;

function cell(value: unknown): string {
  if (value === undefined) return "";
  const text = typeof value === "string" ? value : JSON.stringify(value);
  return text.length > CELL_MAX ? `${text.slice(0, CELL_MAX)}…` : text;
}

interface EventTableProps {
  collection: string;
  events: StoredEvent[];
  properties: Property[];
  /** Properties that the question names, which come first. */
  named?: string[];
}

export function EventTable({ collection, events, properties, named = [] }: EventTableProps) {
  const [open, setOpen] = useState<string | null>(null);
  const choice = useColumns(collection, events, properties, named);
  const { columns } = choice;
  const typeOf = (name: string) => properties.find((one) => one.name === name)?.type;
  if (!events.length) return <p>No event is here to see.</p>;
  return (
    <>
      <ColumnChoice properties={properties} {...choice} />
      <div class="scroll" tabIndex={0} role="group" aria-label="Events">
        <table class="events">
          <thead>
            <tr>
              <th scope="col">Time</th>
              {columns.map((name) => (
                <th scope="col" class={typeOf(name) === "num" ? "number" : "path"} key={name}>
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
                        <EventDetail event={event} />
                      </td>
                    </tr>
                  )}
                </Fragment>
              );
            })}
          </tbody>
        </table>
      </div>
    </>
  );
}

/** One event whole, and the way to all events of one of its values. */
export function EventDetail({ event }: { event: StoredEvent }) {
  const { to } = useHere();
  const values = valuesOf(event);
  const [chosen, setChosen] = useState(() => likelyActors(values.map(({ path }) => path))[0] ?? values[0]?.path ?? "");
  const found = values.find(({ path }) => path === chosen);
  return (
    <div class="detail">
      <Code text={JSON.stringify(event, null, 2)} what="the event" />
      {found && (
        <div class="row timeline-of">
          <Choice id={`timeline-${event.keen.id}`} label="Property that names the actor" value={chosen}
            choices={values.map(({ path }) => [path, path] as const)} choose={setChosen} />
          <a href={timelineAddress(to, found.path, found.value)}>
            Timeline of {found.path} = {shownValue(found.value)}
          </a>
        </div>
      )}
    </div>
  );
}
