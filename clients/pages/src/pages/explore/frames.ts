/** Timeframes of questions that stand side by side. */
import type { Acumen, Question, Timeframe } from "acumen-client";
import { dayIn } from "../../days.ts";
import { dayAfter, midnight } from "../../zones.ts";

type Json = Record<string, any>;

const steps = (question: Json): Json[] => (Array.isArray(question.steps) ? question.steps : []);

export function frameOf(question: Question): { timeframe?: Timeframe; timezone?: unknown } {
  const from: Json = question.timeframe ? question : (steps(question)[0] ?? question);
  return { timeframe: from.timeframe ?? undefined, timezone: from.timezone ?? question.timezone };
}

/** The question about another time; a funnel's steps have theirs. */
export function withFrame(question: Question, timeframe: Timeframe | undefined): Question {
  const { timeframe: _, interval, ...rest } = question;
  const set = (one: Json) => {
    const { timeframe: __, ...kept } = one;
    return timeframe ? { ...kept, timeframe } : kept;
  };
  if (steps(question).length && !question.timeframe) return { ...rest, steps: steps(question).map(set) } as unknown as Question;
  // An interval needs a timeframe with two ends.
  return { ...rest, ...(timeframe && { timeframe }), ...(timeframe && interval ? { interval } : {}) } as Question;
}

export function withFrameOf(question: Question, other: Question): Question {
  return withFrame(question, frameOf(other).timeframe);
}

/** When a timeframe begins and ends, as the server says it: one part, whatever its length. */
export async function endsOf(client: Acumen, event_collection: string, frame: Partial<Question>, signal?: AbortSignal) {
  const { timeframe, timezone, week_start } = frame;
  const asked = { event_collection, timeframe, timezone, week_start, interval: "every_1000_years" };
  const { result } = await client.query<{ timeframe: { start: string; end: string } }[]>("count", asked, { signal });
  return result[0]!.timeframe;
}

/** The same length before: as many days where both ends are midnights of the zone, else as much time. */
export function before(start: string, end: string, zone: string): Timeframe {
  const [from, to] = [dayAt(start, zone), dayAt(end, zone)];
  const length = Date.parse(end) - Date.parse(start);
  if (from && to) {
    const days = Math.round((Date.parse(`${to}T00:00Z`) - Date.parse(`${from}T00:00Z`)) / 86_400_000);
    return { start: midnight(dayAfter(from, -days), zone), end: midnight(from, zone) };
  }
  return { start: new Date(Date.parse(start) - length).toISOString(), end: start };
}

/** The day that begins at an instant in the zone; null where none does. */
function dayAt(text: string, zone: string): string | null {
  const day = dayIn(zone, text);
  return Date.parse(midnight(day, zone)) === Date.parse(text) ? day : null;
}
