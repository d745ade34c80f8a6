/** Which events a question is about: those of one collection, or of several. */
import { Check, CollectionOf, Conditions, merged, More, PropertyOf, within, type Form } from "./fields.tsx";
import type { Context } from "../filters.tsx";
import type { Json } from "./own.ts";

interface EventsProps {
  form: Form;
  context: Omit<Context, "event_collection">;
  /** Whether an entry may be called otherwise. */
  named?: boolean;
}

/** The collections that a question is about. */
export const collectionsIn = (own: Json): string[] =>
  (Array.isArray(own.events) ? (own.events as Json[]) : [own]).map((one) => String(one.event_collection ?? "")).filter(Boolean);

export function EventsOf({ form, context, named = false }: EventsProps) {
  const { own, set } = form;
  const events: Json[] | undefined = own.events;
  const several = (next: Json[]) => {
    const [only] = next;
    if (next.length === 1 && Object.keys(only!).every((name) => name === "event_collection")) set({ events: undefined, ...only });
    else set({ events: next, event_collection: undefined });
  };
  const add = (
    <button type="button" class="quiet add" onClick={() => several([...(events ?? [{ event_collection: own.event_collection ?? "" }]), { event_collection: "" }])}>
      + Collection
    </button>
  );
  if (!events) {
    return (
      <>
        <CollectionOf form={form} label="Of events in" />
        {add}
      </>
    );
  }
  return (
    <fieldset>
      <legend>Of events in</legend>
      {events.map((one, at) => {
        const path = `events[${at}]`;
        const part = within(form, one, path, (patch) => several(events.map((old, index) => (index === at ? merged(old, patch) : old))));
        return (
          <EventPart key={at} form={part} context={context} id={`events-${at}`} label={`Collection ${at + 1}`} named={named}
            remove={events.length > 1 ? () => several(events.filter((_, index) => index !== at)) : null} />
        );
      })}
      {add}
    </fieldset>
  );
}

interface EventPartProps {
  form: Form;
  context: Omit<Context, "event_collection">;
  id: string;
  label: string;
  remove?: (() => void) | null;
  named?: boolean;
}

/** One collection, which of its events, and who they are of where that is another property. */
export function EventPart({ form, context, id, label, remove, named = false }: EventPartProps) {
  const { own } = form;
  const said = Boolean(own.filters || own.actor_property || own.name || own.by) || form.fault("filters") !== undefined;
  return (
    <div class="step" role="group" aria-label={label}>
      <CollectionOf form={form} label={label} id={id} />
      {remove && (
        <button type="button" class="quiet icon" aria-label={`Remove ${label.toLowerCase()}`} onClick={remove}>
          ×
        </button>
      )}
      <More label="Which of them" open={said}>
        <Conditions form={form} id={`${id}-filter`} of={[own.event_collection]} context={context} />
        <PropertyOf form={form} name="actor_property" id={`${id}-actor`} label="Who, if called otherwise" of={[own.event_collection]} placeholder="As above" />
        {named && <PropertyOf form={form} name="by" id={`${id}-by`} label="Called by" of={[own.event_collection]} placeholder="As above" />}
      </More>
    </div>
  );
}

/** Whether the return is another event than the start. */
export function SameEvent({ form, label }: { form: Form; label: string }) {
  const { own, set } = form;
  const event = own.starting_event ?? {};
  const part = { ...form, own: { same: !own.returning_event } };
  return <Check form={{ ...part, set: ({ same }) => set({ returning_event: same ? undefined : { event_collection: event.event_collection ?? "" } }) }} name="same" label={label} />;
}
