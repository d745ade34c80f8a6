/** The explorer: a question in fields, and its answer beside them. The address is the question. */
import type { Question } from "acumen-client";
import type { ComponentChildren } from "preact";
import { useEffect, useState } from "preact/hooks";
import { useHere } from "../../context.ts";
import { useLoaded } from "../../loading.ts";
import { draftOf, missing, newDraft, questionOf, sameQuestion, type Draft } from "../../question.ts";
import { go, usePlace } from "../../router.ts";
import { schemaOf } from "../../schema.ts";
import { useMedia } from "../../ui/media.ts";
import { Empty, Loading, Problem } from "../../ui/states.tsx";
import { viewersZone } from "../../zones.ts";
import { addressOf, askedIn, type Asked } from "./address.ts";
import { AnswerPanel } from "./answer.tsx";
import { faultsOf, warningsOf } from "./faults.ts";
import { QuestionForm } from "./form.tsx";
import { JsonQuestion } from "./json_question.tsx";

export function ExplorePage() {
  const { client, to } = useHere();
  const { query } = usePlace();
  const asked = askedIn(query);
  const schema = useLoaded((signal) => schemaOf(client, signal), [client]);
  const [draft, change] = useDraft(asked, schema.value?.[0]?.name);
  const [asText, setAsText] = useState(false);
  const [shared] = useState(asked.question !== null);
  const answer = useLoaded(
    async (signal) => {
      if (!asked.question) return null;
      const { analysis_type: analysis, ...parameters } = asked.question;
      return client.query(analysis, parameters, { signal });
    },
    [client, query.get("q")],
  );
  if (schema.error) return <><h1>Explore</h1><Problem error={schema.error} retry={schema.reload} /></>;
  if (!schema.value) return <Loading what="the explorer" lines={6} />;
  if (!schema.value.length && !asked.question) {
    return (
      <Empty title="There is nothing to explore yet">
        <p>Questions are about events, and none has been recorded.</p>
        <a class="button main" href={to()}>
          Send the first event
        </a>
      </Empty>
    );
  }
  const faults = faultsOf(answer.error);
  const text = asText || !draft;
  const ask = (question: Question) => go(addressOf({ ...asked, question }));
  return (
    <div class="explorer">
      <h1 class="unseen">Explore</h1>
      <section class="question" aria-label="Question">
        <Foldable open={!shared}>
        {text ? (
          <JsonQuestion question={asked.question ?? questionOf(draft!)} ask={ask} error={faults[""] ?? Object.values(faults)[0]} />
        ) : (
          <QuestionForm draft={draft} schema={schema.value} faults={faults} change={change}
            warnings={warningsOf(answer.value?.warnings ?? [])} />
        )}
        {draft ? (
          <button type="button" class="quiet" onClick={() => setAsText(!asText)}>
            {asText ? "Edit in fields" : "Edit as JSON"}
          </button>
        ) : (
          <p class="hint">This question says more than the fields can; it is edited as JSON.</p>
        )}
        </Foldable>
      </section>
      <AnswerPanel asked={asked} answer={answer} faults={faults}
        waits={draft ? Object.keys(missing(draft)) : []} inFields={!text} />
    </div>
  );
}

/** On a narrow screen the question can be folded away; who opens a link to one sees the answer first. */
function Foldable({ open, children }: { open: boolean; children: ComponentChildren }) {
  const narrow = useMedia("(max-width: 54rem)");
  if (!narrow) return <>{children}</>;
  return (
    <details open={open}>
      <summary>Change the question</summary>
      {children}
    </details>
  );
}

/** The fields, which follow the address, and lead it as soon as they say a whole question. */
function useDraft(asked: Asked, collection: string | undefined): [Draft | null, (patch: Partial<Draft>) => void] {
  const zone = viewersZone();
  const read = () => (asked.question ? draftOf(asked.question) : newDraft(zone, collection));
  const [draft, setDraft] = useState<Draft | null>(read);
  const key = JSON.stringify(asked.question);
  useEffect(() => {
    if (asked.question) {
      // Fields that are not whole yet stay, where the rest says the same.
      setDraft((now) => (now && sameQuestion(questionOf(now), asked.question) ? now : read()));
    } else if (collection) {
      const first = newDraft(zone, collection);
      setDraft(first);
      go(addressOf({ ...asked, question: questionOf(first) }), { replace: true });
    }
  }, [key, collection]);
  const change = (patch: Partial<Draft>) => {
    const next = { ...draft!, ...patch };
    setDraft(next);
    if (Object.keys(missing(next)).length) return;
    const question = questionOf(next);
    if (!sameQuestion(question, asked.question)) go(addressOf({ ...asked, question }));
  };
  return [draft, change];
}
