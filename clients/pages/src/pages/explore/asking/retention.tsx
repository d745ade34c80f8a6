/** The fields of a retention: who starts, and what shows that they are still there. */
import { Conditions, Count, GroupBy, More, merged, Pick, Text, Who, within, type Form } from "./fields.tsx";
import { EventPart, SameEvent } from "./events.tsx";
import type { FormProps } from "./index.tsx";
import type { Json } from "./own.ts";

const COHORTS = [
  ["", "When it did so first"],
  ["recurring", "Each time it does so"],
] as const;
const FIRST_IN = [
  ["", "Of the timeframe"],
  ["history", "Of all time"],
] as const;
const PERIODS = [
  ["", "Those of the calendar"],
  ["rolling", "Each actor's own, from its start on"],
] as const;
const RETURNED = [
  ["", "In the period"],
  ["on_or_after", "In it or in any later one"],
] as const;

export const KNOWN = ["starting_event", "returning_event", "actor_property", "cohort", "first_in", "period_type", "periods", "returned", "brackets", "group_by", "interval", "filters"];

export function RetentionForm({ form, context }: FormProps) {
  const { own, set } = form;
  const event = (name: string) => within(form, own[name] ?? {}, name, (patch) => set({ [name]: merged(own[name] ?? {}, patch) }));
  const start = own.starting_event?.event_collection;
  const rest = ["first_in", "period_type", "periods", "returned", "brackets"];
  return (
    <>
      <EventPart form={event("starting_event")} context={context} id="starting_event" label="Who starts by" />
      <SameEvent form={form} label="and returns by the same" />
      {own.returning_event && <EventPart form={event("returning_event")} context={context} id="returning_event" label="Who returns by" />}
      <Who form={form} of={[start]} />
      <Pick form={form} name="cohort" label="An actor is in a cohort" choices={COHORTS} />
      <GroupBy form={form} of={[start]} />
      <Conditions form={form} id="filter" of={[start]} context={context} legend="Only events for which, of both" />
      <More label="More about periods" open={rest.some((name) => own[name] !== undefined || form.fault(name))}>
        <Pick form={form} name="returned" label="Counted are returns" choices={RETURNED} />
        <Pick form={form} name="period_type" label="Periods are" choices={PERIODS} />
        {own.cohort !== "recurring" && <Pick form={form} name="first_in" label="The first time" choices={FIRST_IN} />}
        <Count form={form} name="periods" label="How many periods" placeholder="All" />
        <Text form={bracketed(form)} name="brackets" label="Several periods in one number" placeholder="1-3, 4-7" />
      </More>
    </>
  );
}

/** `[[1, 3], [4, 7]]` as `1-3, 4-7`. */
function bracketed(form: Form): Form {
  const { brackets } = form.own;
  const plain = Array.isArray(brackets) && brackets.every((one) => Array.isArray(one) && one.length === 2);
  const text = plain ? (brackets as unknown[][]).map(([from, to]) => (from === to ? String(from) : `${from}-${to}`)).join(", ") : brackets;
  const set = ({ brackets: typed }: Json) => {
    const parts = String(typed ?? "").split(",").map((one) => /^\s*(\d+)\s*(?:[-–]\s*(\d+)\s*)?$/.exec(one));
    if (typed === undefined) form.set({ brackets: undefined });
    // What cannot be read goes as it is: the API says what is wrong with it.
    else form.set({ brackets: parts.every(Boolean) ? parts.map((one) => [Number(one![1]), Number(one![2] ?? one![1])]) : typed });
  };
  return { ...form, own: { brackets: text }, set };
}
