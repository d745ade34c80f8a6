/** The pages of an organisation's owners, one beside the other. */
import type { Session } from "../../session.ts";

const PAGES = [
  ["people", "People"],
  ["projects", "Projects"],
  ["server", "Server"],
] as const;

export function OrganisationNav({ session, page }: { session: Session; page: string }) {
  return (
    <nav class="sections" aria-label="Organisation">
      {PAGES.filter(([name]) => name !== "server" || session.operates).map(([name, label]) => (
        <a key={name} href={`/app/${name}`} aria-current={name === page ? "page" : undefined}>
          {label}
        </a>
      ))}
    </nav>
  );
}
