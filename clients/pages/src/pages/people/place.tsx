/** What somebody may do in an organisation: own it, or a role in each project. */
import type { Project, Role } from "../../session.ts";
import { Choice } from "../../ui/field.tsx";

export interface Place {
  owner: boolean;
  roles: Record<string, Role>;
}

const ROLES = [
  ["", "No part in it"],
  ["viewer", "Viewer: looks"],
  ["editor", "Editor: changes queries and dashboards"],
  ["owner", "Owner: does everything"],
] as const;

interface PlaceFieldsProps {
  place: Place;
  set: (place: Place) => void;
  projects: Project[];
}

export function PlaceFields({ place, set, projects }: PlaceFieldsProps) {
  const choose = (id: string, role: string) => {
    const { [id]: _, ...roles } = place.roles;
    set({ ...place, roles: role ? { ...roles, [id]: role as Role } : roles });
  };
  return (
    <>
      <label class="check">
        <input type="checkbox" checked={place.owner} onChange={(event) => set({ ...place, owner: event.currentTarget.checked })} />
        Owner of the organisation: all projects, and its people
      </label>
      {!place.owner && (
        <fieldset class="choices roles">
          <legend>Roles</legend>
          {projects.map(({ id, name }) => (
            <div class="role" key={id}>
              <label for={`role-${id}`}>{name}</label>
              <Choice id={`role-${id}`} value={place.roles[id] ?? ""} choices={ROLES} choose={(role) => choose(id, role)} />
            </div>
          ))}
        </fieldset>
      )}
    </>
  );
}

const SHOWN_MAX = 6;

export function placeText({ owner, roles }: Place, projects: Project[]): string {
  if (owner) return "Owner of the organisation";
  const named = projects.filter(({ id }) => roles[id]).map(({ id, name }) => `${name}: ${roles[id]}`);
  if (!named.length) return "No role yet";
  const more = named.length - SHOWN_MAX;
  return named.slice(0, SHOWN_MAX).join(", ") + (more > 0 ? ` and ${more} more` : "");
}
