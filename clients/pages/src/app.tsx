/** The frame around all pages: who is here, which project, and which page the address names. */
import { useCallback, useEffect, useMemo, useState } from "preact/hooks";
import { HereContext, toOf, type Here } from "./context.ts";
import { Header } from "./header.tsx";
import { JoinPage } from "./pages/join.tsx";
import { LoginPage } from "./pages/login.tsx";
import { ResetPage } from "./pages/reset.tsx";
import { SendPage } from "./pages/start/send.tsx";
import { StartPage } from "./pages/start/start.tsx";
import { lazy, loadAhead } from "./lazy.tsx";
import { addressOf, followLinks, go, usePlace } from "./router.ts";
import { clientOf, current, latest, logOut, mayEdit, onEnd, remember, restore, type Session } from "./session.ts";
import { Empty, Loading } from "./ui/states.tsx";

const administration = () => import("./pages/administration/index.ts");
const own = () => import("./pages/own.ts");
const dashboards = () => import("./pages/dashboards/index.ts");
const data = () => import("./pages/data/index.ts");
const actors = () => import("./pages/actors/index.ts");
const imports = () => import("./pages/imports/index.ts");
const cohorts = () => import("./pages/forms.ts");
const sql = () => import("./pages/sql/index.tsx");
const pipelines = () => import("./pages/pipelines/index.ts");
const exploring = () => import("./pages/explore/index.ts");
const ActorPage = lazy(actors, "ActorPage");
const AccountPage = lazy(own, "AccountPage");
const PeoplePage = lazy(own, "PeoplePage");
const DashboardPage = lazy(dashboards, "DashboardPage");
const DashboardsPage = lazy(dashboards, "DashboardsPage");
const CollectionPage = lazy(data, "CollectionPage");
const DataPage = lazy(data, "DataPage");
const LivePage = lazy(data, "LivePage");
const ImportsPage = lazy(imports, "ImportsPage");
const ImportPage = lazy(imports, "ImportPage");
const ExplorePage = lazy(exploring, "ExplorePage");
const SavedPage = lazy(exploring, "SavedPage");
const CohortPage = lazy(cohorts, "CohortPage");
const CohortsPage = lazy(cohorts, "CohortsPage");
const PipelinePage = lazy(pipelines, "PipelinePage");
const PipelinesPage = lazy(pipelines, "PipelinesPage");
const SqlPage = lazy(sql, "SqlPage");
const ExportsPage = lazy(administration, "ExportsPage");
const ProjectsPage = lazy(administration, "ProjectsPage");
const ServerPage = lazy(administration, "ServerPage");
const SettingsPage = lazy(administration, "SettingsPage");

const ENDED = "Your session has ended. Log in again to go on.";
const RESET = "Your new password is set. Log in with it.";

export function App() {
  const [session, setSession] = useState<Session | null | undefined>();
  const [notice, setNotice] = useState("");
  const { path, query } = usePlace();
  useEffect(() => {
    onEnd(() => {
      const { pathname, search } = location;
      const inside = pathname.startsWith("/app/");
      if (inside && !go(loginFor(pathname + search), { replace: true })) return;
      if (inside) setNotice(ENDED);
      setSession(null);
    });
    restore().then(setSession, () => setSession(null));
    document.addEventListener("click", followLinks);
    return () => document.removeEventListener("click", followLinks);
  }, []);
  const isPage = path.startsWith("/app/");
  const isEntry = ["/login", "/join", "/reset"].includes(path);
  useEffect(() => {
    if (session === undefined || isEntry) return;
    if (!session) go(isPage ? loginFor(path + location.search) : "/login", { replace: true });
    else if (!isPage) go(home(session), { replace: true });
  }, [session, path]);
  if (session === undefined) return <Loading what="Acumen" />;
  const enter = (found: Session, next: string | null) => {
    setNotice("");
    setSession(found);
    go(nextOf(found, next), { replace: true });
  };
  const leave = (said: string) => {
    setSession(null);
    setNotice(said);
    go("/login");
  };
  if (path === "/login") {
    const next = query.get("next");
    return <LoginPage notice={notice} next={next} returned={query.get("openid")} enter={(found) => enter(found, next)} />;
  }
  if (path === "/join") {
    return <JoinPage session={session} enter={(found, project) => enter(found, project ? addressOf(project) : null)} />;
  }
  if (path === "/reset") return <ResetPage done={() => leave(RESET)} />;
  if (!session || !isPage) return null;
  const logOutHere = async () => {
    await logOut().catch(() => undefined);
    leave("");
  };
  return <Signed session={session} path={path} leave={logOutHere} renew={() => current().then(setSession)} />;
}

function loginFor(address: string): string {
  return `/login?next=${encodeURIComponent(address)}`;
}

function home(session: Session): string {
  const project = latest(session);
  return project ? addressOf(project.id) : "/app/none";
}

