/** A question as the explorer's fields have it: in fields of their own, or as the question itself. */
import type { Question } from "acumen-client";
import { draftOf, isOfCohort, isWhole, missing, newDraft, questionOf, type Condition, type Draft } from "../../../question.ts";
import type { CollectionSchema } from "../../../schema.ts";
import { askedOf, begin, collectionOf, isOwn, likelyActor, ownMissing, ownOf, type Json, type Own } from "./own.ts";

export interface AnyDraft extends Draft {
  /** The question without its analysis, where the fields are those of the question itself. */
  own: Own | null;
}

export function anyDraftOf(question: Question): AnyDraft | null {
  if (!isOwn(question.analysis_type)) {
    const plain = draftOf(question);
    return plain && { ...plain, own: null };
  }
  const own = ownOf(question);
  const zone = typeof own?.timezone === "string" ? own.timezone : "UTC";
  return own && { ...newDraft(zone, collectionOf(own)), analysis_type: question.analysis_type, own };
}

export const firstDraft = (zone: string, collection: string | undefined): AnyDraft => ({ ...newDraft(zone, collection), own: null });

export const asked = (draft: AnyDraft): Question => (draft.own ? askedOf(draft.analysis_type, draft.own) : questionOf(draft));

export const lacking = (draft: AnyDraft): Record<string, string> => (draft.own ? ownMissing(draft.analysis_type, draft.own) : missing(draft));

/** The same events and times, asked by a form of its own. */
export function asOwn({ own, ...draft }: AnyDraft, analysis: string, schema: readonly CollectionSchema[]): Partial<AnyDraft> {
  const collection = (own && collectionOf(own)) || draft.event_collection;
  const properties = schema.find(({ name }) => name === collection)?.properties ?? [];
  const { timeframe, timezone, filters } = own ?? draft;
  const actor = String(own?.actor_property ?? likelyActor(properties));
  const given = { timeframe, timezone: String(timezone ?? draft.timezone), filters: ((filters ?? []) as Json[]).filter((one) => isWhole(one as Condition)) };
  return { analysis_type: analysis, own: begin(analysis, collection, actor, given) };
}

/** The same events and times, asked by the fields that say most questions. */
export function asPlain({ own, ...draft }: AnyDraft, analysis_type: string): Partial<AnyDraft> {
  if (!own) return { analysis_type };
  const filters = ((own.filters ?? []) as Json[]).filter((one) => isOfCohort(one) || (one.operator !== "or" && typeof one.property_name === "string"));
  return {
    analysis_type,
    own: null,
    event_collection: collectionOf(own) || draft.event_collection,
    filters: filters as Condition[],
    timeframe: own.timeframe ?? "",
    timezone: typeof own.timezone === "string" ? own.timezone : draft.timezone,
  };
}
