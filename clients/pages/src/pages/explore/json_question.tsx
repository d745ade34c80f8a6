/** A question as text, for what the fields cannot say. */
import type { Question } from "acumen-client";
import { useEffect, useState } from "preact/hooks";
import { described, Field } from "../../ui/field.tsx";

interface JsonQuestionProps {
  question: Question;
  ask: (question: Question) => void;
  error: string | undefined;
}

export function JsonQuestion({ question, ask, error }: JsonQuestionProps) {
  const written = JSON.stringify(question, null, 2);
  const [text, setText] = useState(written);
  const [fault, setFault] = useState<string | undefined>();
  useEffect(() => setText(written), [written]);
  const submit = (event: Event) => {
    event.preventDefault();
    try {
      const read: unknown = JSON.parse(text);
      if (!read || typeof read !== "object" || !("analysis_type" in read)) throw new Error("It needs an analysis_type.");
      setFault(undefined);
      ask(read as Question);
    } catch (failure) {
      setFault(`This is no question yet: ${(failure as Error).message}`);
    }
  };
  const shown = fault ?? error;
  return (
    <form onSubmit={submit}>
      <Field id="json" label="The question as JSON" error={shown}>
        <textarea {...described("json", shown)} rows={18} spellcheck={false} value={text}
          onInput={(event) => setText(event.currentTarget.value)} />
      </Field>
      <button type="submit" class="main">
        Ask
      </button>
    </form>
  );
}
