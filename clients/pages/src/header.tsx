/** The bar above all pages. */
import { addressOf, go } from "./router.ts";
import { mayEdit, mayManage, type Project, type Session } from "./session.ts";

const PAGES = [
  ["", "Start"],
  ["explore", "Explore"],
  ["saved", "Saved"],
  ["dashboards", "Dashboards"],
  ["cohorts", "Cohorts"],
  ["data", "Data"],
] as const;

/** Pages of an organisation's owners, which are one beside the other. */
const ORGANISED = ["people", "projects", "server"];

interface HeaderProps {
  session: Session;
  project: Project | undefined;
  page: string;
  leave: () => void;
}

export function Header({ session, project, page, leave }: HeaderProps) {
  const current = ["live", "actors", "import"].includes(page) ? "data" : page === "send" ? "" : page;
  return (
    <header class="bar">
      <a class="brand" href={project ? addressOf(project.id) : "/app/none"} aria-label="Acumen, to the start">
        <img src="/pages/icon.svg" alt="" width="24" height="24" />
      </a>
      <ProjectChoice session={session} project={project} />
      <nav aria-label="Pages">
        {project &&
          PAGES.filter(([name]) => name !== "cohorts" || project.permissions.includes("queries")).map(([name, label]) => (
            <a
              key={name}
              href={name ? addressOf(project.id, name) : addressOf(project.id)}
              aria-current={current === name ? "page" : undefined}
            >
              {label}
            </a>
          ))}
        {project && mayEdit(project) && (
          <a href={addressOf(project.id, "pipelines")} aria-current={current === "pipelines" ? "page" : undefined}>
            Pipelines
          </a>
        )}
        {project?.permissions.includes("sql") && (
          <a href={addressOf(project.id, "sql")} aria-current={current === "sql" ? "page" : undefined}>
            SQL
          </a>
        )}
        {project && mayManage(project) && (
          <a href={addressOf(project.id, "settings")} aria-current={current === "settings" ? "page" : undefined}>
            Settings
          </a>
        )}
      </nav>
      <nav class="own" aria-label={session.person ? "You" : "Help"}>
        <a href="/docs" title="The documentation of the API">
          Docs
        </a>
        {session.person && session.organisations.some(({ owner }) => owner) && (
          <a href="/app/people" aria-current={ORGANISED.includes(current) ? "page" : undefined}>
            People
          </a>
        )}
        {session.person && (
          <a href="/app/account" aria-current={current === "account" ? "page" : undefined} title={session.person.email}>
            Account
          </a>
        )}
      </nav>
      <button type="button" class="quiet leave" onClick={leave}>
        Log out
      </button>
    </header>
  );
}

function ProjectChoice({ session, project }: Pick<HeaderProps, "session" | "project">) {
  if (session.projects.length < 2) {
    return (
      <span class="project" title={project?.name}>
        {project?.name}
      </span>
    );
  }
  return (
    <select
      class="project"
      aria-label="Project"
      value={project?.id ?? ""}
      onChange={(event) => go(addressOf(event.currentTarget.value))}
    >
      {session.projects.map((one) => (
        <option key={one.id} value={one.id}>
          {one.name}
        </option>
      ))}
    </select>
  );
}
