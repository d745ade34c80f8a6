/** Which comparisons fit a type, and what is compared with. */
import { groupName } from "../../question.ts";

export type Operand = "value" | "list" | "there" | "truth" | "time" | "place";

export interface Operator {
  name: string;
  label: string;
  operand: Operand;
}

const EXISTS: Operator = { name: "exists", label: "is there", operand: "there" };
const plain = (name: string, label: string, operand: Operand = "value"): Operator => ({ name, label, operand });

const IS = [plain("eq", "is"), plain("ne", "is not"), plain("in", "is one of", "list")];
const ORDER = [plain("gt", "is above"), plain("gte", "is at least"), plain("lt", "is below"), plain("lte", "is at most")];
const TEXT = [plain("contains", "contains"), plain("not_contains", "does not contain"), plain("regex", "matches (RE2)")];

const BY_TYPE: Record<string, Operator[]> = {
  string: [...IS, ...TEXT, EXISTS],
  num: [...IS, ...ORDER, EXISTS],
  bool: [plain("eq", "is", "truth"), EXISTS],
  list: [plain("contains", "contains"), plain("not_contains", "does not contain"), EXISTS],
  datetime: [
    plain("gte", "is from", "time"),
    plain("gt", "is after", "time"),
    plain("lte", "is until", "time"),
    plain("lt", "is before", "time"),
    EXISTS,
  ],
  geo: [plain("within", "is within", "place"), EXISTS],
};

/** Where the type is not known, all that a text or a number may have. */
const ANY = [...IS, ...ORDER, ...TEXT, EXISTS];

/** Only where a question came with it, as that of the events behind a number does. */
export const IN_GROUP = plain("in_group", "is in the group");

export const OF_COHORTS = [
  ["in_cohort", "is in the cohort"],
  ["not_in_cohort", "is not in the cohort"],
] as const;

const ALL = [...ANY, ...Object.values(BY_TYPE).flat(), IN_GROUP];

/** What a condition says, for people. */
export function conditionText(condition: Record<string, any>): string {
  const { operator, property_value: value, operands } = condition;
  if (operator === "or" && Array.isArray(operands)) return operands.map(conditionText).join(" or ");
  if (/_cohort$/.test(operator)) return `${condition.property_name ?? "the actor"} is ${operator === "in_cohort" ? "" : "not "}in the cohort ${typeof value === "string" ? value : "of its own"}`;
  const name = groupName(condition);
  if (operator === "exists") return `${name} ${value === false ? "is not there" : "is there"}`;
  const label = ALL.find((one) => one.name === operator)?.label ?? String(operator);
  const said = [value].flat().map((one) => (one !== null && typeof one === "object" ? JSON.stringify(one) : String(one)));
  return `${name} ${label} ${said.join(", ")}`;
}

export const conditionsText = (conditions: readonly Record<string, any>[]): string => conditions.map(conditionText).join(" and ");

export function operatorsOf(type: string | undefined): Operator[] {
  return BY_TYPE[type ?? ""] ?? ANY;
}

/** What was typed as a value: a number where the property has numbers, else the text itself. */
export function valueOf(text: string, type: string | undefined): unknown {
  const number = Number(text);
  const numeric = text.trim() !== "" && Number.isFinite(number);
  return numeric && type !== "string" ? number : text;
}
