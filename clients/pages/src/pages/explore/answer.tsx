/** The answer: as a chart, a table, JSON, and as a program would ask for it. */
import type { Answer, Question, SavedQuery } from "acumen-client";
import type { ComponentChildren } from "preact";
import { useCallback, useRef, useState } from "preact/hooks";
import { useHere } from "../../context.ts";
import { useLoaded, type Loaded } from "../../loading.ts";
import { asksTheSame, saidBriefly, saidOf } from "../../question.ts";
import { go } from "../../router.ts";
import { mayDefine } from "../../session.ts";
import { slugOf } from "../../slug.ts";
import { askSnippets, resultAddress } from "../../snippets.ts";
import { Chart, type ChartElement } from "../../ui/charts.tsx";
import { CHART_TYPES } from "../../ui/chart_types.ts";
import { CutParts } from "../../ui/cut_parts.tsx";
import { Code, CopyButton, Snippets } from "../../ui/code.tsx";
import { Choice } from "../../ui/field.tsx";
import { saveBlob, saveText } from "../../ui/download.ts";
import { Tabs } from "../../ui/tabs.tsx";
import { Loading, Problem, textOf } from "../../ui/states.tsx";
import { BehindPanel, useChosen } from "../events/behind.tsx";
import { titleOf } from "../saved.tsx";
import { whyNoFile } from "../events/export.tsx";
import { isOwn } from "./asking/own.ts";
import { withAsked, type Asked } from "./address.ts";
import { LABELS, WARNED, warningsOf } from "./faults.ts";
import { SaveDialog } from "./save.tsx";
import { ToDashboard } from "./to_dashboard.tsx";
import { Why } from "./why.tsx";

const VIEWS = [
  { id: "chart", label: "Chart" },
  { id: "table", label: "Table" },
  { id: "json", label: "JSON" },
  { id: "code", label: "Code" },
  { id: "why", label: "Why" },
];

interface AnswerPanelProps {
  asked: Asked;
  /** Which of the questions that stand side by side. */
  at: number;
  answer: Loaded<Answer<any> | null>;
  faults: Record<string, string>;
  /** Fields that still lack something. */
  waits: string[];
  /** Whether fields show what is wrong with them. */
  inFields: boolean;
  /** What it is beside the period before, or the way there. */
  compared: ComponentChildren;
  /** What else can be done with it. */
  children?: ComponentChildren;
}

export function AnswerPanel({ asked, at, answer, faults, waits, inFields, compared, children }: AnswerPanelProps) {
  const { mayEdit } = useHere();
  const [saving, setSaving] = useState(false);
  const [placing, setPlacing] = useState(false);
  const set = (patch: Partial<Asked>) => go(withAsked({ ...asked, ...patch }, at), { replace: true });
  const { question } = asked;
  const opened = useOpened(asked.saved);
  const whole = question !== null && !answer.error && waits.length === 0;
  const title = question && opened.value ? titleOf(opened.value) : "";
  const changed = title !== "" && !asksTheSame(opened.value!.query, question!);
  const elsewhere = Object.keys(faults).find((name) => name !== "");
  return (
    <section class={`answer${answer.busy || waits.length ? " busy" : ""}`} aria-label={at === 1 ? "Answer" : `Answer ${at}`} aria-busy={answer.busy}>
      <div class="row spread">
        <div class="said">
          <h2>
            {title || (question ? saidOf(question) : "A new question")}
            {changed && <span class="muted"> (changed)</span>}
          </h2>
          {title && <p class="small">{saidOf(question!)}</p>}
        </div>
        <div class="row">
          {children}
          <CopyButton text={location.href} what="link to this question" label="Copy link" />
          <button type="button" onClick={answer.reload} disabled={!question || answer.busy}>
            Run again
          </button>
          {mayEdit && (
            <button type="button" onClick={() => setPlacing(true)} disabled={!whole}>
              Add to a dashboard
            </button>
          )}
          {mayEdit && (
            <button type="button" class="main" onClick={() => setSaving(true)} disabled={!whole}>
              Save
            </button>
          )}
        </div>
      </div>
      {waits.length > 0 && (
        <p class="note" role="status">
          {waits.includes("target_property") ? "Choose a property" : "Finish the question"}, and the answer follows.
        </p>
      )}
      <Warnings answer={answer.value ?? null} inFields={inFields} />
      {faults[""] && <Problem error={answer.error} retry={answer.reload} />}
      {elsewhere && <p class="note">The question cannot be asked like this: {question && isOwn(question.analysis_type) ? faults[elsewhere] : `see “${LABELS[elsewhere] ?? elsewhere}”.`}</p>}
      {!answer.value && answer.busy && question && <Loading what="the answer" lines={6} />}
      {whole && answer.value && compared}
      {answer.value && question && !(opened.busy && opened.value === undefined) && (
        <Views asked={asked} at={at} answer={answer.value} set={set} look={lookOf(opened.value, question)} name={changed ? saidBriefly(question) : title || saidBriefly(question)} />
      )}
      {placing && question && <ToDashboard question={question} asked={asked} close={() => setPlacing(false)} />}
      {saving && question && <SaveDialog question={question} asked={asked} at={at} close={() => (setSaving(false), opened.reload())} />}
    </section>
  );
}

