/** Arrange a dashboard: add, move, resize and remove tiles, by pointer and by keys. */
import type { SavedQuery } from "acumen-client";
import { useEffect, useRef, useState } from "preact/hooks";
import { useHere } from "../../context.ts";
import { useLoaded } from "../../loading.ts";
import { useGuard } from "../../router.ts";
import { Combobox } from "../../ui/combobox.tsx";
import { useMedia } from "../../ui/media.ts";
import { textOf } from "../../ui/states.tsx";
import { titleOf } from "../saved.tsx";
import { BoardControlFields } from "./board_controls.tsx";
import { chartWidget, controlsOf, documentOf, imageWidget, textWidget, tilesOf } from "./document.ts";
import { append, arrange, inOrder, settle, swap, type Place, type Tile } from "./layout.ts";
import { tileName } from "./questions.ts";
import { isOutdated, readDashboard, storeDashboard, type Stored } from "./store.ts";
import { TileBox, TileLine } from "./tile.tsx";
import { TileSettings } from "./tile_settings.tsx";

interface EditorProps {
  id: string;
  stored: Stored;
  reload: () => void;
  /** Leave the editor, for the dashboard as it is stored now. */
  look: () => void;
}

type State = "same" | "changed" | "saving";

export function Editor({ id, stored, reload, look }: EditorProps) {
  const { client, project, say } = useHere();
  const { document: before, tag } = stored;
  const [title, setTitle] = useState<string>(typeof before.title === "string" ? before.title : "");
  const [tiles, setTiles] = useState(() => tilesOf(before));
  const [controls, setControls] = useState(() => controlsOf(before));
  const [state, setState] = useState<State>("same");
  const [error, setError] = useState<unknown>(null);
  const saved = useLoaded((signal) => client.savedQueries.list({ signal }), [client]);
  const [outdated, setOutdated] = useOutdated(id, tag);
  useGuard(state === "changed");
  const change = (next: Tile[]) => (setTiles(next), setState("changed"));
  const save = async (expected: string | null) => {
    setState("saving");
    setError(null);
    try {
      await storeDashboard(project, id, documentOf(before, title, tiles, controls), expected);
      say("The dashboard is saved.");
      setOutdated(false);
      setState("same");
      // Once it is known that nothing is unsaved.
      setTimeout(look);
    } catch (failure) {
      if (isOutdated(failure)) setOutdated(true);
      else setError(failure);
      setState("changed");
    }
  };
  return (
    <>
      <h1 class="unseen">Edit the dashboard</h1>
      <div class="row spread editing">
        <div class="field grow">
          <label for="title">Title of the dashboard</label>
          <input id="title" class="large" value={title} maxLength={200}
            onInput={(event) => (setTitle(event.currentTarget.value), setState("changed"))} />
        </div>
        <div class="row">
          <button type="button" onClick={look}>
            {state === "same" ? "Close" : "Discard"}
          </button>
          <button type="button" class="main" onClick={() => save(tag)} disabled={state === "saving"}>
            Save
          </button>
        </div>
      </div>
      {outdated && <Outdated load={() => (setState("same"), setTimeout(reload))} overwrite={() => save(null)} />}
      {error !== null && (
        <p class="fault" role="alert">
          {textOf(error)}
        </p>
      )}
      <Tools saved={saved.value ?? []} tiles={tiles} change={change} />
      <BoardControlFields controls={controls} change={(next) => (setControls(next), setState("changed"))} />
      <Arranged tiles={tiles} change={change} saved={saved.value ?? []} renew={saved.reload} />
    </>
  );
}

/** Whether somebody else has changed the dashboard since it was read: looked at whenever this window is looked at. */
function useOutdated(id: string, tag: string): [boolean, (outdated: boolean) => void] {
  const { project } = useHere();
  const [outdated, setOutdated] = useState(false);
  useEffect(() => {
    const look = () => {
      if (document.hidden) return;
      readDashboard(project, id).then((now) => setOutdated(now.tag !== tag), () => undefined);
    };
    addEventListener("focus", look);
    return () => removeEventListener("focus", look);
  }, [project, id, tag]);
  return [outdated, setOutdated];
}

function Outdated({ load, overwrite }: { load: () => void; overwrite: () => void }) {
  return (
    <div class="warning" role="alert">
      <p>Somebody else has changed this dashboard since you opened it.</p>
      <div class="row">
        <button type="button" onClick={load}>
          Load theirs, and lose mine
        </button>
        <button type="button" class="danger" onClick={overwrite}>
          Overwrite theirs
        </button>
      </div>
    </div>
  );
}

