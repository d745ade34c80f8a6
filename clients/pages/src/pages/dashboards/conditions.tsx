/** Filters in rows, of properties of any collection. */
import { isWhole, type Condition } from "../../question.ts";
import type { CollectionSchema, Property } from "../../schema.ts";
import { Combobox } from "../../ui/combobox.tsx";
import { Choice } from "../../ui/field.tsx";

const OPERATORS = [
  ["eq", "is"],
  ["ne", "is not"],
  ["lt", "is less than"],
  ["gt", "is more than"],
  ["contains", "contains"],
  ["exists", "is there"],
] as const;

/** The properties of all collections, each once. */
export function allProperties(schema: readonly CollectionSchema[]): Property[] {
  const found = new Map<string, Property>();
  for (const one of schema.flatMap(({ properties }) => properties)) if (!found.has(one.name)) found.set(one.name, one);
  return [...found.values()];
}

export const wholeOnes = (conditions: readonly Condition[]): Condition[] => conditions.filter(isWhole);

/** What was typed, as the property's type has it. */
export function typed(text: string, type: string | undefined): unknown {
  if (type === "num" && text.trim() !== "" && Number.isFinite(Number(text))) return Number(text);
  if (type === "bool" && /^(true|false)$/.test(text)) return text === "true";
  return text;
}

interface RowsProps {
  legend: string;
  properties: Property[];
  conditions: Condition[];
  change: (conditions: Condition[]) => void;
}

export function ConditionRows({ legend, properties, conditions, change }: RowsProps) {
  const typeOf = (name: string) => properties.find((one) => one.name === name)?.type;
  const set = (at: number, patch: Partial<Condition>) =>
    change(conditions.map((one, index) => (index === at ? { ...one, ...patch } : one)));
  return (
    <fieldset>
      <legend>{legend}</legend>
      {conditions.map((one, at) => (
        <div class="row condition" role="group" aria-label={`${legend}: ${at + 1}`} key={at}>
          <Combobox id={`condition-${at}`} label="Property" placeholder="Property" free value={one.property_name}
            options={properties.map(({ name }) => ({ value: name }))} commit={(name) => set(at, { property_name: name })} />
          <Choice id={`condition-operator-${at}`} label="Operator" value={one.operator} choices={OPERATORS}
            choose={(operator) => set(at, { operator, property_value: operator === "exists" ? true : undefined })} />
          {one.operator !== "exists" && (
            <input aria-label="Value" placeholder="Value" value={one.property_value === undefined ? "" : String(one.property_value)}
              onInput={(event) => set(at, { property_value: typed(event.currentTarget.value, typeOf(one.property_name)) })} />
          )}
          <button type="button" class="quiet icon" aria-label={`Remove condition ${at + 1}`}
            onClick={() => change(conditions.filter((_, index) => index !== at))}>
            ×
          </button>
        </div>
      ))}
      <button type="button" class="quiet add"
        onClick={() => change([...conditions, { property_name: "", operator: "eq", property_value: undefined }])}>
        + Condition
      </button>
    </fieldset>
  );
}
