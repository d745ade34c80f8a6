/** The fields of questions about what actors do, and of several series: loaded when the first is asked. */
import type { Context } from "../filters.tsx";
import { KNOWN as OF_ACTIVITY, LifecycleForm, PathsForm, SessionsForm, StickinessForm } from "./activity.tsx";
import { Kept, type Form } from "./fields.tsx";
import { FunnelForm, KNOWN as OF_FUNNEL } from "./funnel.tsx";
import { KNOWN as OF_RETENTION, RetentionForm } from "./retention.tsx";
import { KNOWN as OF_SERIES, SeriesForm } from "./series.tsx";

export interface FormProps {
  form: Form;
  context: Omit<Context, "event_collection">;
}

const FORMS = {
  funnel: FunnelForm,
  retention: RetentionForm,
  lifecycle: LifecycleForm,
  stickiness: StickinessForm,
  sessions: SessionsForm,
  paths: PathsForm,
  series: SeriesForm,
};
const KNOWN: Record<string, string[]> = { funnel: OF_FUNNEL, retention: OF_RETENTION, series: OF_SERIES, ...OF_ACTIVITY };

export function OwnForm({ analysis, form, context }: FormProps & { analysis: string }) {
  const Fields = FORMS[analysis as keyof typeof FORMS];
  return (
    <>
      <Fields form={form} context={context} />
      <Kept own={form.own} known={["timeframe", "timezone", ...KNOWN[analysis]!]} />
    </>
  );
}
