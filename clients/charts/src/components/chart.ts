// <acumen-chart>: asks a question, draws the answer, and lets viewers look into it.
import { isObject } from "../answer.ts";
import { csvOf, describe, formatter, tableOf } from "../draw.ts";
import type { Cells, DescribeOptions, Description, DrawOptions } from "../types.ts";
import { needsMore, provided } from "../kinds.ts";
import { ask, AskError } from "./asking.ts";
import { check, localeOf, Pacer, parsed, positive, reflect, upgrade, worded } from "./attributes.ts";
import { anyControl, ControlBar, controlsOf, learn, permitted, type Controls } from "./controls.ts";
import { download, el, icon, ICONS, idle, sizeOf } from "./dom.ts";
import { exportsOf, fileName, pngOf, svgOf, type ExportKind } from "./exporting.ts";
import { forgetWidths, isDark, measureFor, themeFor, watchScheme } from "./look.ts";
import { colorOf, Plot, selectionOf, type Selection } from "./plot.ts";
import { passes, problemLines, problemOf, retryButton, sentence } from "./problems.ts";
import {
  periodBefore,
  requestOf,
  type Changes,
  type Filter,
  type Json,
  type Source,
  type Timeframe,
} from "./question.ts";
import { dress } from "./styles.ts";
import { tableElement } from "./table.ts";
import { fill, TEXTS, type Texts } from "./texts.ts";

const ASKING = [
  "server",
  "project",
  "token",
  "key",
  "saved-query",
  "query",
  "dataset",
  "index-by",
  "dashboard",
  "tile",
  "timeframe",
  "interval",
  "filters",
  "compare",
];
/** Another one of these is another chart. */
const NAMING = ["project", "saved-query", "query", "dataset", "index-by", "dashboard", "tile"];
const DRAWING = [
  "type",
  "title",
  "theme",
  "locale",
  "timezone",
  "refresh",
  "height",
  "format",
  "controls",
  "exports",
  "options",
];
const JSON_ATTRIBUTES = ["query", "filters", "timeframe", "index-by", "controls", "format", "options"];
const PROPERTIES = ["data", "words", "changes", "soft"];
const HEIGHTS: Record<string, number> = { metric: 190, gauge: 240, table: 380 };
const HEIGHT = 340;
const ROWS_MAX = 1000;
const ROWS_UNSEEN = 100;

/** Whether who got the answer may ask for it changed like that. */
function mayChange({ timeframe, interval, filters = [] }: Changes, answer: unknown): boolean {
  const names = filters.map((one) => one.property_name);
  const wanted = { timeframe: timeframe !== undefined, interval: interval !== undefined, filters: names };
  return JSON.stringify(permitted(wanted, answer)) === JSON.stringify(wanted);
}

interface Loading {
  fresh?: boolean;
  byViewer?: boolean;
  quiet?: boolean;
}

type State = "idle" | "loading" | "ready" | "error";

export class AcumenChart extends HTMLElement {
  static readonly observedAttributes = [...ASKING, ...DRAWING];

