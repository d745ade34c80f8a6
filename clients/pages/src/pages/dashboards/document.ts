/** A dashboard's document to tiles and controls, and back. What is not understood stays as it is. */
import type { Question } from "acumen-client";
import { CHART_TYPES } from "../../ui/chart_types.ts";
import { append, COLUMNS, GAP, newId, ROW, settle, type Tile } from "./layout.ts";
import type { Json } from "./store.ts";

const HEIGHTS: Record<string, number> = { metric: 190, text: 110 };
const HEIGHT = 340;

const isObject = (value: unknown): value is Json => typeof value === "object" && value !== null && !Array.isArray(value);
const isChartType = (type: unknown) => CHART_TYPES.some(([name]) => name !== "" && name === type);

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

/** What viewers may change, and what that is set to at first. */
export interface BoardControls {
  timeframe: boolean;
  interval: boolean;
  filters: string[];
  start: Json;
}

export function controlsOf(document: Json): BoardControls {
  const said: unknown = document.layout?.controls ?? document.controls;
  if (isObject(said)) {
    const filters = Array.isArray(said.filters) ? said.filters.filter((one: unknown) => typeof one === "string") : [];
    const start = isObject(said.start) ? said.start : {};
    return { timeframe: said.timeframe === true, interval: said.interval === true, filters, start };
  }
  const words = typeof said === "string" ? said.split(/\s+/) : [];
  const filters = words.filter((one) => one.startsWith("filter:")).map((one) => one.slice(7));
  return { timeframe: words.includes("timeframe"), interval: words.includes("interval"), filters, start: {} };
}

export function documentOf(before: Json, title: string, tiles: readonly Tile[], controls: BoardControls): Json {
  const { controls: said, ...layout } = before.layout ?? {};
  const widgets = tiles.map(({ id, widget, x, y, w, h }) => {
    const { layout: _, ...kept } = widget;
    return { ...kept, id, position: { x, y, w, h } };
  });
  const { start, ...may } = controls;
  const kept: Json = { ...(isObject(said) ? said : {}), ...may };
  delete kept.start;
  const all = Object.keys(start).length ? { ...kept, start } : kept;
  return { ...before, title, layout: { ...layout, controls: all }, widgets };
}

/** The type of chart that a widget says; empty: as suits the answer. */
export function typeOf({ type, settings }: Json): string {
  const said = isChartType(type) ? type : settings?.visualizationType;
  return isChartType(said) ? said : "";
}

/** With another type of chart, where widgets of its kind say it. */
export function withType(widget: Json, type: string): Json {
  const { type: before, ...rest } = widget;
  if (before !== undefined && !isChartType(before)) {
    return { ...widget, settings: { ...widget.settings, visualizationType: type || undefined } };
  }
  return type ? { ...rest, type } : rest;
}

export const chartWidget = (query: string): Json => ({ query });
export const textWidget = (): Json => ({ type: "text", settings: { content: "" } });
export const imageWidget = (): Json => ({ type: "image", title: "", settings: { link: "" } });

/** A tile of a question: of its saved query where it is the same, and else of its own. */
export function questionWidget(question: Question, saved: string | null, title: string, type: string): Json {
  return { query: saved ?? question, ...(saved ? {} : { title }), ...(type ? { type } : {}) };
}
