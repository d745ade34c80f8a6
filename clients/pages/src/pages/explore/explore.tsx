/** The explorer: a question in fields, and its answer beside them. The address is the question. */
import type { Answer, Question } from "acumen-client";
import type { ComponentChildren } from "preact";
import { useEffect, useState } from "preact/hooks";
import { useHere } from "../../context.ts";
import { useLoaded, type Loaded } from "../../loading.ts";
import { sameQuestion } from "../../question.ts";
import { go, usePlace } from "../../router.ts";
import { schemaOf } from "../../schema.ts";
import { useMedia } from "../../ui/media.ts";
import { Empty, Loading, Problem } from "../../ui/states.tsx";
import { viewersZone } from "../../zones.ts";
import { areLinked, askedIn, SLOTS, withAsked, without, withLink, type Asked } from "./address.ts";
import { AnswerPanel } from "./answer.tsx";
import { anyDraftOf, asked as questionOf, firstDraft, lacking as missing, type AnyDraft as Draft } from "./asking/draft.ts";
import { isOwn } from "./asking/own.ts";
import { faultAt, faultsOf, warningsOf } from "./faults.ts";
import { Compared } from "./compared.tsx";
import { QuestionForm } from "./form.tsx";
import { JsonQuestion } from "./json_question.tsx";

export function ExplorePage() {
  const { client, to } = useHere();
  const { query } = usePlace();
  const all = SLOTS.map((at) => askedIn(query, at));
  const answers = all.map((one) => useAnswer(one));
  const [chosen, choose] = useState(1);
  const at = all[chosen - 1]!.question ? chosen : 1;
  const asked = all[at - 1]!;
  const answer = answers[at - 1]!;
  const schema = useLoaded((signal) => schemaOf(client, signal), [client]);
  const [draft, change] = useDraft(asked, at, schema.value?.[0]?.name);
  const [asText, setAsText] = useState(false);
  const [shared] = useState(asked.question !== null);
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
  const ask = (question: Question) => go(withAsked({ ...asked, question }, at));
  const slots = SLOTS.filter((one) => one === 1 || all[one - 1]!.question);
  return (
    <div class="explorer">
      <h1 class="unseen">Explore</h1>
      <section class="question" aria-label="Question">
        {slots.length > 1 && <Several slots={slots} chosen={at} choose={choose} linked={areLinked(query)} />}
        <Foldable open={!shared}>
        {text ? (
          <JsonQuestion question={asked.question ?? questionOf(draft!)} ask={ask} error={faults[""] ?? Object.values(faults)[0]} />
        ) : (
          <QuestionForm draft={draft} schema={schema.value} faults={faults} fault={faultAt(answer.error)} change={change}
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
      <div class={slots.length > 1 ? "answers" : ""}>
        {slots.map((one) => (
          <AnswerPanel key={one} at={one} asked={all[one - 1]!} answer={answers[one - 1]!} faults={faultsOf(answers[one - 1]!.error)}
            waits={one === at && draft ? Object.keys(missing(draft)) : []} inFields={one === at && !text && !isOwn(draft.analysis_type)}
            compared={<Compared at={one} all={all} answers={answers} slots={slots} choose={choose} />}>
            <Beside at={one} asked={all[one - 1]!} slots={slots} choose={choose} />
          </AnswerPanel>
        ))}
      </div>
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

function useAnswer({ question }: Asked): Loaded<Answer<any> | null> {
  const { client } = useHere();
  return useLoaded(
    async (signal) => {
      if (!question) return null;
      const { analysis_type: analysis, ...parameters } = question;
      return client.query(analysis, parameters, { signal });
    },
    [client, JSON.stringify(question)],
  );
}

interface SeveralProps {
  slots: readonly number[];
  chosen: number;
  choose: (at: number) => void;
  linked: boolean;
}

/** Which of several questions the fields say, and whether they share the timeframe. */
function Several({ slots, chosen, choose, linked }: SeveralProps) {
  return (
    <>
      <div class="row slots" role="group" aria-label="Which question the fields are of">
        {slots.map((at) => (
          <button key={at} type="button" aria-pressed={at === chosen} onClick={() => choose(at)}>
            Question {at}
          </button>
        ))}
      </div>
      <label class="check">
        <input type="checkbox" checked={linked} onChange={(event) => go(withLink(event.currentTarget.checked))} />
        The same timeframe for all
      </label>
    </>
  );
}

interface BesideProps {
  at: number;
  asked: Asked;
  slots: readonly number[];
  choose: (at: number) => void;
}

/** Another question beside this one, or this one away. */
function Beside({ at, asked, slots, choose }: BesideProps) {
  const { question } = asked;
  const next = slots.length + 1;
  if (!question) return null;
  const add = (other: Question) => {
    go(withAsked({ ...asked, question: other, saved: "" }, next));
    choose(next);
  };
  return (
    <>
      {slots.length > 1 && (
        <button type="button" class="quiet" aria-label={`Remove question ${at}`} onClick={() => (choose(1), go(without(at)))}>
          Remove
        </button>
      )}
      {slots.length < SLOTS.length && (
        <button type="button" class="quiet" onClick={() => add(question)}>
          Duplicate
        </button>
      )}
    </>
  );
}

/** The fields, which follow the address, and lead it as soon as they say a whole question. */
function useDraft(asked: Asked, at: number, collection: string | undefined): [Draft | null, (patch: Partial<Draft>) => void] {
  const zone = viewersZone();
  const read = () => (asked.question ? anyDraftOf(asked.question) : firstDraft(zone, collection));
  const [draft, setDraft] = useState<Draft | null>(read);
  const key = JSON.stringify(asked.question);
  useEffect(() => {
    if (asked.question) {
      // Fields that are not whole yet stay, where the rest says the same.
      setDraft((now) => (now && sameQuestion(questionOf(now), asked.question) ? now : read()));
    } else if (collection) {
      const first = firstDraft(zone, collection);
      setDraft(first);
      go(withAsked({ ...asked, question: questionOf(first) }, at), { replace: true });
    }
  }, [key, collection]);
  const change = (patch: Partial<Draft>) => {
    const next = { ...draft!, ...patch };
    setDraft(next);
    if (Object.keys(missing(next)).length) return;
    const question = questionOf(next);
    if (!sameQuestion(question, asked.question)) go(withAsked({ ...asked, question }, at));
  };
  return [draft, change];
}
