/** Definitions of cohorts, as people say them. */
import type { ActorCohort, Timeframe } from "acumen-client";
import { writtenDays } from "../../days.ts";
import { frameName } from "../../question.ts";
import { countText } from "../../words.ts";
import { conditionsText } from "../explore/operators.ts";
import { howOf } from "./definition.ts";

type Json = Record<string, any>;

export const titleOf = ({ display_name, name }: ActorCohort): string => display_name || name;

/** In one sentence: who is in it. */
export function saidOf({ kind, actors_listed, all, any, funnel, actor_property }: ActorCohort): string {
  if (kind === "static") return actors_listed === undefined ? "A list of actors" : `A list of ${countText(actors_listed, "actor")} by ${actor_property}`;
  if (kind === "funnel") return ofFunnel(funnel as Json);
  const parts = [all?.map(conditionOf).join(", and "), any?.map(conditionOf).join(", or ")].filter(Boolean);
  return `Who ${parts.join("; and who ")}`;
}

function ofFunnel({ steps, step, dropped, window }: Json): string {
  const names = (steps as Json[]).slice(0, step ?? steps.length).map((one) => `${one.inverted ? "not " : ""}${one.event_collection}`);
  const within = window ? ` within ${String(window).replaceAll("_", " ")}` : "";
  if (!dropped) return `Who came to ${names.join(" → ")}${within}`;
  const last = names.pop();
  return `Who came to ${names.join(" → ")} and not to ${last}${within}`;
}

const often = (count: unknown) => (count === 1 ? "once" : count === 2 ? "twice" : `${Number(count).toLocaleString()} times`);

function conditionOf(given: object): string {
  const one = given as Json;
  const how = howOf(one);
  if (how === "in_cohort" || how === "not_in_cohort") {
    return `${how === "in_cohort" ? "is" : "is not"} in the cohort ${typeof one[how] === "string" ? one[how] : "of its own"}`;
  }
  const times = {
    never: "",
    exactly: ` exactly ${often(one.exactly)}`,
    between: ` ${one.at_least} to ${often(one.at_most)}`,
    at_most: ` at most ${often(one.at_most)}`,
    at_least: (one.at_least ?? 1) === 1 ? "" : ` at least ${often(one.at_least)}`,
  }[how];
  const filters = one.filters?.length ? ` (${conditionsText(one.filters)})` : "";
  return `${how === "never" ? "never did" : "did"} ${one.event_collection}${filters}${times}${whenOf(one)}`;
}

function whenOf({ timeframe, timezone }: Json): string {
  if (!timeframe) return "";
  if (typeof timeframe === "string") return ` (${frameName(timeframe)})`;
  return ` (${writtenDays(timeframe as Exclude<Timeframe, string>, timezone)})`;
}
