/** Choosing collections and properties of what there is. */
import { groupName, type CohortGroup } from "../../question.ts";
import { typeName, type Property } from "../../schema.ts";
import { Combobox, type Option } from "../../ui/combobox.tsx";

export function optionsOf(properties: readonly Property[], preferred?: string): Option[] {
  const options = properties.map(({ name, type }) => ({ value: name, hint: typeName(type), type }));
  if (!preferred) return options;
  return [...options].sort((a, b) => Number(b.type === preferred) - Number(a.type === preferred));
}

interface GroupsProps {
  groups: (string | CohortGroup)[];
  properties: Property[];
  /** Names and titles. */
  cohorts: readonly (readonly [string, string])[];
  change: (groups: (string | CohortGroup)[]) => void;
}

/** Properties and cohorts to group by: each can be taken away again. */
export function Groups({ groups, properties, cohorts, change }: GroupsProps) {
  const names = groups.map(groupName);
  const left = optionsOf(properties.filter(({ name }) => !groups.includes(name)));
  const sets = cohorts.map(([cohort, title]) => ({ value: groupName({ cohort }), hint: title, cohort })).filter(({ value }) => !names.includes(value));
  const add = (name: string) => {
    const set = sets.find(({ value }) => value === name);
    if (name) change([...groups, set && !left.some(({ value }) => value === name) ? { cohort: set.cohort } : name]);
  };
  return (
    <div class="chips">
      {names.map((name, at) => (
        <button
          key={name}
          type="button"
          class="chip"
          aria-label={`Do not group by ${name}`}
          onClick={() => change(groups.filter((_, index) => index !== at))}
        >
          {name} <span aria-hidden="true">×</span>
        </button>
      ))}
      <Combobox
        id="group_by"
        placeholder={groups.length ? "Another property" : "Nothing"}
        value=""
        options={[...left, ...sets]}
        free
        prefer="beginning"
        commit={add}
      />
    </div>
  );
}
