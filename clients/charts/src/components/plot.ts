// A drawing that answers to pointer and keyboard: tooltip, crosshair, focus and selection of marks.
import { drawing, formatter, type Formatter } from "../draw.ts";
import { seriesColor, type Pen } from "../pen.ts";
import { painter } from "../theme.ts";
import type { Description, DrawOptions, Drawing, Scalar } from "../types.ts";
import { el, sizeOf, svgElement } from "./dom.ts";
import type { Texts } from "./texts.ts";

export interface Mark {
  series: number;
  index: number;
}

/** What a `select` event tells. */
export interface Selection {
  /** The name of the series; of single ones it may be empty. */
  series: string;
  /** The values of the series' groups, and the label in a multi_analysis. */
  key: Scalar[];
  index: number;
  /** The category, step or instant as it is shown. */
  name: string;
  /** The value of the first group, where the chart has categories. */
  category: Scalar;
  value: number | null;
  timeframe: { start: string; end: string } | null;
  /** The values of the groups, in the order asked for, and the label in a multi_analysis; null where there are others too, as in "Other". */
  groups: Scalar[] | null;
  /** Of a cohort the period that was chosen, of a life cycle the period before. */
  within?: { start: string; end: string };
  /** Of both the whole time that was asked about. */
  whole?: { start: string; end: string };
  /** What was asked. */
  query?: unknown;
}

export interface PlotState {
  description: Description;
  hidden: Set<number>;
  draw: DrawOptions;
  texts: Texts;
}

const ROWS_OF_TIP_MAX = 12;

/** The description with the values of hidden series left out; their colours and places stay. */
function without(description: Description, hidden: Set<number>): Description {
  if (!hidden.size) return description;
  const series = description.series.map((one, index) =>
    hidden.has(index) ? { ...one, values: one.values.map(() => null) } : one,
  );
  return { ...description, series };
}

/** The colour of a series for CSS. */
export function colorOf(description: Description, index: number, theme: DrawOptions["theme"]): string {
  const pen = painter(theme, false) as unknown as Pen;
  const one = description.series[index] ?? { name: "", key: [], values: [] };
  return seriesColor(pen, one, index);
}

export class Plot {
  readonly element = el("div", { class: "plot", part: "plot", tabindex: 0, role: "application" });
  #svg: SVGSVGElement | null = null;
  readonly #over = el("div", { "aria-hidden": "true" });
  #state!: PlotState;
  #shown!: Description;
  #drawing!: Drawing;
  #format!: Formatter;
  #at: Mark | null = null;
  /** Marks of charts without axes, in the order of reading. */
  #marks: { mark: Mark; node: Element }[] = [];

