// What a dashboard's document says: Acumen's own simple form, and that of Keen's dashboard creator.
import { isObject } from "../answer.ts";
import { CHART_TYPES } from "../types.ts";
import { controlsOf, type Controls } from "./controls.ts";
import type { Changes, Filter, Json } from "./question.ts";

export interface Widget {
  kind: "chart" | "text" | "image";
  title: string | null;
  /** The name of a saved query, or a question. */
  query: string | Json | null;
  /** The id by which the server answers a question that it does not tell. */
  tile: string;
  /** Settings of the drawing, which give way where they do not fit. */
  drawing: Json;
  /** Of a text: plain, or of the dashboard creator's editor. */
  content: unknown;
  link: string;
  /** Columns of twelve, and pixels. */
  width: number;
  height: number;
  /** From 1; null where the order places it. */
  column: number | null;
  row: number | null;
}

export interface Board {
  title: string | null;
  controls: Controls;
  /** What the controls are set to at first. */
  start: Changes;
  widgets: Widget[];
}

const WIDTH = 6;
const HEIGHTS: Record<string, number> = { metric: 190, text: 110 };
const HEIGHT = 340;
/** Rows of the dashboard creator's grid: 10 pixels and a gap of 20. */
const KEEN_ROW = 30;

function text(value: unknown): string | null {
  if (typeof value === "string" && value !== "") return value;
  return isObject(value) ? text(value.content) : null;
}

function number(value: unknown): number | null {
  return typeof value === "number" && Number.isFinite(value) ? value : null;
}

function drawingOf(widget: Json, settings: Json): Json {
  const chart = isObject(settings.chartSettings) ? settings.chartSettings : {};
  const own = isObject(settings.componentSettings) ? settings.componentSettings : {};
  const said = (CHART_TYPES as readonly unknown[]).includes(widget.type)
    ? widget.type
    : settings.visualizationType;
  const stacked = said === "bar" && chart.groupMode === "stacked";
  const { layout, curve } = chart;
  // maps and bubbles of the dashboard creator are no types of ours: the answer's shape decides
  const known = typeof said === "string" && said !== "choropleth" && said !== "bubble";
  return {
    ...chart,
    ...own,
    ...(known ? { type: stacked ? "stacked" : said } : {}),
    ...(layout === "horizontal" ? { orientation: "horizontal" } : {}),
    ...(typeof curve === "string"
      ? { curve: curve === "linear" ? "linear" : curve === "step" ? "step" : "smooth" }
      : {}),
  };
}

function placeOf(widget: Json, kind: string): Pick<Widget, "width" | "height" | "column" | "row"> {
  const { position } = widget;
  const columns = (value: number | null) => Math.min(12, Math.max(1, Math.round(value ?? WIDTH)));
  if (isObject(position) && number(position.w) && number(position.h)) {
    const [x, y] = [number(position.x) ?? 0, number(position.y) ?? 0];
    const width = columns(number(position.w));
    const column = Math.min(12 - width, Math.max(0, Math.round(x))) + 1;
    return {
      width,
      height: number(position.h)! * KEEN_ROW - 16,
      column,
      row: Math.max(0, Math.round(y)) + 1,
    };
  }
  const layout = isObject(widget.layout) ? widget.layout : {};
  const height = number(layout.height) ?? HEIGHTS[kind] ?? HEIGHT;
  return {
    width: columns(number(layout.width)),
    height: Math.max(44, Math.min(4000, height)),
    column: null,
    row: null,
  };
}

function widgetOf(widget: Json): Widget | null {
  const settings = isObject(widget.settings) ? widget.settings : {};
  const { type } = widget;
  if (type === "date-picker" || type === "filter") return null;
  const kind = type === "text" || type === "image" ? type : "chart";
  const inner = isObject(settings.widgetSettings) ? settings.widgetSettings : {};
  const drawing = drawingOf(widget, settings);
  const query = typeof widget.query === "string" || isObject(widget.query) ? widget.query : null;
  const tile = query === null ? (text(widget.tile) ?? "") : "";
  if (kind === "chart" && query === null && !tile) return null;
  return {
    kind,
    title: text(widget.title) ?? text(settings.title) ?? text(inner.title) ?? text(drawing.title),
    query,
    tile,
    drawing,
    content: settings.content ?? widget.content,
    link: typeof settings.link === "string" ? settings.link : "",
    ...placeOf(widget, kind === "chart" ? String(drawing.type) : kind),
  };
}

/** What the dashboard creator's own widgets for dates and filters let a viewer change. */
function controlWidgets(widgets: Json[]): Controls {
  const filters = widgets
    .filter((one) => one.type === "filter" && isObject(one.settings))
    .map((one) => (one.settings as Json).targetProperty)
    .filter((name) => typeof name === "string");
  return { timeframe: widgets.some((one) => one.type === "date-picker"), interval: false, filters };
}

/** Of what the document starts with, that for which there is a control. */
function startOf(start: unknown, { timeframe, interval, filters }: Controls): Changes {
  if (!isObject(start)) return {};
  const known = Array.isArray(start.filters)
    ? (start.filters as Filter[]).filter((one) => isObject(one) && filters.includes(one.property_name))
    : [];
  const frame = start.timeframe as Changes["timeframe"];
  return {
    ...(timeframe && (text(frame) || isObject(frame)) ? { timeframe: frame } : {}),
    ...(interval && text(start.interval) ? { interval: start.interval as string } : {}),
    ...(known.length ? { filters: known } : {}),
  };
}

export function boardOf(document: unknown): Board {
  const outer = isObject(document) ? document : {};
  const widgets = Array.isArray(outer.widgets) ? outer.widgets.filter(isObject) : [];
  const layout = isObject(outer.layout) ? outer.layout : {};
  const said = layout.controls ?? outer.controls;
  const controls = said === undefined ? controlWidgets(widgets) : controlsOf(said);
  return {
    title: text(outer.title),
    controls,
    start: startOf(isObject(said) ? said.start : null, controls),
    widgets: widgets
      .map(widgetOf)
      .filter((one) => one !== null)
      .sort((a, b) => (a.row ?? 0) - (b.row ?? 0) || (a.column ?? 0) - (b.column ?? 0)),
  };
}