/** The saved query of this name; null where there is none, or it may not be told. */
function useOpened(name: string): Loaded<SavedQuery | null> {
  const { client, project } = useHere();
  return useLoaded(
    async (signal) => {
      if (!name || !mayDefine(project)) return null;
      return (await client.savedQueries.list({ signal })).find((one) => one.query_name === name) ?? null;
    },
    [client, name],
  );
}

/** How a saved query is drawn on dashboards, but for the type, which the address says: as long as its numbers are the same. */
function lookOf(opened: SavedQuery | null | undefined, question: Question): Record<string, unknown> {
  const alike = (["analysis_type", "target_property"] as const).every((name) => (opened?.query[name] ?? null) === (question[name] ?? null));
  const { type: _, chart_type: __, ...look } = (alike && opened?.metadata?.visualization) || {};
  return look;
}

/** Those that no field shows. */
function Warnings({ answer, inFields }: { answer: Answer<any> | null; inFields: boolean }) {
  const found = warningsOf(answer?.warnings ?? []);
  const texts = Object.entries(found).flatMap(([field, text]) => (inFields && WARNED.includes(field) ? [] : [text]));
  if (!texts.length) return null;
  return (
    <div class="warning" role="status">
      {texts.map((text) => (
        <p key={text}>{text}</p>
      ))}
    </div>
  );
}

interface ViewsProps {
  asked: Asked;
  at: number;
  answer: Answer<any>;
  set: (patch: Partial<Asked>) => void;
  /** Settings of the drawing. */
  look: Record<string, unknown>;
  /** What it is called as a file. */
  name: string;
}

function Views({ asked, at, answer, set, look, name }: ViewsProps) {
  const { project, to, say } = useHere();
  const chart = useRef<ChartElement | null>(null);
  const [drawn, setDrawn] = useState<ChartElement | null>(null);
  const ready = useCallback((made: ChartElement) => (chart.current = made, setDrawn(made)), []);
  const { chosen, close } = useChosen(String(at), drawn, asked.question);
  const { question, view, type } = asked;
  const charted = view === "chart" || view === "table";
  const soft = { ...look, ...(view === "table" ? { type: "table" } : type && { type }) };
  const file = slugOf(name) || "answer";
  const save = () => {
    const text = chart.current?.toCSV();
    if (text) saveText(`${file}.csv`, "text/csv", text);
  };
  const draw = async (kind: "png" | "svg") => {
    const made = chart.current!;
    try {
      saveBlob(`${file}.${kind}`, kind === "png" ? await made.toPNG() : new Blob([made.toSVG()], { type: "image/svg+xml" }));
    } catch (error) {
      say(textOf(error));
    }
  };
  return (
    <Tabs label="Ways to see the answer" tabs={VIEWS} chosen={view} choose={(id) => set({ view: id })}>
      {charted && (
        <>
          <div class="row spread tools">
            {view === "chart" ? <Choice id={`type-${at}`} label="Type of chart" value={type} choices={CHART_TYPES} choose={(chosen) => set({ type: chosen })} /> : <span />}
            <div class="row">
              <button type="button" class="quiet" onClick={save}>
                Export CSV
              </button>
              {view === "chart" && (["png", "svg"] as const).map((kind) => (
                <button key={kind} type="button" class="quiet" aria-label={`Export ${kind.toUpperCase()}`} onClick={() => void draw(kind)}>
                  {kind.toUpperCase()}
                </button>
              ))}
              {typeof question?.event_collection === "string" && project.permissions.includes("exports") && !whyNoFile(question.filters) && (
                <a class="button quiet" href={`${to("exports")}?of=${encodeURIComponent(JSON.stringify({ event_collection: question.event_collection, filters: question.filters }))}`}>
                  Events as a file
                </a>
              )}
            </div>
          </div>
          <Chart key={view} onReady={ready} data={answer.body} query={JSON.stringify(question)} soft={soft} title="" exports="" height="420" />
          <CutParts result={answer.result} question={question!} />
          {!["extraction", "paths", "sessions"].includes(question!.analysis_type) && (
            <p class="hint">
              Choose a bar, a point or a cell, by pointer or by arrow keys and Enter, to see {isOwn(question!.analysis_type) && !question!.series ? "who is" : "the events"} behind it.
            </p>
          )}
        </>
      )}
      {view === "json" && <Code text={JSON.stringify(answer.body, null, 2)} what="the answer" />}
      {view === "code" && (
        <>
          <p class="small">The key is left out: put the project's read key into the variable.</p>
          <Snippets label="Programs that ask this" of={askSnippets(project.id, question!)} />
          {asked.saved && (
            <>
              <p class="small gap">The result of the saved query “{asked.saved}”, as it is saved, is at this address:</p>
              <Code text={resultAddress(project.id, asked.saved)} what="address of the result" />
            </>
          )}
        </>
      )}
      {view === "why" && question && <Why question={question} />}
      {chosen && <BehindPanel {...chosen} close={close} />}
    </Tabs>
  );
}
