/** Arrange a dashboard: add, move, resize and remove tiles, by pointer and by keys. */
import type { SavedQuery } from "acumen-client";
import { useRef, useState } from "preact/hooks";
import { useHere } from "../../context.ts";
import { useLoaded } from "../../loading.ts";
import { useGuard } from "../../router.ts";
import { Combobox } from "../../ui/combobox.tsx";
import { textOf } from "../../ui/states.tsx";
import { titleOf } from "../saved.tsx";
import { chartWidget, documentOf, nameOf, textWidget, tilesOf } from "./document.ts";
import { append, arrange, settle, type Place, type Tile } from "./layout.ts";
import { TileBox } from "./tile.tsx";

interface EditorProps {
  id: string;
  document: Record<string, any>;
  done: () => void;
  stop: () => void;
}

export function Editor({ id, document: before, done, stop }: EditorProps) {
  const { client, say } = useHere();
  const [title, setTitle] = useState<string>(typeof before.title === "string" ? before.title : "");
  const [tiles, setTiles] = useState(() => tilesOf(before));
  const [changeable, setChangeable] = useState(before.layout?.controls?.timeframe === true);
  const [state, setState] = useState<"same" | "changed" | "saving">("same");
  const [error, setError] = useState<unknown>(null);
  const saved = useLoaded((signal) => client.savedQueries.list({ signal }), [client]);
  const titles = new Map((saved.value ?? []).map((one) => [one.query_name, titleOf(one)]));
  useGuard(state === "changed");
  const change = (next: Tile[]) => (setTiles(next), setState("changed"));
  const save = async () => {
    setState("saving");
    setError(null);
    try {
      const metadata = await client.dashboards.metadata(id);
      const { widgets: _, queries: __, lastModificationDate: ___, ...kept } = metadata;
      await client.dashboards.put(id, documentOf(before, title, tiles, changeable), { ...kept, title });
      say("The dashboard is saved.");
      setState("same");
      // Once it is known that nothing is unsaved.
      setTimeout(done);
    } catch (failure) {
      setError(failure);
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
          <button type="button" onClick={stop}>
            {state === "same" ? "Close" : "Discard"}
          </button>
          <button type="button" class="main" onClick={save} disabled={state === "saving"}>
            Save
          </button>
        </div>
      </div>
      {error !== null && (
        <p class="fault" role="alert">
          {textOf(error)}
        </p>
      )}
      <div class="row tools">
        <AddChart saved={saved.value ?? []} add={(name) => change(append(tiles, chartWidget(name), { w: 6, h: 11 }))} />
        <button type="button" onClick={() => change(append(tiles, textWidget(), { w: 6, h: 6 }))}>
          Add text
        </button>
        <label class="check">
          <input type="checkbox" checked={changeable}
            onChange={(event) => (setChangeable(event.currentTarget.checked), setState("changed"))} />
          Viewers may change the timeframe
        </label>
      </div>
      <p class="hint" id="how-to-move">
        Drag a tile by its title, and its size by its corner. By keyboard: Tab to a title, then arrow keys move it, with
        Shift they change its size, and Delete removes it.
      </p>
      <Grid tiles={tiles} change={change} titles={titles} />
    </>
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

interface GridProps {
  tiles: Tile[];
  change: (tiles: Tile[]) => void;
  titles: ReadonlyMap<string, string>;
}

function Grid({ tiles, change, titles }: GridProps) {
  const grid = useRef<HTMLDivElement>(null);
  const [said, setSaid] = useState("");
  const place = (tile: Tile, wanted: Partial<Place>, from: readonly Tile[] = tiles) => {
    const next = arrange(from, tile.id, wanted);
    const { x, y, w, h } = next.find((one) => one.id === tile.id)!;
    setSaid(`${nameOf(tile, titles)}: column ${x + 1}, row ${y + 1}, ${w} wide, ${h} high.`);
    change(next);
  };
  const remove = (tile: Tile) => {
    setSaid(`${nameOf(tile, titles)} is removed.`);
    change(settle(tiles.filter((one) => one.id !== tile.id)));
    grid.current?.focus();
  };
  const edit = (tile: Tile, widget: Tile["widget"]) =>
    change(tiles.map((one) => (one.id === tile.id ? { ...one, widget } : one)));
  return (
    <>
      <p class="unseen" role="status">
        {said}
      </p>
      <div class="grid" ref={grid} tabIndex={-1}>
        {/* In an order of their own: one that is dragged must not be put elsewhere in the page. */}
        {[...tiles].sort((a, b) => (a.id < b.id ? -1 : 1)).map((tile) => (
          <TileBox key={tile.id} tile={tile} name={nameOf(tile, titles)} tiles={tiles} grid={grid} place={place} remove={remove} edit={edit} />
        ))}
      </div>
      {tiles.length === 0 && <p class="note">Nothing is on it yet: add a chart or a text.</p>}
    </>
  );
}
