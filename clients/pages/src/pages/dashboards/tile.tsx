/** One tile of a dashboard that is being edited. */
import type { RefObject } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { useHere } from "../../context.ts";
import { TOKEN } from "../../session.ts";
import { Chart } from "../../ui/charts.tsx";
import { Choice } from "../../ui/field.tsx";
import { typeOf } from "./document.ts";
import { COLUMNS, GAP, ROW, type Place, type Tile } from "./layout.ts";
import { isQuestion } from "./questions.ts";

interface TileProps {
  tile: Tile;
  name: string;
  tiles: Tile[];
  grid: RefObject<HTMLDivElement | null>;
  place: (tile: Tile, wanted: Partial<Place>, from?: readonly Tile[]) => void;
  remove: (tile: Tile) => void;
  edit: (tile: Tile, widget: Tile["widget"]) => void;
  settings: () => void;
}

const STEPS: Record<string, [number, number]> = {
  ArrowLeft: [-1, 0],
  ArrowRight: [1, 0],
  ArrowUp: [0, -1],
  ArrowDown: [0, 1],
};

export function TileBox(props: TileProps) {
  const { tile, name, place, remove, settings } = props;
  const { x, y, w, h } = tile;
  const key = (event: KeyboardEvent) => {
    const step = STEPS[event.key];
    if (event.key === "Delete" || event.key === "Backspace") remove(tile);
    else if (!step) return;
    else if (event.shiftKey) place(tile, { w: w + step[0], h: h + step[1] });
    else place(tile, { x: x + step[0], y: y + step[1] * stride(props, step[1]) });
    event.preventDefault();
  };
  return (
    <section class="tile" aria-label={name} style={{ gridColumn: `${x + 1} / span ${w}`, gridRow: `${y + 1} / span ${h}` }}>
      <div class="tile-head">
        <button type="button" class="handle" aria-describedby="how-to-move" onKeyDown={key}
          {...useDrag(props, (from, dx, dy) => ({ x: from.x + dx, y: from.y + dy }))}>
          {name}
        </button>
        <button type="button" class="quiet icon" aria-label={`Settings of ${name}`} title="Title, type, picture" onClick={settings}>
          ⚙
        </button>
        <button type="button" class="quiet icon" aria-label={`Remove ${name}`} onClick={() => remove(tile)}>
          ×
        </button>
      </div>
      <Content {...props} />
      <span class="corner" aria-hidden="true" {...useDrag(props, (from, dx, dy) => ({ w: from.w + dx, h: from.h + dy }))} />
    </section>
  );
}

/** How far a key moves up or down: past the neighbour, since tiles settle and would come back. */
function stride({ tile, tiles }: TileProps, direction: number): number {
  if (!direction) return 0;
  const beside = tiles.filter((one) => one.id !== tile.id && one.x < tile.x + tile.w && tile.x < one.x + one.w);
  const next = direction > 0
    ? beside.filter((one) => one.y >= tile.y + tile.h).sort((a, b) => a.y - b.y)[0]
    : beside.filter((one) => one.y + one.h <= tile.y).sort((a, b) => b.y - a.y)[0];
  if (!next) return 1;
  return direction > 0 ? next.y + next.h - tile.h - tile.y || 1 : tile.y - next.y || 1;
}

/** Handlers that turn a pointer's way into columns and rows, from where the tiles stood when it began. */
function useDrag({ tile, tiles, grid, place }: TileProps, wanted: (from: Tile, dx: number, dy: number) => Partial<Place>) {
  const began = useRef<{ x: number; y: number; tiles: Tile[]; tile: Tile } | null>(null);
  return {
    onPointerDown: (event: PointerEvent) => {
      if (event.button) return;
      (event.currentTarget as Element).setPointerCapture(event.pointerId);
      began.current = { x: event.clientX, y: event.clientY, tiles, tile };
    },
    onPointerMove: (event: PointerEvent) => {
      const from = began.current;
      if (!from) return;
      const column = (grid.current!.clientWidth + GAP) / COLUMNS;
      const dx = Math.round((event.clientX - from.x) / column);
      const dy = Math.round((event.clientY - from.y) / ROW);
      if (dx || dy) place(from.tile, wanted(from.tile, dx, dy), from.tiles);
    },
    onPointerUp: () => (began.current = null),
    onPointerCancel: () => (began.current = null),
  };
}

