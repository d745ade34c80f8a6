/** Put a question on a dashboard, there or new. */
import type { Question } from "acumen-client";
import { useState } from "preact/hooks";
import { useHere } from "../../context.ts";
import { useLoaded } from "../../loading.ts";
import { asksTheSame, saidBriefly } from "../../question.ts";
import { slugOf } from "../../slug.ts";
import { Dialog } from "../../ui/dialog.tsx";
import { Choice, Field, TextField } from "../../ui/field.tsx";
import { documentOf, questionWidget, tilesOf, controlsOf, type BoardControls } from "../dashboards/document.ts";
import { append, newId } from "../dashboards/layout.ts";
import { changeDashboard, makeDashboard } from "../dashboards/store.ts";
import { Loading, Problem } from "../../ui/states.tsx";
import type { Asked } from "./address.ts";

const SIZE = { w: 6, h: 11 };
const FIRST: BoardControls = { timeframe: true, interval: false, filters: [], start: {} };

export function ToDashboard({ question, asked, close }: { question: Question; asked: Asked; close: () => void }) {
  const { client, project, say } = useHere();
  const boards = useLoaded((signal) => client.dashboards.list({ signal }), [client]);
  const saved = useLoaded((signal) => client.savedQueries.list({ signal }), [client]);
  const [chosen, setChosen] = useState<string | null>(null);
  const [title, setTitle] = useState("");
  const known = boards.value ?? [];
  const id = chosen ?? known[0]?.id ?? "";
  const opened = saved.value?.find((one) => one.query_name === asked.saved && asksTheSame(one.query, question));
  const ready = Boolean(boards.value && saved.value);
  const put = async () => {
    if (!ready) return;
    const widget = questionWidget(question, opened?.query_name ?? null, saidBriefly(question), asked.type);
    if (id) {
      await changeDashboard(project, id, (before) => {
        const name = typeof before.title === "string" ? before.title : id;
        return documentOf(before, name, append(tilesOf(before), widget, SIZE), controlsOf(before));
      });
    } else {
      if (!title.trim()) throw new Error("The new dashboard needs a title.");
      const document = documentOf({}, title.trim(), append([], widget, SIZE), FIRST);
      await makeDashboard(project, `${slugOf(title) || "dashboard"}-${newId().slice(0, 6)}`, document);
    }
    say(`It is on “${known.find((one) => one.id === id)?.title || id || title}”.`);
    close();
  };
  const choices = [...known.map((one) => [one.id, one.title || one.id] as const), ["", "A new one"] as const];
  return (
    <Dialog title="Add to a dashboard" action="Add it" act={put} close={close}>
      {boards.error || saved.error ? <Problem error={boards.error ?? saved.error} /> : !ready && <Loading what="dashboards" lines={1} />}
      {ready && (
        <Field id="board" label="Dashboard">
          <Choice id="board" value={id} choices={choices} choose={setChosen} />
        </Field>
      )}
      {ready && !id && <TextField id="board-title" label="Title of the new dashboard" value={title} set={setTitle} required />}
      <p class="hint">
        {opened
          ? "It shows the saved query: whatever is changed there is changed on the dashboard."
          : "The question itself goes on the dashboard. Save it first to use it in several places."}
      </p>
    </Dialog>
  );
}