function Tools({ saved, tiles, change }: { saved: SavedQuery[]; tiles: Tile[]; change: (tiles: Tile[]) => void }) {
  return (
    <div class="row tools">
      <AddChart saved={saved} add={(name) => change(append(tiles, chartWidget(name), { w: 6, h: 11 }))} />
      <button type="button" onClick={() => change(append(tiles, textWidget(), { w: 6, h: 6 }))}>
        Add text
      </button>
      <button type="button" onClick={() => change(append(tiles, imageWidget(), { w: 6, h: 8 }))}>
        Add image
      </button>
    </div>
  );
}

function AddChart({ saved, add }: { saved: SavedQuery[]; add: (name: string) => void }) {
  const options = saved.map((one) => ({ value: one.query_name, hint: titleOf(one) }));
  return (
    <div class="adding">
      <Combobox id="add-chart" label="Add a chart of a saved query" placeholder="Add a chart: a saved query" value="" options={options}
        commit={(name) => name && add(name)} />
    </div>
  );
}

interface ArrangedProps {
  tiles: Tile[];
  change: (tiles: Tile[]) => void;
  saved: SavedQuery[];
  renew: () => void;
}

const isText = ({ widget }: Tile) => widget.type === "text";

function TextMarks() {
  return (
    <p class="hint" id="text-marks">
      Marks in texts: <code>**bold**</code>, <code>*italics*</code>, <code>`code`</code>, <code>[words](https://example.com)</code>, and at the
      beginning of a line <code># heading</code> or <code>- list</code>. An empty line begins a paragraph; <code>\*</code> is a star.
    </p>
  );
}

/** The tiles: on a grid, or where there is no room for one in a list. */
function Arranged({ tiles, change, saved, renew }: ArrangedProps) {
  const grid = useRef<HTMLDivElement>(null);
  const narrow = useMedia("(max-width: 44rem)");
  const [said, setSaid] = useState("");
  const [opened, setOpened] = useState<string | null>(null);
  const name = (tile: Tile) => tileName(tile.widget, saved);
  const place = (tile: Tile, wanted: Partial<Place>, from: readonly Tile[] = tiles) => {
    const next = arrange(from, tile.id, wanted);
    const { x, y, w, h } = next.find((one) => one.id === tile.id)!;
    setSaid(`${name(tile)}: column ${x + 1}, row ${y + 1}, ${w} wide, ${h} high.`);
    change(next);
  };
  const remove = (tile: Tile) => {
    setSaid(`${name(tile)} is removed.`);
    change(settle(tiles.filter((one) => one.id !== tile.id)));
    grid.current?.focus();
  };
  const edit = (tile: Tile, widget: Tile["widget"]) =>
    change(tiles.map((one) => (one.id === tile.id ? { ...one, widget } : one)));
  const ordered = inOrder(tiles);
  const move = (tile: Tile, step: 1 | -1) => {
    setSaid(`${name(tile)} is ${step < 0 ? "above" : "below"} its neighbour.`);
    change(swap(tiles, tile.id, step));
  };
  const open = tiles.find((one) => one.id === opened);
  return (
    <>
      <p class="unseen" role="status">
        {said}
      </p>
      {!narrow && (
        <p class="hint" id="how-to-move">
          Drag a tile by its title, and its size by its corner. By keyboard: Tab to a title, then arrow keys move it, with
          Shift they change its size, and Delete removes it.
        </p>
      )}
      {tiles.some(isText) && <TextMarks />}
      {narrow ? (
        <ol class="list tiles" ref={grid as never} tabIndex={-1}>
          {ordered.map((tile, at) => (
            <TileLine key={tile.id} tile={tile} name={name(tile)} first={at === 0} last={at === ordered.length - 1} move={move}
              place={place} remove={remove} settings={() => setOpened(tile.id)} edit={edit} />
          ))}
        </ol>
      ) : (
        <div class="grid" ref={grid} tabIndex={-1}>
          {/* In an order of their own: one that is dragged must not be put elsewhere in the page. */}
          {[...tiles].sort((a, b) => (a.id < b.id ? -1 : 1)).map((tile) => (
            <TileBox key={tile.id} tile={tile} name={name(tile)} tiles={tiles} grid={grid} place={place} remove={remove} edit={edit}
              settings={() => setOpened(tile.id)} />
          ))}
        </div>
      )}
      {tiles.length === 0 && <p class="note">Nothing is on it yet: add a chart or a text.</p>}
      {open && (
        <TileSettings widget={open.widget} saved={saved} keep={(widget) => edit(open, widget)} renew={renew} close={() => setOpened(null)} />
      )}
    </>
  );
}
