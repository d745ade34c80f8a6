/** What one tile shows: its title, type of chart, picture, and where its question is explored. */
import type { SavedQuery } from "acumen-client";
import { useState } from "preact/hooks";
import { useHere } from "../../context.ts";
import { saidOf } from "../../question.ts";
import { slugOf } from "../../slug.ts";
import { Dialog } from "../../ui/dialog.tsx";
import { CHART_TYPES } from "../../ui/chart_types.ts";
import { Choice, Field, TextField } from "../../ui/field.tsx";
import { typeOf, withType } from "./document.ts";
import { newId } from "./layout.ts";
import { exploreTile, isQuestion, tileName } from "./questions.ts";
import type { Json } from "./store.ts";

interface Props {
  widget: Json;
  saved: readonly SavedQuery[];
  /** Takes the widget, and what is saved now beside what was. */
  keep: (widget: Json) => void;
  renew: () => void;
  close: () => void;
}

export function TileSettings({ widget: before, saved, keep, renew, close }: Props) {
  const { client, to, say } = useHere();
  const [widget, set] = useState(before);
  const { type, settings = {}, query } = widget;
  const isImage = type === "image";
  const isChart = !isImage && type !== "text" && query !== undefined;
  const found = saved.find((one) => one.query_name === query);
  const href = exploreTile(widget, saved, to);
  const title = typeof widget.title === "string" ? widget.title : "";
  const save = async () => {
    const name = tileName(widget, saved);
    const slug = slugOf(name) || "question";
    const free = saved.some((one) => one.query_name === slug) ? `${slug}-${newId().slice(0, 6)}` : slug;
    await client.savedQueries.put(free, { query, refresh_rate: 0, metadata: { display_name: name } });
    say(`“${name}” is a saved query now.`);
    renew();
    keep({ ...widget, query: free });
    close();
  };
  const act = () => {
    keep(widget);
    close();
  };
  return (
    <Dialog title={`Settings of “${tileName(before, saved)}”`} action="Take over" act={act} close={close}>
      <TextField id="tile-title" label={isImage ? "What the picture shows" : "Title"} value={title}
        set={(text) => set({ ...widget, title: text })} hint={isImage ? "Stands in place of a picture that is not there." : undefined} />
      {isImage && (
        <TextField id="tile-link" label="Address of the picture" value={String(settings.link ?? "")}
          set={(link) => set({ ...widget, settings: { ...settings, link } })}
          hint={`Pages and frames of this server load pictures of ${location.origin} alone; those of other sites show in pages of your own.`} />
      )}
      {isChart && (
        <Field id="tile-type" label="Type of chart">
          <Choice id="tile-type" value={typeOf(widget)} choices={CHART_TYPES} choose={(chosen) => set(withType(widget, chosen))} />
        </Field>
      )}
      {isChart && (
        <p class="small">
          {isQuestion(query) ? saidOf(query) : found ? saidOf(found.query) : `The saved query “${String(query)}” is not there.`}{" "}
          {href && (
            <a href={href} target="_blank" rel="noreferrer">
              Explore it
            </a>
          )}
        </p>
      )}
      {isQuestion(query) && (
        <p class="small">
          This question belongs to this dashboard alone.{" "}
          <button type="button" class="link" onClick={() => void save()}>
            Save it under a name
          </button>
        </p>
      )}
    </Dialog>
  );
}
