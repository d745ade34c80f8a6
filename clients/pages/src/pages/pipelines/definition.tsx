/** A pipeline's definition: its steps in order, as people read them. */
import { Code } from "../../ui/code.tsx";
import type { Details } from "./calls.ts";

/** What each operation does, before its details. */
const DOES: Record<string, string> = {
  mask: "Keep the events of the mask",
  where: "Keep the rows where",
  select: "Keep the columns",
  drop: "Leave out the columns",
  rename: "Rename columns",
  compute: "Compute columns",
  parse: "Give a column a type",
  explode: "One row for each element of",
  dedupe: "One row for each",
  sessionise: "Find the sessions of",
  lookup: "Look up in the reference table",
  aggregate: "Aggregate",
  sql: "Run SQL",
  python: "Run the Python function",
};

type Json = Record<string, unknown>;

function written(value: unknown): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}

/** `{ total: "price * quantity" }` as lines `total = price * quantity`. */
function linesOf(value: unknown): string[] {
  if (Array.isArray(value)) return [value.map(written).join(", ")];
  if (typeof value === "object" && value !== null) return Object.entries(value).map(([name, one]) => `${name} = ${written(one)}`);
  return [written(value)];
}

function stepOf(step: Json, masks: Json): { does: string; lines: string[] } {
  const name = Object.keys(step).find((key) => key in DOES) ?? Object.keys(step)[0] ?? "";
  const { [name]: value, ...rest } = step;
  const lines = [...linesOf(value), ...linesOf(rest)];
  if (name === "mask") {
    for (const mask of [value].flat()) {
      const { filters } = (masks[String(mask)] ?? {}) as { filters?: Json[] };
      lines.push(...(filters ?? []).map((one) => ("property_name" in one ? [one.property_name, one.operator, written(one.property_value)].join(" ") : written(one))));
    }
  }
  return { does: DOES[name] ?? name, lines };
}

export function Steps({ pipeline }: { pipeline: Details }) {
  const { pipeline: given, masks, references } = pipeline.definition;
  const steps = (Array.isArray(given.steps) ? given.steps : []) as Json[];
  return (
    <>
      <ol class="pipe-steps">
        <li>
          <strong>Read the events of</strong>
          <pre>{pipeline.from.join("\n")}</pre>
        </li>
        {steps.map((step, at) => {
          const { does, lines } = stepOf(step, masks);
          return (
            <li key={at}>
              <strong>{does}</strong>
              {lines.length > 0 && <pre>{lines.join("\n")}</pre>}
            </li>
          );
        })}
        <li>
          <strong>Store the rows as events of</strong>
          <pre>{pipeline.into}</pre>
        </li>
        {Array.isArray(given.sinks) && given.sinks.length > 0 && (
          <li>
            <strong>Deliver them</strong>
            <pre>{given.sinks.flatMap(linesOf).join("\n")}</pre>
          </li>
        )}
      </ol>
      <details>
        <summary>The definition as JSON</summary>
        <Code text={JSON.stringify({ ...given, ...(Object.keys(masks).length && { masks }), ...(Object.keys(references).length && { references }) }, null, 2)} what="the definition" />
      </details>
    </>
  );
}
