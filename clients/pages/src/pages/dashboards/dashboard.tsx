/** One dashboard: looked at, or edited. */
import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { useHere } from "../../context.ts";
import { useLoaded } from "../../loading.ts";
import { go, here, usePlace } from "../../router.ts";
import { mayDefine, TOKEN } from "../../session.ts";
import { Board, type ChartElement } from "../../ui/charts.tsx";
import { Choice } from "../../ui/field.tsx";
import { Empty, Loading, Problem } from "../../ui/states.tsx";
import { BehindPanel, useChosen } from "../events/behind.tsx";
import { controlsOf } from "./document.ts";
import { Editor } from "./editor.tsx";
import { useFullScreen } from "./full_screen.ts";
import { chartName, exploreTiles } from "./questions.ts";
import { ShareDialog } from "./share.tsx";
import { askedDays, askedZones, sayCutParts, toldOf, type Told } from "./told.ts";
import { readDashboard, type Json, type Stored } from "./store.ts";

export function DashboardPage({ id }: { id: string }) {
  const { project, mayEdit } = useHere();
  const { query } = usePlace();
  const { value, error, reload } = useLoaded((signal) => readDashboard(project, id, signal), [project, id]);
  // What was read before it was edited is no longer shown: controls would begin with what it says.
  const [edited, setEdited] = useState<Stored | null>(null);
  if (error) return <><h1>Dashboard</h1><Problem error={error} retry={reload} /></>;
  if (!value || value === edited) return <Loading what="the dashboard" lines={6} />;
  const look = () => {
    if (!go(here().path, { replace: true })) return;
    setEdited(value);
    reload();
  };
  if (mayEdit && query.get("edit")) {
    return <Editor key={value.tag} id={id} stored={value} reload={reload} look={look} />;
  }
  return <Look id={id} document={value.document} reload={reload} />;
}

const EVERY = [
  ["0", "Refresh: off"],
  ["60", "Every minute"],
  ["300", "Every 5 minutes"],
  ["900", "Every 15 minutes"],
] as const;
const REFRESH = "acumen.refresh";
/** Of the control for the timeframe: whether what is not over yet is part of it. */
const WORDS = { lastSpan: "Last {n} to now", previousSpan: "Previous {n} in full" };

function Look({ id, document: shown, reload }: { id: string; document: Json; reload: () => void }) {
  const { to, mayEdit } = useHere();
  const [sharing, setSharing] = useState(false);
  const frame = useRef<HTMLDivElement>(null);
  const full = useFullScreen(frame);
  const title = typeof shown.title === "string" && shown.title ? shown.title : id;
  return (
    <>
      <div class="row spread">
        <h1>{title}</h1>
        <div class="row">
          <a class="button" href={to("dashboards")}>
            All dashboards
          </a>
          {full.possible && (
            <button type="button" onClick={full.enter} aria-keyshortcuts="f" title="Full screen (F); Escape leaves it">
              Full screen
            </button>
          )}
          {mayEdit && (
            <button type="button" onClick={() => setSharing(true)}>
              Share
            </button>
          )}
          {mayEdit && (
            <a class="button" href="?edit=1">
              Edit
            </a>
          )}
        </div>
      </div>
      {shown.widgets?.length ? (
        <div class="looking" ref={frame}>
          {full.is && <p class="full-title">{title}</p>}
          <Answers document={shown} reload={reload} />
        </div>
      ) : (
        <Empty title="Nothing is on it yet">
          {mayEdit && (
            <a class="button main" href="?edit=1">
              Add tiles
            </a>
          )}
        </Empty>
      )}
      {sharing && <ShareDialog id={id} close={() => setSharing(false)} />}
    </>
  );
}

/** The tiles, with when they were asked, and how often they are. */
function Answers({ document: shown, reload }: { document: Json; reload: () => void }) {
  const { client, project, to, mayEdit } = useHere();
  const [board, setBoard] = useState<ChartElement | null>(null);
  const { chosen, close } = useChosen("board", board);
  const [every, setEvery] = useState(() => localStorage.getItem(REFRESH) ?? "300");
  const [asked, setAsked] = useState<Date | null>(null);
  const [days, setDays] = useState("");
  const [told, setTold] = useState<ReadonlyMap<Element, Told>>(new Map());
  const ready = useCallback((made: ChartElement) => {
    setBoard(made);
    const told = new Map<Element, Told>();
    made.addEventListener("load", (event) => {
      setAsked(new Date());
      const chart = event.composedPath()[0] as Element;
      if (chart === made) return;
      const answer = toldOf(chart, (event as CustomEvent<{ answer: Told }>).detail.answer);
      told.set(chart, answer);
      for (const one of told.keys()) if (!one.isConnected) told.delete(one);
      sayCutParts(chart, answer);
      setDays(askedDays([...told.values()]));
      setTold(new Map(told));
    });
  }, []);
  useEffect(() => {
    const seconds = Number(every);
    if (!seconds) return;
    const turn = () => {
      if (document.hidden) return;
      reload();
      void board?.reload();
    };
    const timer = setInterval(turn, seconds * 1000);
    return () => clearInterval(timer);
  }, [every, reload, board]);
  const choose = (seconds: string) => {
    localStorage.setItem(REFRESH, seconds);
    setEvery(seconds);
  };
  const saved = useLoaded(
    async (signal) => (mayDefine(project) ? client.savedQueries.list({ signal }) : []),
    [client],
  );
  const links = exploreTiles(shown, saved.value ?? [], to);
  const zones = askedZones(told, (chart) => chartName(chart, saved.value ?? []));
  const may = controlsOf(shown);
  // Who edits it may try any timeframe and interval; for everybody else it is as the document says.
  const all = mayEdit ? JSON.stringify({ timeframe: true, interval: true, filters: may.filters }) : undefined;
  return (
    <>
      <div class="row spread asked">
        <p class="small" role="status">
          {asked && `Asked at ${asked.toLocaleTimeString(undefined, { timeStyle: "medium" })}`}
          {days && ` · ${days}`}
          {zones && ` · ${zones}`}
        </p>
        <div class="row">
          {links.length > 0 && (
            <details class="menu">
              <summary>Explore a tile</summary>
              <ul>
                {links.map(({ id, title, href }) => (
                  <li key={id}>
                    <a href={href}>{title}</a>
                  </li>
                ))}
              </ul>
            </details>
          )}
          <Choice id="every" label="How often the dashboard is asked again" value={every} choices={EVERY} choose={choose} />
        </div>
      </div>
      <Board onReady={ready} project={project.id} token={TOKEN} layout={shown} title=""
        controls={all} words={WORDS} />
      {mayEdit && !(may.timeframe && may.interval) && (
        <p class="hint">
          You may edit this dashboard, so you can change timeframe and interval here. Viewers can change{" "}
          {may.timeframe ? "the timeframe, and not the interval" : may.interval ? "the interval, and not the timeframe" : "neither"}.
        </p>
      )}
      {chosen && <BehindPanel {...chosen} close={close} />}
    </>
  );
}