  constructor(
    private readonly selected: (selection: Selection) => void,
    private readonly say: (text: string) => void,
  ) {
    const { element } = this;
    element.append(this.#over);
    element.addEventListener("pointermove", (event) => this.#point(event));
    element.addEventListener("pointerdown", (event) => this.#point(event));
    // a finger that is lifted leaves too: what it touched stays shown until something else is
    element.addEventListener("pointerleave", (event) => event.pointerType === "mouse" && this.#go(null));
    element.addEventListener("click", () => this.#at && this.selected(this.selection(this.#at)));
    element.addEventListener("keydown", (event) => this.#key(event));
    element.addEventListener("blur", () => this.#go(null));
  }

  /** Draw it at the element's size, and give that back. */
  update(state: PlotState): string {
    const { clientWidth: width, clientHeight: height } = this.element;
    this.#state = state;
    this.#shown = without(state.description, state.hidden);
    const options = { ...state.draw, width, height, title: false as const, legend: false };
    this.#drawing = drawing({ ...this.#shown, note: null }, options);
    this.#format = formatter(this.#shown, state.draw);
    const svg = svgElement(this.#drawing.svg);
    const label = [state.description.title, svg.getAttribute("aria-label"), state.texts.useArrows];
    this.element.setAttribute("aria-label", label.filter(Boolean).join(". "));
    svg.setAttribute("aria-hidden", "true");
    if (this.#svg) this.#svg.replaceWith(svg);
    else this.element.prepend(svg);
    this.#svg = svg;
    this.#marks = [...svg.querySelectorAll("[data-series][data-index]")].map((node) => ({
      mark: markOf(node),
      node,
    }));
    const at = this.#at;
    this.#at = null;
    this.#go(at && at.index < this.#length ? at : null);
    return sizeOf({ clientWidth: width, clientHeight: height });
  }

  get #length(): number {
    return this.#drawing.plot ? this.#drawing.positions.length : this.#marks.length;
  }

  // --- what a mark says

  selection(mark: Mark): Selection {
    return selectionOf(this.#shown, mark, this.#told(mark));
  }

  #told({ series, index }: Mark): { name: string; value: number | null; extra: string } {
    const { series: all, metrics, steps, gauge, type, title, told, y } = this.#shown;
    const own = told?.[`${series},${index}`];
    if (own?.name) return { name: own.name, value: own.value ?? null, extra: own.extra ?? "" };
    if (metrics)
      return { name: metrics[index]?.name || title || "", value: metrics[index]?.value ?? null, extra: "" };
    if (gauge) return { name: title ?? "", value: gauge.value, extra: "" };
    if (steps) {
      const value = steps[index]?.value ?? null;
      const first = steps[0]?.value;
      return {
        name: steps[index]?.name ?? "",
        value,
        extra: first && value !== null ? this.#format.percent(value / first) : "",
      };
    }
    const drawn = all[series]?.values[index] ?? null;
    const value = drawn !== null && y?.format.unsigned ? Math.abs(drawn) : drawn;
    const parts = type === "pie" && value !== null ? all[0].values : [];
    const extra = this.#format.shares(parts.map((one) => Math.max(0, one ?? 0)))[index] ?? "";
    return { name: this.#format.index(index), value, extra };
  }

  #written({ series, index }: Mark, value: number | null): string {
    return this.#format.value(value, this.#shown.metrics ? index : series);
  }

  #text(mark: Mark): string {
    const { name, value, extra } = this.#told(mark);
    const { told } = this.#shown;
    const series = this.#shown.series.length > 1 && !told?.[`${mark.series},${mark.index}`]?.name ? this.#shown.series[mark.series]?.name : "";
    const head = [name, series].filter(Boolean).join(", ");
    return `${head}: ${this.#written(mark, value)}${extra && `, ${extra}`}`;
  }

  // --- pointer

  #point(event: PointerEvent): void {
    const box = this.element.getBoundingClientRect();
    const { plot, orientation, positions, points } = this.#drawing;
    const [x, y] = [event.clientX - box.left, event.clientY - box.top];
    const hit = (event.composedPath()[0] as Element).closest?.("[data-series][data-index]");
    if (hit) return this.#go(markOf(hit));
    if (!plot) return this.#go(null);
    const inside =
      x > plot.x - 12 && x < plot.x + plot.width + 12 && y > plot.y - 12 && y < plot.y + plot.height + 12;
    if (!inside) return this.#go(null);
    const [along, across] = orientation === "vertical" ? [x, y] : [y, x];
    const index = nearest(positions, along);
    if (index < 0) return this.#go(null);
    const at = points.map((list) => list[index]);
    const near = nearest(at, across);
    this.#go({ series: Math.max(0, near), index });
  }

  // --- keyboard

  #key(event: KeyboardEvent): void {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const { key } = event;
    if (key === "Escape" && this.#at) this.#go(null);
    else if ((key === "Enter" || key === " ") && this.#at) this.selected(this.selection(this.#at));
    else {
      const to = this.#moved(key);
      if (!to) return;
      this.#go(to);
      this.say(this.#text(to));
    }
    event.preventDefault();
  }

  /** Where a key leads; null where it leads nowhere. */
  #moved(key: string): Mark | null {
    if (!this.#length) return null;
    const steps: Record<string, [number, number]> = {
      ArrowRight: [1, 0],
      ArrowLeft: [-1, 0],
      ArrowDown: [0, 1],
      ArrowUp: [0, -1],
      Home: [-Infinity, 0],
      End: [Infinity, 0],
      PageDown: [10, 0],
      PageUp: [-10, 0],
    };
    let [along, across] = steps[key] ?? [0, 0];
    if (!along && !across) return null;
    if (this.#drawing.orientation === "horizontal" && Math.abs(along) <= 1) [along, across] = [across, along];
    if (!this.#drawing.plot) return this.#movedAmongMarks(along, across);
    const { points } = this.#drawing;
    const present = (index: number) =>
      points.map((list) => list[index]).flatMap((at, series) => (at === null ? [] : [series]));
    const filled = this.#drawing.positions.flatMap((at, index) =>
      at !== null && present(index).length ? [index] : [],
    );
    if (!filled.length) return null;
    if (!this.#at) {
      const index =
        along < 0 && along !== -Infinity
          ? filled[filled.length - 1]
          : along === Infinity
            ? filled[filled.length - 1]
            : filled[0];
      return { index, series: present(index)[0] };
    }
    const place = Math.max(0, filled.indexOf(this.#at.index));
    const index = filled[Math.min(filled.length - 1, Math.max(0, place + along))];
    const series = present(index);
    if (!across) return { index, series: series.includes(this.#at.series) ? this.#at.series : series[0] };
    // upwards on the screen is the next value that is higher
    const higher = this.#drawing.orientation === "vertical";
    const sorted = higher ? [...series].sort((a, b) => points[a][index]! - points[b][index]!) : series;
    const now = sorted.indexOf(this.#at.series);
    return { index, series: sorted[Math.min(sorted.length - 1, Math.max(0, now + across))] };
  }

  #movedAmongMarks(along: number, across: number): Mark | null {
    const marks = this.#marks.map(({ mark }) => mark);
    const at = this.#at;
    const rows = [...new Set(marks.map((mark) => mark.series))];
    if (!at) return along < 0 && along !== -Infinity ? marks[marks.length - 1] : marks[0];
    if (across && rows.length > 1) {
      const row = rows[Math.min(rows.length - 1, Math.max(0, rows.indexOf(at.series) + across))];
      const same = marks.filter((mark) => mark.series === row);
      return same.reduce((best, mark) =>
        Math.abs(mark.index - at.index) < Math.abs(best.index - at.index) ? mark : best,
      );
    }
    const row = rows.length > 1 ? marks.filter((mark) => mark.series === at.series) : marks;
    const place = row.findIndex((mark) => mark.index === at.index && mark.series === at.series);
    return row[Math.min(row.length - 1, Math.max(0, place + (along || across)))];
  }

  // --- what is shown of it

  #go(to: Mark | null): void {
    const same = to?.index === this.#at?.index && to?.series === this.#at?.series;
    if (same && (to === null) === (this.#at === null)) return;
    for (const { node } of this.#marks) node.removeAttribute("data-on");
    this.#at = to;
    this.#over.replaceChildren();
    if (!to) return;
    const node = this.#marks.find(({ mark }) => mark.index === to.index && mark.series === to.series)?.node;
    node?.setAttribute("data-on", "");
    const { plot, orientation, positions, points } = this.#drawing;
    if (!plot) {
      const area = this.element.getBoundingClientRect();
      const { x, y } = middleOf(node ?? this.element);
      this.#tip(to, x - area.left, y - area.top);
      return;
    }
    const [along, across] = [positions[to.index]!, points[to.series]?.[to.index] ?? null];
    const upright = orientation === "vertical";
    if (upright && (this.#shown.type === "line" || this.#shown.type === "area")) this.#crosshair(to, along);
    const edge = upright ? plot.y + 20 : plot.x + 20;
    this.#tip(to, upright ? along : (across ?? edge), upright ? (across ?? edge) : along);
  }

  #crosshair(to: Mark, x: number): void {
    const { plot, points } = this.#drawing;
    const line = el("div", { class: "line" });
    const { style } = line;
    style.width = "1px";
    style.left = `${Math.round(x)}px`;
    style.top = `${plot!.y}px`;
    style.height = `${plot!.height}px`;
    this.#over.append(line);
    points.forEach((list, series) => {
      const y = list[to.index];
      if (y === null || y === undefined) return;
      const dot = el("div", { class: series === to.series ? "dot on" : "dot" });
      dot.style.left = `${x}px`;
      dot.style.top = `${y}px`;
      dot.style.background = colorOf(this.#shown, series, this.#state.draw.theme);
      this.#over.append(dot);
    });
  }

  #tip(to: Mark, x: number, y: number): void {
    const tip = el("div", { class: "tip", part: "tooltip" }, ...this.#lines(to));
    this.#over.append(tip);
    const { clientWidth: width, clientHeight: height } = this.element;
    const { offsetWidth, offsetHeight } = tip;
    const left = x + 14 + offsetWidth <= width ? x + 14 : Math.max(0, x - 14 - offsetWidth);
    const top = Math.min(Math.max(0, y - offsetHeight / 2), Math.max(0, height - offsetHeight));
    tip.style.transform = `translate(${Math.round(left)}px,${Math.round(top)}px)`;
  }

  #lines(to: Mark): HTMLElement[] {
    const { series, unfinished, future, type, x } = this.#shown;
    const { name, value, extra } = this.#told(to);
    const { texts, draw } = this.#state;
    const end = (x?.starts?.length ?? 0) - future;
    const isOpen = to.index < end && to.index >= end - unfinished && this.#drawing.plot;
    const open = isOpen ? ` (${Date.parse(x!.ends![to.index]) > Date.now() ? texts.unfinished : texts.late})` : "";
    const head = el("b", {}, name + open);
    const line = (text: string, number: string, color: string | null, on: boolean) => {
      const swatch = color ? el("i") : null;
      if (swatch) swatch.style.background = color!;
      return el(
        "div",
        { class: on ? "on" : null },
        swatch,
        text ? el("span", {}, text) : null,
        el("em", {}, number),
      );
    };
    if (!this.#drawing.plot) {
      const own = this.#shown.told?.[`${to.series},${to.index}`]?.name;
      const row = type === "heatmap" && series.length > 1 && !own ? series[to.series].name : "";
      return [head, line(row, this.#written(to, value) + (extra && ` · ${extra}`), null, false)];
    }
    const rows = series.flatMap((one, index) => {
      const own = one.values[to.index];
      if (own === null || own === undefined) return [];
      return [{ index, text: one.name, number: this.#format.value(own, index) }];
    });
    // those around the one pointed at, where there are too many
    const at = rows.findIndex((row) => row.index === to.series);
    const from = Math.max(0, Math.min(at - ROWS_OF_TIP_MAX / 2, rows.length - ROWS_OF_TIP_MAX));
    const shown = rows.slice(from, from + ROWS_OF_TIP_MAX);
    return [
      head,
      ...shown.map(({ index, text, number }) =>
        line(text, number, colorOf(this.#shown, index, draw.theme), rows.length > 1 && index === to.series),
      ),
    ];
  }
}

/** What a mark or a cell stands for. */
export function selectionOf(
  made: Description,
  { series, index }: Mark,
  { name, value }: { name: string; value: number | null },
): Selection {
  const { x, series: all, metrics, steps, gauge, table } = made;
  const own = all[series];
  const { start, end } =
    x?.kind === "time" && !metrics
      ? { start: x.starts![index], end: x.ends![index] }
      : (metrics?.[index] ?? {});
  const said = made.told?.[`${series},${index}`];
  const key = own?.key ?? [];
  const before = table ? table.keys?.[index] : steps ? (steps[index]?.key ?? []) : x?.keys ? x.keys[index] : [];
  return {
    series: own?.name ?? metrics?.[index]?.name ?? "",
    key,
    index,
    name,
    category: steps || metrics || gauge ? null : (x?.values?.[index] ?? null),
    value,
    timeframe: said?.timeframe ?? (start && end ? { start, end } : null),
    ...(said?.within ? { within: said.within } : {}),
    ...(said?.whole ? { whole: said.whole } : {}),
    groups: before && !own?.role ? [...before, ...key] : null,
  };
}

/** Where a mark is on the screen: of a slice, on its outer edge. */
function middleOf(node: Element): { x: number; y: number } {
  if (node.classList.contains("acumen-slice")) {
    const path = node as SVGPathElement;
    const matrix = path.getScreenCTM();
    const point = path.getPointAtLength(path.getTotalLength() * 0.25);
    if (matrix) return point.matrixTransform(matrix);
  }
  const { left, top, width, height } = node.getBoundingClientRect();
  return { x: left + width / 2, y: top + height / 2 };
}

function markOf(node: Element): Mark {
  return { series: Number(node.getAttribute("data-series")), index: Number(node.getAttribute("data-index")) };
}

function nearest(places: (number | null)[], to: number): number {
  let best = -1;
  let least = Infinity;
  places.forEach((place, index) => {
    if (place === null || place === undefined || Math.abs(place - to) >= least) return;
    least = Math.abs(place - to);
    best = index;
  });
  return best;
}
