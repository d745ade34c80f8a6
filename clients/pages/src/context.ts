/** What every page of a project has at hand. */
import type { Acumen } from "acumen-client";
import { createContext } from "preact";
import { useContext } from "preact/hooks";
import { addressOf } from "./router.ts";
import type { Project, Session } from "./session.ts";

export interface Here {
  project: Project;
  session: Session;
  client: Acumen;
  mayEdit: boolean;
  /** The address of a page of this project. */
  to: (...parts: string[]) => string;
  /** Say something for a moment, to screen readers too. */
  say: (text: string) => void;
  /** Ask anew who is here and what they may do. */
  renew: () => Promise<void>;
}

export const HereContext = createContext<Here | null>(null);

export function useHere(): Here {
  const here = useContext(HereContext);
  if (!here) throw new Error("no project");
  return here;
}

export function toOf(project: Project): Here["to"] {
  return (...parts) => addressOf(project.id, ...parts);
}
