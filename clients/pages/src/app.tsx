/** The frame around all pages: who is here, which project, and which page the address names. */
import { useCallback, useEffect, useMemo, useState } from "preact/hooks";
import { HereContext, toOf, type Here } from "./context.ts";
import { Header } from "./header.tsx";
import { DashboardPage } from "./pages/dashboards/dashboard.tsx";
import { DashboardsPage } from "./pages/dashboards/list.tsx";
import { CollectionPage } from "./pages/data/collection.tsx";
import { DataPage } from "./pages/data/data.tsx";
import { LivePage } from "./pages/data/live.tsx";
import { ExplorePage } from "./pages/explore/explore.tsx";
import { LoginPage } from "./pages/login.tsx";
import { SavedPage } from "./pages/saved.tsx";
import { StartPage } from "./pages/start/start.tsx";
import { addressOf, followLinks, go, usePlace } from "./router.ts";
import { clientOf, logOut, mayEdit, restore, type Session } from "./session.ts";
import { Empty, Loading } from "./ui/states.tsx";

export function App() {
  const [session, setSession] = useState<Session | null | undefined>();
  const { path, query } = usePlace();
  useEffect(() => {
    restore().then(setSession, () => setSession(null));
    document.addEventListener("click", followLinks);
    return () => document.removeEventListener("click", followLinks);
  }, []);
  const isPage = path.startsWith("/app/");
  useEffect(() => {
    if (session === undefined) return;
    if (!session && path !== "/login") {
      const next = isPage ? `?next=${encodeURIComponent(path + location.search)}` : "";
      go(`/login${next}`, { replace: true });
    } else if (session && !isPage && path !== "/login") go(home(session), { replace: true });
  }, [session, path]);
  if (session === undefined) return <Loading what="Acumen" />;
  if (path === "/login") {
    const enter = (found: Session) => {
      setSession(found);
      go(nextOf(found, query.get("next")), { replace: true });
    };
    return <LoginPage enter={enter} />;
  }
  if (!session || !isPage) return null;
  const leave = async () => {
    await logOut(session).catch(() => undefined);
    setSession(null);
    go("/login");
  };
  return <Signed session={session} path={path} leave={leave} />;
}

function home({ projects: [first] }: Session): string {
  return first ? addressOf(first.id) : "/app/none";
}

/** Where somebody wanted to go, if that is a page of a project of theirs. */
function nextOf(session: Session, next: string | null): string {
  const wanted = next?.startsWith("/app/") ? next : "";
  const known = session.projects.some(({ id }) => wanted.split(/[/?]/)[2] === id);
  return known ? wanted : home(session);
}

interface SignedProps {
  session: Session;
  path: string;
  leave: () => void;
}

function Signed({ session, path, leave }: SignedProps) {
  const [said, setSaid] = useState("");
  const [, , id = "", page = "", ...rest] = path.split("/").map(decodeURIComponent);
  const project = session.projects.find((one) => one.id === id);
  const say = useCallback((text: string) => setSaid(text), []);
  useEffect(() => {
    if (!said) return;
    const timer = setTimeout(() => setSaid(""), 5000);
    return () => clearTimeout(timer);
  }, [said]);
  const here = useMemo<Here | null>(() => {
    if (!project) return null;
    const client = clientOf(session, project);
    return { session, project, client, mayEdit: mayEdit(project), to: toOf(project), say };
  }, [session, project, say]);
  return (
    <HereContext.Provider value={here}>
      <a class="skip" href="#main">
        Skip to the page
      </a>
      <Header session={session} project={project} page={page} leave={leave} />
      <main id="main" tabIndex={-1}>
        {here ? <Page key={here.project.id} page={page} rest={rest} /> : <NoProject session={session} />}
      </main>
      <div class="toast" role="status" aria-live="polite">
        {said && <p>{said}</p>}
      </div>
    </HereContext.Provider>
  );
}

const TITLES: Record<string, string> = {
  "": "Start",
  explore: "Explore",
  saved: "Saved queries",
  dashboards: "Dashboards",
  data: "Data",
  live: "Live",
};

function Page({ page, rest }: { page: string; rest: string[] }) {
  const name = rest.join("/");
  useEffect(() => {
    document.title = `${[name, TITLES[page] ?? "Not found"].filter(Boolean).join(" · ")} · Acumen`;
  }, [page, name]);
  if (page === "" && !name) return <StartPage />;
  if (page === "explore") return <ExplorePage />;
  if (page === "saved") return <SavedPage />;
  if (page === "dashboards") return name ? <DashboardPage key={name} id={name} /> : <DashboardsPage />;
  if (page === "data") return name ? <CollectionPage key={name} name={name} /> : <DataPage />;
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
