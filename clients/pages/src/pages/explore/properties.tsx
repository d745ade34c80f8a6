/** Choosing collections and properties of what there is. */
import { typeName, type Property } from "../../schema.ts";
import { Combobox, type Option } from "../../ui/combobox.tsx";

export function optionsOf(properties: readonly Property[], preferred?: string): Option[] {
  const options = properties.map(({ name, type }) => ({ value: name, hint: typeName(type), type }));
  if (!preferred) return options;
  return [...options].sort((a, b) => Number(b.type === preferred) - Number(a.type === preferred));
}

interface GroupsProps {
  groups: string[];
  properties: Property[];
  change: (groups: string[]) => void;
}

/** Properties to group by: each can be taken away again. */
export function Groups({ groups, properties, change }: GroupsProps) {
  const left = properties.filter(({ name }) => !groups.includes(name));
  return (
    <div class="chips">
      {groups.map((name) => (
        <button
          key={name}
          type="button"
          class="chip"
          aria-label={`Do not group by ${name}`}
          onClick={() => change(groups.filter((one) => one !== name))}
        >
          {name} <span aria-hidden="true">×</span>
        </button>
      ))}
      <Combobox
        id="group_by"
        placeholder={groups.length ? "Another property" : "Nothing"}
        value=""
        options={optionsOf(left)}
        free
        prefer="beginning"
        commit={(name) => name && change([...groups, name])}
      />
    </div>
  );
}
