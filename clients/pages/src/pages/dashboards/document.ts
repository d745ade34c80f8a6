/** A dashboard's document to tiles, and back. What is not understood stays as it is. */
import { append, COLUMNS, GAP, newId, ROW, settle, type Tile } from "./layout.ts";

type Json = Record<string, any>;

const HEIGHTS: Record<string, number> = { metric: 190, text: 110 };
const HEIGHT = 340;

const isObject = (value: unknown): value is Json => typeof value === "object" && value !== null && !Array.isArray(value);

const rowsOf = (pixels: number) => Math.max(2, Math.round((pixels + GAP) / ROW));

export function tilesOf(document: Json): Tile[] {
  const widgets: unknown[] = Array.isArray(document.widgets) ? document.widgets : [];
  let tiles: Tile[] = [];
  for (const widget of widgets.filter(isObject)) {
    const { position } = widget;
    if (isObject(position) && position.w && position.h) {
      const { x = 0, y = 0, w, h } = position;
      tiles.push({ id: String(widget.id ?? newId()), widget, x, y, w: Math.min(w, COLUMNS), h });
      continue;
    }
    const { width = 6, height = HEIGHTS[widget.type] ?? HEIGHT } = widget.layout ?? {};
    tiles = append(tiles, widget, { w: Math.max(1, Math.min(COLUMNS, Math.round(width))), h: rowsOf(height) });
  }
  const seen = new Set<string>();
  return settle(tiles.map((one) => (seen.has(one.id) ? { ...one, id: newId() } : (seen.add(one.id), one))));
}

export function documentOf(before: Json, title: string, tiles: readonly Tile[], changeable: boolean): Json {
  const { controls = {}, ...layout } = before.layout ?? {};
  const widgets = tiles.map(({ id, widget, x, y, w, h }) => {
    const { layout: _, ...kept } = widget;
    return { ...kept, id, position: { x, y, w, h } };
  });
  return { ...before, title, layout: { ...layout, controls: { ...controls, timeframe: changeable } }, widgets };
}

export function nameOf({ widget }: Tile, titles: ReadonlyMap<string, string>): string {
  if (typeof widget.title === "string" && widget.title) return widget.title;
  if (widget.type === "text") return "Text";
  return typeof widget.query === "string" ? (titles.get(widget.query) ?? widget.query) : "Chart";
}

export const chartWidget = (query: string): Json => ({ query });
export const textWidget = (): Json => ({ type: "text", settings: { content: "" } });
