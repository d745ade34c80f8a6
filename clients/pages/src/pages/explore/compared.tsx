/** A question beside the period before: the way there, and how much its number has changed. */
import type { Answer, Question, Timeframe } from "acumen-client";
import { useHere } from "../../context.ts";
import { daysOfFrame } from "../../days.ts";
import type { Loaded } from "../../loading.ts";
import { sameQuestion } from "../../question.ts";
import { go, here } from "../../router.ts";
import { textOf } from "../../ui/states.tsx";
import { collectionOf } from "./asking/own.ts";
import { SLOTS, withAsked, type Asked } from "./address.ts";
import { before, endsOf, frameOf, withFrame } from "./frames.ts";

const ADDED = ["count", "sum"];

/** The number that an answer is, or that its parts add up to; null where it is none. */
export function numberOf(question: Question, result: unknown): number | null {
  if (typeof result === "number") return result;
  if (!Array.isArray(result) || !question.interval || question.group_by || !ADDED.includes(question.analysis_type)) return null;
  const values = result.map(({ value }) => value);
  return values.every((one) => one === null || typeof one === "number") ? values.reduce((sum, one) => sum + (one ?? 0), 0) : null;
}

/** Whether both ask the same about different times. */
export function differInTime(a: Question, b: Question): boolean {
  const timeless = (one: Question) => withFrame({ ...one, interval: undefined } as Question, undefined);
  return a.interval === b.interval && !sameQuestion(frameOf(a), frameOf(b)) && sameQuestion(timeless(a), timeless(b));
}

/** `▲ +25 %`: the arrow and the sign say what the colour says. Null where nothing was before. */
export function changeText(now: number, earlier: number): string | null {
  if (now === earlier) return "= 0 %";
  if (!earlier) return null;
  const share = (now - earlier) / Math.abs(earlier);
  const number = share.toLocaleString("en-GB", { style: "percent", signDisplay: "always", maximumFractionDigits: 1 }).replace("%", " %");
  return `${share > 0 ? "▲" : "▼"} ${number.replace("-", "−")}`;
}

/** Whether some of the timeframe is still to come. */
function isRunning(timeframe: Timeframe | undefined): boolean {
  if (typeof timeframe === "string") return /^(this_|today)/.test(timeframe);
  return Date.parse(timeframe?.end ?? "") > Date.now();
}

interface ComparedProps {
  at: number;
  all: readonly Asked[];
  answers: readonly Loaded<Answer<any> | null>[];
  slots: readonly number[];
  choose: (at: number) => void;
}

/** Puts this question about the period before beside it, and says how much the number has changed since. */
export function Compared({ at, all, answers, slots, choose }: ComparedProps) {
  const { client, say } = useHere();
  const asked = all[at - 1]!;
  const { question } = asked;
  if (!question || !frameOf(question).timeframe) return null;
  const other = slots.find((one) => one > at && differInTime(question, all[one - 1]!.question!));
  if (other) return <Change question={question} other={all[other - 1]!.question!} at={other} now={answers[at - 1]!} then={answers[other - 1]!} />;
  if (slots.length === SLOTS.length) return null;
  const compare = async () => {
    const { timeframe, timezone } = frameOf(question);
    const { start, end } = await endsOf(client, collectionOf(question), { timeframe, timezone, week_start: question.week_start } as Partial<Question>);
    const place = here();
    place.query.delete("linked");
    const next = slots.length + 1;
    const zone = typeof timezone === "string" ? timezone : "UTC";
    go(withAsked({ ...asked, question: withFrame(question, before(start, end, zone)), saved: "" }, next, place));
    choose(next);
  };
  return (
    <button type="button" class="compare" onClick={() => compare().catch((error: unknown) => say(textOf(error)))}>
      Compare with the period before
    </button>
  );
}

interface ChangeProps {
  question: Question;
  other: Question;
  /** Which question the other is. */
  at: number;
  now: Loaded<Answer<any> | null>;
  then: Loaded<Answer<any> | null>;
}

function Change({ question, other, at, now, then }: ChangeProps) {
  if (!now.value || !then.value || now.busy || then.busy) return null;
  const [number, earlier] = [numberOf(question, now.value.result), numberOf(other, then.value.result)];
  if (number === null || earlier === null) return null;
  const text = changeText(number, earlier);
  const { timeframe, timezone } = frameOf(other);
  const days = timeframe ? daysOfFrame(timeframe, typeof timezone === "string" ? timezone : "UTC") : "";
  return (
    <p class="change" role="status">
      {text && <strong class={number > earlier ? "more" : number < earlier ? "less" : ""}>{text}</strong>}
      {number.toLocaleString()} instead of {earlier.toLocaleString()} in question {at}{days && ` (${days})`}.{isRunning(frameOf(question).timeframe) && " This period is not over yet."}
    </p>
  );
}
