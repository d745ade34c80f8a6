/** Says beside a chart which of its parts the timeframe cuts. */
import type { Question } from "acumen-client";
import { cutParts } from "../cut.ts";

export function CutParts({ result, question }: { result: unknown; question: Question }) {
  return (
    <>
      {cutParts(result, question).map((text) => (
        <p class="small cut" key={text}>
          {text}
        </p>
      ))}
    </>
  );
}