interface LineProps extends Pick<TileProps, "tile" | "name" | "place" | "remove" | "edit" | "settings"> {
  first: boolean;
  last: boolean;
  move: (tile: Tile, step: 1 | -1) => void;
}

const WIDTHS = [["3", "A quarter"], ["4", "A third"], ["6", "Half"], ["8", "Two thirds"], ["12", "Whole"]] as const;

/** A tile in a list, for narrow screens: where it stands on wide ones. */
export function TileLine({ tile, name, first, last, move, place, remove, edit, settings }: LineProps) {
  const width = String(tile.w);
  const widths = WIDTHS.some(([value]) => value === width) ? WIDTHS : [...WIDTHS, [width, `${width} of 12`] as const];
  return (
    <li aria-label={name}>
      <span class="name grow">{name}</span>
      <div class="row">
        <button type="button" class="icon" aria-label={`${name} up`} disabled={first} onClick={() => move(tile, -1)}>
          ↑
        </button>
        <button type="button" class="icon" aria-label={`${name} down`} disabled={last} onClick={() => move(tile, 1)}>
          ↓
        </button>
        <Choice id={`width-${tile.id}`} label={`Width of ${name}`} value={width} choices={widths} choose={(w) => place(tile, { w: Number(w) })} />
        <button type="button" class="quiet icon" aria-label={`Settings of ${name}`} onClick={settings}>
          ⚙
        </button>
        <button type="button" class="quiet icon" aria-label={`Remove ${name}`} onClick={() => remove(tile)}>
          ×
        </button>
      </div>
      {tile.widget.type === "text" && <Content tile={tile} edit={edit} />}
    </li>
  );
}

function Content({ tile, edit }: Pick<TileProps, "tile" | "edit">) {
  const { project } = useHere();
  const { widget } = tile;
  if (widget.type === "text") {
    const { content } = widget.settings ?? {};
    if (content !== undefined && typeof content !== "string") return <p class="hint">A text of Keen's editor.</p>;
    const set = (patch: object) => edit(tile, { ...widget, ...patch });
    return (
      <div class="text-tile">
        <input aria-label="Heading" placeholder="Heading" value={widget.title ?? ""}
          onInput={(event) => set({ title: event.currentTarget.value })} />
        <textarea aria-label="Text" aria-describedby="text-marks" placeholder="Text" value={content ?? ""}
          onInput={(event) => set({ settings: { ...widget.settings, content: event.currentTarget.value } })} />
      </div>
    );
  }
  if (widget.type === "image") return <Picture widget={widget} />;
  const soft = { ...widget.settings?.chartSettings, ...(typeOf(widget) && { type: typeOf(widget) }) };
  const looks = { project: project.id, token: TOKEN, soft, title: "", exports: "" };
  if (isQuestion(widget.query)) return <Chart {...looks} query={JSON.stringify(widget.query)} />;
  if (typeof widget.query !== "string") return <p class="hint">This tile is shown when you look at the dashboard.</p>;
  return <Chart {...looks} saved-query={widget.query} />;
}

function Picture({ widget }: { widget: Tile["widget"] }) {
  const [failed, setFailed] = useState(false);
  const link: unknown = widget.settings?.link;
  useEffect(() => setFailed(false), [link]);
  if (typeof link !== "string" || !link) return <p class="hint">Give the picture's address in the settings (⚙).</p>;
  // The policy of this page would refuse it, and complain.
  if (failed || !link.startsWith(`${location.origin}/`)) {
    return <p class="hint">{`${widget.title || link} (this page shows pictures of this server alone)`}</p>;
  }
  return <img class="picture" src={link} alt={widget.title ?? ""} onError={() => setFailed(true)} />;
}