/** Where somebody wanted to go, if that is for them. */
function nextOf(session: Session, next: string | null): string {
  const wanted = next?.startsWith("/app/") ? next : "";
  const first = wanted.split(/[/?]/)[2] ?? "";
  const known = Object.hasOwn(OWN_PAGES, first) ? session.person !== null : session.projects.some(({ id }) => id === first);
  if (next === "/join") return next;
  return known ? wanted : home(session);
}

interface SignedProps {
  session: Session;
  path: string;
  leave: () => void;
  renew: () => Promise<void>;
}

/** Pages of a person, which belong to no project. */
const OWN_PAGES: Record<string, string> = { account: "Your account", people: "People", projects: "Projects", server: "Server" };

function Signed({ session, path, leave, renew }: SignedProps) {
  const [said, setSaid] = useState("");
  const [, , id = "", page = "", ...rest] = path.split("/").map(decodeURIComponent);
  const project = session.projects.find((one) => one.id === id);
  const say = useCallback((text: string) => setSaid(text), []);
  useEffect(loadAhead, []);
  useEffect(() => {
    if (project) remember(project);
  }, [project]);
  useEffect(() => {
    if (!said) return;
    const timer = setTimeout(() => setSaid(""), 5000);
    return () => clearTimeout(timer);
  }, [said]);
  const here = useMemo<Here | null>(() => {
    if (!project) return null;
    return { project, client: clientOf(project), mayEdit: mayEdit(project), to: toOf(project), say, session, renew };
  }, [project, say]);
  const own = session.person && Object.hasOwn(OWN_PAGES, id) ? id : "";
  const around = own ? latest(session) : project;
  return (
    <HereContext.Provider value={here}>
      <a class="skip" href="#main">
        Skip to the page
      </a>
      <Header session={session} project={around} page={own || page} leave={leave} />
      <main id="main" tabIndex={-1}>
        {own ? (
          <OwnPage page={own} session={session} say={say} renew={renew} />
        ) : here ? (
          <Page key={here.project.id} page={page} rest={rest} />
        ) : (
          <NoProject session={session} />
        )}
      </main>
      <div class="toast" role="status" aria-live="polite">
        {said && <p>{said}</p>}
      </div>
    </HereContext.Provider>
  );
}

export interface OwnProps {
  session: Session;
  say: (text: string) => void;
  /** Ask anew who is here and what they may do. */
  renew: () => Promise<void>;
}

function OwnPage({ page, ...more }: OwnProps & { page: string }) {
  useEffect(() => {
    document.title = `${OWN_PAGES[page]} · Acumen`;
  }, [page]);
  if (page === "people") return <PeoplePage {...more} />;
  if (page === "projects") return <ProjectsPage {...more} />;
  return page === "server" ? <ServerPage {...more} /> : <AccountPage {...more} />;
}

const TITLES: Record<string, string> = {
  "": "Start",
  explore: "Explore",
  saved: "Saved queries",
  dashboards: "Dashboards",
  cohorts: "Cohorts",
  pipelines: "Pipelines",
  data: "Data",
  live: "Live",
  actors: "Timeline",
  settings: "Settings",
  exports: "Exports",
  sql: "SQL",
  import: "Import",
  send: "Send events",
};

function Page({ page, rest }: { page: string; rest: string[] }) {
  const name = rest.join("/");
  useEffect(() => {
    document.title = `${[name, TITLES[page] ?? "Not found"].filter(Boolean).join(" · ")} · Acumen`;
  }, [page, name]);
  if (page === "" && !name) return <StartPage />;
  if (page === "send" && !name) return <SendPage />;
  if (page === "explore") return <ExplorePage />;
  if (page === "saved") return <SavedPage />;
  if (page === "dashboards") return name ? <DashboardPage key={name} id={name} /> : <DashboardsPage />;
  if (page === "cohorts") return name ? <CohortPage key={name} name={name} /> : <CohortsPage />;
  if (page === "data") return name ? <CollectionPage key={name} name={name} /> : <DataPage />;
  if (page === "pipelines") return name ? <PipelinePage key={name} name={name} /> : <PipelinesPage />;
  if (page === "import") return name ? <ImportPage key={name} id={name} /> : <ImportsPage />;
  if (page === "actors") return <ActorPage property={name} />;
  if (page === "exports" && !name) return <ExportsPage />;
  if (page === "sql" && !name) return <SqlPage />;
  if (page === "settings") return <SettingsPage parts={rest} />;
  if (page === "live" && name) return <LivePage key={name} name={name} />;
  return (
    <Empty title="There is no such page">
      <p>The address may be misspelt.</p>
    </Empty>
  );
}

function NoProject({ session }: { session: Session }) {
  return (
    <Empty title="No such project here">
      <p>Either it does not exist, or you have no part in it.</p>
      {session.projects.map((one) => (
        <p key={one.id}>
          <a href={addressOf(one.id)}>{one.name}</a>
        </p>
      ))}
    </Empty>
  );
}