  readonly #parts = this.#build();
  readonly #plot = new Plot(
    (selection) => this.#select(selection),
    (text) => this.#say(text),
  );
  readonly #bar = new ControlBar((changes) => this.#viewerChanged(changes));
  readonly #pacer = new Pacer(() => void this.#load({ fresh: true, quiet: true }));
  readonly #resized = new ResizeObserver(() => {
    // It also tells of a plot that has just been shown, at the size at which it was drawn.
    const { element } = this.#plot;
    if (sizeOf(element) !== this.#drawn && !element.hidden) this.#later("draw");
  });
  /** The size at which the plot was drawn. */
  #drawn = "";
  #unwatch: (() => void)[] = [];
  #abort: AbortController | null = null;
  #state: State = "idle";
  #answer: unknown;
  #given: unknown;
  #previous: unknown = null;
  #description: Description | null = null;
  #problem: unknown = null;
  /** The title of the last answer, which an error leaves. */
  #named: string | null = null;
  /** Whose last answer says what viewers may change. */
  #answeredTo = "";
  /** Why the last refresh failed, while the answer before it is still shown. */
  #stale = "";
  #keeps = false;
  #outside: Changes = {};
  #texts: Texts = TEXTS;
  #soft: Json = {};
  /** Names of series that a viewer switched off; a new answer may have them in another order. */
  #off = new Set<string>();
  #asTable = false;
  #pending: "" | "draw" | "ask" = "";
  #known = new Map<string, Set<unknown>>();
  #tabled: Description | null = null;
  #frame = 0;

  // --- life

  connectedCallback(): void {
    upgrade(this, [...ASKING, ...DRAWING, ...PROPERTIES]);
    this.#parts.main.prepend(this.#plot.element);
    this.#parts.root.insertBefore(this.#bar.element, this.#parts.legend);
    this.#resized.observe(this.#plot.element);
    const fonts = () => (forgetWidths(), this.#later("draw"));
    document.fonts?.addEventListener("loadingdone", fonts);
    this.#unwatch = [
      watchScheme(() => this.#later("draw")),
      () => document.fonts?.removeEventListener("loadingdone", fonts),
    ];
    this.#later("ask");
  }

  disconnectedCallback(): void {
    this.#resized.disconnect();
    this.#pacer.stop();
    this.#abort?.abort();
    this.#abort = null;
    if (this.#state === "loading") this.#state = "idle";
    for (const end of this.#unwatch) end();
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
    this.#pending = "";
  }

  attributeChangedCallback(name: string, before: string | null, after: string | null): void {
    check(name, after);
    if (before === after || !this.isConnected) return;
    if (NAMING.includes(name)) this.#named = null;
    this.#later(ASKING.includes(name) ? "ask" : "draw");
  }

  /** Do it once for all changes of a moment. */
  #later(what: "draw" | "ask"): void {
    if (!this.isConnected) return;
    if (what === "ask" && this.#pending !== "ask") {
      this.#pending = "ask";
      queueMicrotask(() => {
        if (this.#pending !== "ask" || !this.isConnected) return;
        this.#pending = "";
        void this.#load({});
      });
    }
    this.#frame ||= requestAnimationFrame(() => {
      this.#frame = 0;
      this.#render();
    });
  }

  // --- properties

  /** An answer to draw as it is, without a request. */
  get data(): unknown {
    return this.#given;
  }
  set data(answer: unknown) {
    this.#given = answer;
    this.#later("ask");
  }

  /** Texts of the component in another language. */
  set words(words: Partial<Texts>) {
    this.#texts = worded(words);
    this.#later("draw");
  }
  get words(): Partial<Texts> {
    return this.#texts;
  }

  /** What is asked differently from the saved question: timeframe, interval, filters. */
  get changes(): Changes {
    return { ...this.#outside, ...this.#bar.changes };
  }
  set changes(changes: Changes) {
    if (JSON.stringify(changes ?? {}) === JSON.stringify(this.#outside)) return;
    this.#outside = { ...(changes ?? {}) };
    this.#later("ask");
  }

  /** Settings of how it is drawn that give way where they do not fit the answer. */
  set soft(settings: Json) {
    this.#soft = settings ?? {};
    this.#later("draw");
  }

  // --- methods

  /** Ask again, whatever is kept. */
  async reload(): Promise<void> {
    await this.#load({ fresh: true });
  }

  /** What is shown as CSV, with all that the drawing has no room for. */
  toCSV(): string {
    return this.#description
      ? csvOf(this.#described(true), { words: this.#texts, timezone: this.#timezone })
      : "";
  }

  /** What is shown as a picture. */
  toSVG(size: { width?: number; height?: number } = {}): string {
    if (!this.#description) return "";
    const box = this.#parts.root.getBoundingClientRect();
    const { width = Math.round(box.width) || 640, height = Math.round(box.height) || HEIGHT } = size;
    return svgOf(this.#visible(), { ...this.#drawOptions(), width, height, title: this.#title });
  }

  async toPNG(size: { width?: number; height?: number; scale?: number } = {}): Promise<Blob> {
    const svg = this.toSVG(size);
    const [width, height] = /viewBox="0 0 ([\d.]+) ([\d.]+)"/.exec(svg)?.slice(1).map(Number) ?? [0, 0];
    if (!width) throw new Error("There is nothing to draw.");
    return pngOf(svg, width, height, size.scale ?? 2);
  }

  // --- asking

  #text(name: string): string {
    return this.getAttribute(name) ?? "";
  }

  get #timezone(): string | null {
    return this.getAttribute("timezone") || null;
  }

  #source(): Source {
    const query = parsed(this.getAttribute("query"));
    if (typeof query === "string" && query) throw new Error(fill(this.#texts.badJson, { name: "query" }));
    return {
      server: this.#text("server"),
      project: this.#text("project"),
      key: this.#text("token") || this.#text("key"),
      savedQuery: this.#text("saved-query"),
      query: query as Json | null,
      dataset: this.#text("dataset"),
      indexBy: parsed(this.#text("index-by")),
      dashboard: this.#text("dashboard"),
      tile: this.#text("tile"),
    };
  }

  #asked(): Changes {
    const timeframe = parsed(this.getAttribute("timeframe")) as Timeframe | null;
    const filters = parsed(this.getAttribute("filters"));
    const changes = this.#keeps ? {} : this.changes;
    const interval = changes.interval ?? this.getAttribute("interval");
    const all = [...(Array.isArray(filters) ? (filters as Filter[]) : []), ...(changes.filters ?? [])];
    const frame = changes.timeframe ?? timeframe;
    return {
      ...(frame ? { timeframe: frame } : {}),
      ...(frame && this.#timezone && !this.#text("dataset") ? { timezone: this.#timezone } : {}),
      ...(interval && this.#takesInterval() ? { interval } : {}),
      ...(all.length ? { filters: all } : {}),
    };
  }

  /** Funnels and single numbers have no intervals to change. */
  #takesInterval(): boolean {
    if (this.hasAttribute("interval")) return true;
    const { query } = this.#told();
    return query.analysis_type === undefined || typeof query.interval === "string";
  }

  #told(): { query: Json; metadata: Json } {
    const outer = isObject(this.#answer) ? this.#answer : {};
    return {
      query: isObject(outer.query) ? outer.query : this.#ownQuery(),
      metadata: isObject(outer.metadata) ? outer.metadata : {},
    };
  }

  #ownQuery(): Json {
    const query = parsed(this.getAttribute("query"));
    return isObject(query) ? { ...query, ...this.#changedQuery() } : {};
  }

  #changedQuery(): Json {
    const { timeframe, interval } = this.changes;
    return { ...(timeframe ? { timeframe } : {}), ...(interval ? { interval } : {}) };
  }

  /** `quiet` leaves an error as it is until it is over. */
  async #load({ fresh = false, byViewer = false, quiet = false }: Loading): Promise<void> {
    this.#abort?.abort();
    if (!this.isConnected) return;
    const controller = (this.#abort = new AbortController());
    const { signal } = controller;
    this.#keeps = false;
    this.#pacer.stop();
    let failure: unknown;
    try {
      if (this.#given === undefined || this.#given === null) {
        if (!quiet || this.#state !== "error") this.#busy(true);
        const found = await this.#answered(signal, fresh);
        if (signal.aborted) return;
        [this.#answer, this.#previous] = found;
        this.#answeredTo = this.#source().key;
      } else [this.#answer, this.#previous] = [this.#given, null];
      if (!provided.charts && needsMore(this.#answer, this.#ownQuery())) {
        provided.charts = (await import("../actors.ts")).charts;
        if (signal.aborted) return;
      }
      this.#stale = "";
      this.#take();
      if (byViewer && this.#state === "ready") this.#say(this.#texts.loaded);
    } catch (error) {
      if (signal.aborted) return;
      this.#failed((failure = error), false, quiet);
    } finally {
      if (this.#abort === controller) {
        this.#abort = null;
        this.#busy(false);
        if (this.isConnected && (this.#given === undefined || this.#given === null))
          this.#pacer.next(positive(this.getAttribute("refresh")), passes(failure));
      }
    }
  }

  /** The answer, and that of the period before where it is compared. */
  async #answered(signal: AbortSignal, fresh: boolean): Promise<[unknown, unknown]> {
    const source = this.#source();
    const options = {
      signal,
      fresh,
      onWait: (seconds: number) => this.#waiting(seconds),
    };
    let answer: unknown;
    const own = Object.keys(this.#bar.changes).length > 0;
    // what is known to be refused is not asked
    this.#keeps = !own && source.key === this.#answeredTo && !mayChange(this.#outside, this.#answer);
    try {
      const request = requestOf(source, this.#asked());
      if (!request) throw new Error(this.#texts.notSaid);
      answer = await ask(request, options);
    } catch (error) {
      const refused = error instanceof AskError && (error.status === 403 || error.status === 400);
      if (!refused || this.#keeps || own || !Object.keys(this.#outside).length) throw error;
      // one of many charts under one control: it stays as it is saved
      this.#keeps = true;
      answer = await ask(requestOf(source, this.#asked())!, options);
    }
    const before = this.#requestBefore(source, answer);
    if (!before) return [answer, null];
    const previous = await ask(before, options).catch((error: unknown) => {
      if (signal.aborted) throw error;
      return null;
    });
    return [answer, previous];
  }

  #requestBefore(source: Source, answer: unknown): ReturnType<typeof requestOf> {
    const compare = this.getAttribute("compare");
    const said = isObject(answer) && isObject(answer.query) ? answer.query : this.#ownQuery();
    const one = isObject(answer) && typeof answer.result === "number";
    const may = source.query !== null || this.#controls.timeframe || compare === "number";
    if (compare === "none" || source.dataset || !(compare === "previous" || (one && may))) return null;
    if (!mayChange({ timeframe: "today" }, answer)) return null;
    const zone = this.#asked().timezone ?? (said.timezone as string | undefined);
    const timeframe = periodBefore(said.timeframe, zone, Date.now());
    return timeframe && requestOf(source, { ...this.#asked(), timeframe });
  }

  #take(): void {
    try {
      this.#description = this.#described();
    } catch (error) {
      return this.#failed(error, true);
    }
    this.#state = "ready";
    this.#problem = null;
    this.#named = this.#description.title;
    learn(this.#known, isObject(this.#answer) ? this.#answer.result : null, this.#controls.filters);
    this.#show();
    const detail = { answer: this.#answer, description: this.#description };
    this.dispatchEvent(new CustomEvent("load", { detail, composed: true }));
  }

  #failed(error: unknown, undrawable = false, quiet = false): void {
    const told = quiet && (this.#stale || this.#state === "error");
    const problem = problemOf(error, this.#texts);
    const { status } = problem;
    const message = sentence(error, this.#texts);
    const gone = status === 401 || status === 403 || status === 404;
    if (this.#description && !undrawable && !gone && !Object.keys(this.changes).length) {
      this.#stale = fill(this.#texts.stale, { message });
    } else {
      this.#state = "error";
      this.#problem = error;
      this.#description = null;
    }
    if (!told) this.#say(message);
    this.#render();
    this.dispatchEvent(new CustomEvent("error", { detail: problem, composed: true }));
  }

  #busy(busy: boolean): void {
    const { root } = this.#parts;
    if (busy && !this.#description) this.#state = "loading";
    root.setAttribute("aria-busy", String(busy && this.#description !== null));
    if (busy && this.#state === "loading") this.#later("draw");
  }

  #waiting(seconds: number): void {
    this.#parts.wait.textContent = fill(this.#texts.busy, { n: Math.ceil(seconds) });
  }

  #viewerChanged(changes: Changes): void {
    this.dispatchEvent(new CustomEvent("change", { detail: { changes }, bubbles: true, composed: true }));
    void this.#load({ byViewer: true });
  }

  #select(selection: Selection): void {
    const { filters } = this.changes;
    const { query } = this.#told();
    const own = isObject(this.#answer) && isObject(this.#answer.query);
    const all = own || !filters?.length ? query : { ...query, filters: [query.filters ?? [], filters].flat() };
    const detail = { ...selection, query: all };
    this.dispatchEvent(new CustomEvent("select", { detail, bubbles: true, composed: true }));
  }

  /** A cell of the table is chosen as its mark is; the name of a row is all of it. */
  #choose(made: Description, { columns, rows }: Cells, row: number, column: number): void {
    const value = rows[row][column];
    const mark = made.table?.marks?.[row]?.[column];
    if (made.table?.marks && !mark) return;
    const [series, index] = mark ?? [made.table ? column : column - 1, row];
    const told = {
      name: formatter(made, this.#drawOptions()).cell(rows[row][0], columns[0]),
      value: typeof value === "number" ? value : null,
    };
    this.#select(selectionOf(made, { series, index }, told));
  }

  #say(text: string): void {
    this.#parts.live.textContent = text;
  }

  // --- drawing

  /** What the page offers to change. */
  get #offered(): Controls {
    const own = parsed(this.getAttribute("controls"));
    if (own !== null) return controlsOf(own);
    const { visualization } = this.#told().metadata;
    return controlsOf(isObject(visualization) ? visualization.controls : null);
  }

  get #controls(): Controls {
    return permitted(this.#offered, this.#answer);
  }

  #described(all = false): Description {
    const options = parsed(this.getAttribute("options"));
    const soft = this.#soft;
    const outer = isObject(this.#answer) && "result" in this.#answer ? this.#answer : null;
    const metadata = outer && isObject(outer.metadata) ? outer.metadata : {};
    const saved = isObject(metadata.visualization) ? metadata.visualization : {};
    const answer =
      outer && Object.keys(soft).length
        ? { ...outer, metadata: { ...metadata, visualization: { ...saved, ...soft } } }
        : this.#answer;
    const given: DescribeOptions = {
      ...(isObject(options) ? options : {}),
      query: this.#ownQuery(),
      type: this.getAttribute("type"),
      format: parsed(this.getAttribute("format")) as DescribeOptions["format"],
      timezone: this.#timezone,
      now: Date.now(),
      previous: this.#previous,
      words: this.#texts,
      all,
    };
    const title = this.getAttribute("title");
    if (title !== null) given.title = title;
    return describe(answer, given);
  }

  get #title(): string | null {
    return this.getAttribute("title") ?? this.#description?.title ?? this.#named;
  }

  get #hidden(): Set<number> {
    return new Set(
      this.#description!.series.flatMap((one, index) => (this.#off.has(one.name) ? [index] : [])),
    );
  }

  #visible(): Description {
    const made = this.#description!;
    if (!this.#hidden.size) return made;
    return {
      ...made,
      series: made.series.filter((_, index) => !this.#hidden.has(index)).map((one) => ({ ...one })),
    };
  }

  #drawOptions(): DrawOptions {
    return {
      theme: themeFor(this),
      locale: localeOf(this),
      timezone: this.#timezone,
      measure: measureFor(getComputedStyle(this.#parts.root).fontFamily),
      words: this.#texts,
    };
  }

  /** Describe the answer anew, as attributes and words may say something else now, and show it. */
  #render(): void {
    if (!this.isConnected) return;
    if (this.#state === "ready" && this.#answer !== undefined) {
      try {
        this.#description = this.#described();
      } catch (error) {
        return this.#failed(error, true);
      }
    }
    this.#show();
  }

  #show(): void {
    const { root, outer, note } = this.#parts;
    if (!this.isConnected) return;
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
    root.classList.toggle("dark", isDark(this));
    root.dataset.state = this.#state;
    this.#fit(outer);
    this.#header();
    const locale = localeOf(this);
    this.#bar.update({
      controls: this.#controls,
      texts: this.#texts,
      locale,
      query: this.#told().query,
      timezone: this.#timezone ?? this.#description?.timezone ?? null,
      known: this.#known,
    });
    const made = this.#description;
    note.replaceChildren();
    if (made?.note) note.append(el("div", {}, made.note));
    if (this.#keeps) note.append(el("div", {}, this.#texts.keeps));
    if (this.#stale) note.append(el("div", { class: "bad" }, this.#stale));
    this.#legend();
    this.#body();
  }

  /** The height that it has where the page gives it none: known before the answer, so that nothing moves. */
  #fit(outer: HTMLElement): void {
    const type = this.getAttribute("type") ?? "";
    const usual = (HEIGHTS[type] ?? HEIGHT) + (anyControl(this.#offered) ? 38 : 0);
    const height = positive(this.getAttribute("height")) ?? usual;
    (outer.firstElementChild as HTMLElement).style.flexBasis = `${height}px`;
  }

  #header(): void {
    const { title, toggle, save, toolbar, menu } = this.#parts;
    const text = this.#title ?? "";
    title.textContent = text;
    title.hidden = !text;
    const ready = this.#description !== null && !this.#description.empty;
    const table = this.#description?.type === "table";
    const label = this.#asTable ? this.#texts.asChart : this.#texts.asTable;
    toggle.hidden = !ready || table;
    toggle.setAttribute("aria-label", label);
    toggle.title = label;
    toggle.setAttribute("aria-pressed", String(this.#asTable));
    toggle.replaceChildren(icon(this.#asTable ? ICONS.chart : ICONS.table));
    const kinds = exportsOf(this.getAttribute("exports")).filter((kind) => !table || kind === "csv");
    save.hidden = !ready || !kinds.length;
    save.setAttribute("aria-label", this.#texts.download);
    save.title = this.#texts.download;
    const keep = this.#state === "loading" || !save.hidden || !toggle.hidden;
    toolbar.hidden = !keep && this.#state !== "ready";
    if (menu.dataset.kinds !== kinds.join()) {
      menu.dataset.kinds = kinds.join();
      menu.replaceChildren(
        ...kinds.map((kind) =>
          el("button", { type: "button", onclick: () => void this.#save(kind) }, kind.toUpperCase()),
        ),
      );
    }
    this.#parts.root.setAttribute(
      "aria-label",
      text || this.#texts.chart.replace("{type}", this.#description?.type ?? "").trim(),
    );
  }

  async #save(kind: ExportKind): Promise<void> {
    this.#menu(false);
    const name = fileName(this.#title, kind);
    try {
      if (kind === "csv")
        download(new Blob(["\ufeff", this.toCSV()], { type: "text/csv;charset=utf-8" }), name);
      else if (kind === "svg") download(new Blob([this.toSVG()], { type: "image/svg+xml" }), name);
      else download(await this.toPNG(), name);
    } catch (error) {
      this.#say((error as Error).message);
    }
  }

  #menu(open: boolean): void {
    const { menu, save } = this.#parts;
    if (menu.hidden === !open) return;
    menu.hidden = !open;
    save.setAttribute("aria-expanded", String(open));
    if (open) (menu.firstElementChild as HTMLElement | null)?.focus();
    else save.focus();
  }

  #legend(): void {
    const { legend } = this.#parts;
    const made = this.#description;
    const drawn = made && !made.empty && ["line", "area", "bar", "stacked"].includes(made.type);
    const shown = drawn && made.series.length > 1 && !this.#asTable;
    legend.hidden = !shown;
    if (!shown) {
      return;
    }
    legend.setAttribute("aria-label", this.#texts.series);
    const focused = [...legend.children].indexOf((this.shadowRoot!.activeElement as Element) ?? legend);
    const theme = themeFor(this);
    legend.replaceChildren(
      ...made.series.map((one, index) => {
        const swatch = el("i", { class: one.role === "previous" ? "dash" : null });
        swatch.style.background = colorOf(made, index, theme);
        const toggle = () => {
          if (!this.#off.delete(one.name)) this.#off.add(one.name);
          this.#render();
        };
        const pressed = String(!this.#off.has(one.name));
        return el(
          "button",
          { type: "button", "aria-pressed": pressed, title: one.name, onclick: toggle },
          swatch,
          el("span", {}, one.name),
        );
      }),
    );
    (legend.children[focused] as HTMLElement | undefined)?.focus();
  }

  #body(): void {
    const { sheet, unseen, state } = this.#parts;
    const made = this.#description;
    const plot = this.#plot.element;
    const tabled = made !== null && !made.empty && (made.type === "table" || this.#asTable);
    const drawn = made !== null && !tabled && (!made.empty || made.type === "gauge");
    plot.hidden = !drawn;
    sheet.hidden = !tabled;
    state.hidden = drawn || tabled;
    if (!state.hidden) this.#showState(made);
    if (tabled && this.#tabled !== made) this.#fill(sheet, made, ROWS_MAX, true);
    if (!tabled) sheet.replaceChildren();
    this.#tabled = tabled ? made : null;
    unseen.replaceChildren();
    this.#drawn = "";
    if (!drawn || !plot.clientWidth || !plot.clientHeight) return;
    // as the drawing does, so that all begins on one line
    const small = plot.clientWidth < 420 || plot.clientHeight < 200;
    this.#parts.root.style.setProperty("--_pad", small ? "12px" : "16px");
    this.#drawn = this.#plot.update({
      description: made,
      hidden: this.#hidden,
      draw: this.#drawOptions(),
      texts: this.#texts,
    });
    // The table behind the drawing is not seen, and so comes after all charts of the page are.
    idle(() => {
      if (this.#description === made && !unseen.firstChild) this.#fill(unseen, made, ROWS_UNSEEN, false);
    });
  }

  #fill(into: HTMLElement, made: Description, rows: number, sortable: boolean): void {
    const caption = this.#title || this.#texts.asTable;
    const cells = tableOf(made, { words: this.#texts });
    const choose = sortable
      ? (row: number, column: number) => this.#choose(made, cells, row, column)
      : undefined;
    const options = { caption, rows, sortable, texts: this.#texts, choose };
    if (sortable) into.setAttribute("aria-label", caption);
    into.replaceChildren(tableElement(cells, formatter(made, this.#drawOptions()), options));
  }

  #showState(made: Description | null): void {
    const { state, wait } = this.#parts;
    const texts = this.#texts;
    if (this.#state === "error") {
      const load = () => void this.#load({ fresh: true, byViewer: true });
      const again = retryButton(this.#problem, texts, load);
      const reset = () => {
        this.#bar.reset();
        this.#viewerChanged({});
      };
      const changed = Object.keys(this.#bar.changes).length > 0;
      const other = changed ? el("button", { type: "button", onclick: reset }, texts.reset) : null;
      state.replaceChildren(
        ...problemLines(this.#problem, texts),
        el("div", { class: "row" }, again, other),
      );
    } else if (made) {
      state.replaceChildren(el("p", { part: "empty" }, texts.noData));
    } else {
      wait.textContent = "";
      const bones = el(
        "div",
        { class: "bones", "aria-hidden": "true" },
        ...[1, 2, 3, 4, 5, 6].map(() => el("i")),
      );
      state.replaceChildren(bones, el("p", { class: "unseen" }, texts.loading), wait);
    }
  }

  #build() {
    const shadow = this.attachShadow({ mode: "open" });
    dress(shadow);
    const button = (values: Parameters<typeof el>[1], d: string) =>
      el("button", { type: "button", class: "icon", ...values }, icon(d));
    const title = el("div", { class: "title", part: "title" });
    const toggle = button({ onclick: () => ((this.#asTable = !this.#asTable), this.#render()) }, ICONS.table);
    const menu = el("div", { class: "menu", part: "menu", hidden: true });
    const save = button(
      { "aria-expanded": "false", onclick: () => this.#menu(menu.hasAttribute("hidden")) },
      ICONS.download,
    );
    const toolbar = el("div", { class: "toolbar", part: "toolbar" }, toggle, save, menu);
    toolbar.addEventListener("keydown", (event) => event.key === "Escape" && this.#menu(false));
    toolbar.addEventListener("focusout", (event) => {
      if (toolbar.contains(event.relatedTarget as Node | null) || menu.hidden) return;
      menu.hidden = true;
      save.setAttribute("aria-expanded", "false");
    });
    const header = el("div", { class: "head", part: "header" }, title, toolbar);
    const legend = el("div", { class: "legend", part: "legend", role: "group", hidden: true });
    const sheet = el("div", { class: "sheet", part: "table", role: "region", tabindex: 0, hidden: true });
    const state = el("div", { class: "state", part: "state" });
    const wait = el("p", { role: "status" });
    const main = el("div", { class: "main", part: "main" }, sheet, state);
    const note = el("div", { class: "note", part: "note" });
    const unseen = el("div", { class: "unseen" });
    const live = el("div", { class: "unseen", "aria-live": "polite" });
    // an empty title of its own, so that the host's attribute is no tooltip over everything
    const root = el(
      "div",
      { class: "root", part: "root", role: "figure", title: "" },
      header,
      legend,
      main,
      note,
      unseen,
      live,
    );
    const outer = el("div", { class: "outer" }, root);
    shadow.append(outer);
    return {
      root,
      outer,
      title,
      toolbar,
      toggle,
      save,
      menu,
      legend,
      main,
      sheet,
      state,
      wait,
      note,
      unseen,
      live,
    };
  }
}

reflect(AcumenChart, [...ASKING, ...DRAWING], JSON_ATTRIBUTES);
