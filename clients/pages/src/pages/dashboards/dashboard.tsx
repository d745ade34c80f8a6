/** One dashboard: looked at, or edited. */
import { useState } from "preact/hooks";
import { useHere } from "../../context.ts";
import { useLoaded } from "../../loading.ts";
import { go, here, usePlace } from "../../router.ts";
import { TOKEN } from "../../session.ts";
import { Board, type ChartElement } from "../../ui/charts.tsx";
import { Empty, Loading, Problem } from "../../ui/states.tsx";
import { BehindPanel, useChosen } from "../events/behind.tsx";
import { Editor } from "./editor.tsx";

export function DashboardPage({ id }: { id: string }) {
  const { client, project, to, mayEdit } = useHere();
  const { query } = usePlace();
  const { value, error, reload } = useLoaded((signal) => client.dashboards.get(id, { signal }), [client, id]);
  const [board, setBoard] = useState<ChartElement | null>(null);
  const { chosen, close } = useChosen(board);
  if (error) return <><h1>Dashboard</h1><Problem error={error} retry={reload} /></>;
  if (!value) return <Loading what="the dashboard" lines={6} />;
  const stop = () => go(here().path, { replace: true });
  if (mayEdit && query.get("edit")) return <Editor id={id} document={value} done={() => (reload(), stop())} stop={stop} />;
  const title = typeof value.title === "string" && value.title ? value.title : id;
  return (
    <>
      <div class="row spread">
        <h1>{title}</h1>
        <div class="row">
          <a class="button" href={to("dashboards")}>
            All dashboards
          </a>
          {mayEdit && (
            <a class="button" href="?edit=1">
              Edit
            </a>
          )}
        </div>
      </div>
      {value.widgets?.length ? (
        <Board onReady={setBoard} project={project.id} token={TOKEN} layout={value} title="" refresh="300" />
      ) : (
        <Empty title="Nothing is on it yet">
          {mayEdit && (
            <a class="button main" href="?edit=1">
              Add tiles
            </a>
          )}
        </Empty>
      )}
      {chosen && <BehindPanel {...chosen} close={close} />}
    </>
  );
}
