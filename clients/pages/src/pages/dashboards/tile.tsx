/** One tile of a dashboard that is being edited. */
import type { RefObject } from "preact";
import { useRef } from "preact/hooks";
import { useHere } from "../../context.ts";
import { TOKEN } from "../../session.ts";
import { Chart } from "../../ui/charts.tsx";
import { COLUMNS, GAP, ROW, type Place, type Tile } from "./layout.ts";

interface TileProps {
  tile: Tile;
  name: string;
  tiles: Tile[];
  grid: RefObject<HTMLDivElement | null>;
  place: (tile: Tile, wanted: Partial<Place>, from?: readonly Tile[]) => void;
  remove: (tile: Tile) => void;
  edit: (tile: Tile, widget: Tile["widget"]) => void;
}

const STEPS: Record<string, [number, number]> = {
  ArrowLeft: [-1, 0],
  ArrowRight: [1, 0],
  ArrowUp: [0, -1],
  ArrowDown: [0, 1],
};

export function TileBox(props: TileProps) {
  const { tile, name, place, remove } = props;
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

function Content({ tile, edit }: TileProps) {
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
        <textarea aria-label="Text" placeholder="Text" value={content ?? ""}
          onInput={(event) => set({ settings: { ...widget.settings, content: event.currentTarget.value } })} />
      </div>
    );
  }
  if (typeof widget.query !== "string") return <p class="hint">This tile is shown when you look at the dashboard.</p>;
  return <Chart project={project.id} token={TOKEN} saved-query={widget.query} title="" exports="" />;
}
