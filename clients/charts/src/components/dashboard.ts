// <acumen-dashboard>: charts on a grid, with one control for all of them.
import { ask } from "./asking.ts";
import { check, localeOf, Pacer, parsed, reflect, upgrade, worded } from "./attributes.ts";
import { boardOf, type Board, type Widget } from "./board.ts";
import type { AcumenChart } from "./chart.ts";
import { ControlBar, controlsOf, learn, permitted, type Controls } from "./controls.ts";
import { el, icon, ICONS } from "./dom.ts";
import { isDark, watchScheme } from "./look.ts";
import { passes, problemLines, problemOf, retryButton } from "./problems.ts";
import type { Changes, Json } from "./question.ts";
import { isObject } from "../answer.ts";
import { dress } from "./styles.ts";
import { fill, TEXTS, type Texts } from "./texts.ts";

const ASKING = ["server", "project", "token", "key", "dashboard"];
const DRAWING = ["title", "theme", "locale", "timezone", "refresh", "controls", "exports"];
const PASSED = ["server", "project", "token", "key", "theme", "locale", "timezone", "refresh", "exports"];
const ROW = 30;
const GAP = 16;

export class AcumenDashboard extends HTMLElement {
  static readonly observedAttributes = [...ASKING, ...DRAWING];

  readonly #bar = new ControlBar((changes) => this.#changed(changes));
  readonly #parts = this.#build();
  readonly #pacer = new Pacer(() => void this.#load(true));
  #abort: AbortController | null = null;
  #layout: unknown;
  #document: unknown = null;
  #board: Board | null = null;
  #problem: unknown = null;
  /** The title of the last document, which an error leaves. */
  #named: string | null = null;
  /** An answer, which says what viewers may change. */
  #answer: unknown = null;
  #texts: Texts = TEXTS;
  #charts: AcumenChart[] = [];
  #known = new Map<string, Set<unknown>>();
  #query: Json = {};
  #pending = "";
  #unwatch = () => {};

  connectedCallback(): void {
    upgrade(this, [...ASKING, ...DRAWING, "layout", "words", "changes"]);
    this.#unwatch = watchScheme(() => this.#look());
    this.#later("ask");
  }

  disconnectedCallback(): void {
    this.#abort?.abort();
    this.#abort = null;
    this.#pacer.stop();
    this.#unwatch();
  }

  attributeChangedCallback(name: string, before: string | null, after: string | null): void {
    check(name, after);
    if (before === after || !this.isConnected) return;
    if (name === "dashboard" || name === "project") this.#named = null;
    if (PASSED.includes(name)) for (const chart of this.#charts) this.#pass(chart, name);
    this.#later(ASKING.includes(name) ? "ask" : "draw");
  }

  #later(what: "ask" | "draw"): void {
    if (this.#pending) {
      if (what === "ask") this.#pending = what;
      return;
    }
    this.#pending = what;
    queueMicrotask(() => {
      const now = this.#pending;
      this.#pending = "";
      if (!this.isConnected) return;
      if (now === "ask") void this.#load(false);
      else this.#look();
    });
  }

  /** A document to show, without asking for one. */
  get layout(): unknown {
    return this.#layout ?? this.#document;
  }
  set layout(document: unknown) {
    this.#layout = document ?? undefined;
    if (this.isConnected) this.#later("ask");
  }

  set words(words: Partial<Texts>) {
    this.#texts = worded(words);
    for (const chart of this.#charts) chart.words = words;
    this.#later("draw");
  }
  get words(): Partial<Texts> {
    return this.#texts;
  }

  /** What all charts are asked differently from how they are saved. */
  get changes(): Changes {
    return this.#bar.changes;
  }
  set changes(changes: Changes) {
    this.#bar.reset();
    this.#bar.changes = { ...(changes ?? {}) };
    for (const chart of this.#charts) chart.changes = this.#bar.changes;
    this.#later("draw");
  }

  /** Ask for the dashboard and all its charts again. */
  async reload(): Promise<void> {
    const before = JSON.stringify(this.layout);
    await this.#load(true);
    if (before === JSON.stringify(this.layout))
      await Promise.all(this.#charts.map((chart) => chart.reload()));
  }

  async #load(fresh: boolean): Promise<void> {
    this.#abort?.abort();
    this.#pacer.stop();
    const { signal } = (this.#abort = new AbortController());
    const [server, project, dashboard] = ["server", "project", "dashboard"].map(
      (name) => this.getAttribute(name) ?? "",
    );
    try {
      let document = this.#layout;
      let entitled = async () => {};
      if (document === undefined) {
        if (!project || !dashboard) throw new Error(this.#texts.notSaid);
        const of = [project, dashboard].map(encodeURIComponent);
        const url = `${server.replace(/\/+$/, "")}/projects/${of[0]}/dashboards/${of[1]}`;
        const key = this.getAttribute("token") ?? this.getAttribute("key") ?? "";
        if (!this.#board) this.#show();
        const onWait = (seconds: number) => {
          this.#parts.wait.textContent = fill(this.#texts.busy, { n: Math.ceil(seconds) });
        };
        const options = { signal, fresh, onWait };
        document = await ask({ url, key }, options);
        entitled = () => this.#entitled(this.#board!, ask({ url: `${url}/metadata`, key }, options), signal);
      }
      if (signal.aborted) return;
      this.#problem = null;
      this.#pacer.next(null, null);
      const same = this.#board && JSON.stringify(document) === JSON.stringify(this.#document);
      this.#document = document;
      if (!same) {
        this.#board = boardOf(document);
        if (!Object.keys(this.#bar.changes).length) this.#bar.changes = this.#board.start;
        this.#named = this.#board.title;
        this.#fill();
      }
      this.#look();
      if (isObject(document) && (document.title ?? this.#board!.title) === null) void entitled();
      this.dispatchEvent(new CustomEvent("load", { detail: { document }, composed: true }));
    } catch (error) {
      if (signal.aborted) return;
      this.#problem = error;
      this.#board = null;
      this.#document = null;
      this.#charts = [];
      this.#pacer.next(null, passes(error));
      this.#look();
      this.dispatchEvent(new CustomEvent("error", { detail: problemOf(error, this.#texts), composed: true }));
    }
  }

  /** Give a board whose document has no title that of its metadata, and else the dashboard's name. */
  async #entitled(board: Board, asked: Promise<unknown>, signal: AbortSignal): Promise<void> {
    const metadata = await asked.catch(() => null);
    if (signal.aborted) return;
    const title = isObject(metadata) ? metadata.title : null;
    this.#named = board.title = typeof title === "string" && title ? title : this.getAttribute("dashboard");
    this.#look();
  }

  #changed(changes: Changes): void {
    for (const chart of this.#charts) chart.changes = changes;
    this.dispatchEvent(new CustomEvent("change", { detail: { changes }, bubbles: true, composed: true }));
  }

  #pass(chart: AcumenChart, name: string): void {
    const value = this.getAttribute(name);
    if (value === null) chart.removeAttribute(name);
    else chart.setAttribute(name, value);
  }

  get #controls(): Controls {
    const own = parsed(this.getAttribute("controls"));
    const offered = own === null ? (this.#board?.controls ?? controlsOf(null)) : controlsOf(own);
    return permitted(offered, this.#answer);
  }

  // --- what is shown

  #look(): void {
    const { root, title, refresh } = this.#parts;
    root.classList.toggle("dark", isDark(this));
    const name = this.getAttribute("title") ?? this.#named ?? "";
    title.textContent = name;
    title.hidden = !name;
    root.setAttribute("aria-label", name || this.#texts.dashboard);
    refresh.setAttribute("aria-label", this.#texts.refresh);
    refresh.title = this.#texts.refresh;
    refresh.hidden = !this.#board;
    this.#bar.update({
      controls: this.#controls,
      texts: this.#texts,
      locale: localeOf(this),
      query: this.#query,
      timezone: this.getAttribute("timezone"),
      known: this.#known,
    });
    this.#show();
  }

  #show(): void {
    const { grid, state, wait } = this.#parts;
    const texts = this.#texts;
    const none = this.#board !== null && this.#board.widgets.length === 0;
    grid.hidden = this.#board === null || none;
    state.hidden = !grid.hidden;
    if (state.hidden) return;
    if (this.#problem) {
      const again = retryButton(this.#problem, texts, () => void this.#load(true));
      state.replaceChildren(...problemLines(this.#problem, texts), again ?? "");
    } else
      state.replaceChildren(
        el("p", { part: none ? "empty" : "loading" }, none ? texts.noWidgets : texts.loading),
        wait,
      );
  }

  #fill(): void {
    const { grid } = this.#parts;
    this.#charts = [];
    this.#known.clear();
    this.#query = {};
    grid.replaceChildren(...this.#board!.widgets.map((widget) => this.#card(widget)));
    this.#parts.root.dataset.state = this.#charts.length ? "loading" : "ready";
  }

  #card(widget: Widget): HTMLElement {
    const card = el("div", { class: "card", part: "card" });
    const rows = Math.max(2, Math.round((widget.height + GAP) / ROW));
    const place = {
      "--_w": widget.width,
      "--_h": rows,
      "--_m": widget.width <= 4 ? 6 : 12,
      ...(widget.column === null ? {} : { "--_x": widget.column, "--_y": widget.row }),
    };
    for (const [name, value] of Object.entries(place)) card.style.setProperty(name, String(value));
    if (widget.kind === "text") {
      card.classList.add("words");
      card.tabIndex = 0;
      if (widget.title) card.append(el("h2", {}, widget.title));
      const { content } = widget;
      const plain = () => typeof content === "string" && card.append(content);
      import("./text.ts").then(({ write }) => write(card, content)).catch(plain);
    } else if (widget.kind === "image") {
      const alt = widget.title ?? widget.link.slice(0, 200);
      const failed = () => {
        card.classList.add("words");
        card.style.setProperty("--_h", "2");
        card.replaceChildren(el("small", {}, alt));
      };
      const more = { loading: "lazy", referrerpolicy: "no-referrer", onerror: failed };
      if (/^https?:/i.test(widget.link)) card.append(el("img", { src: widget.link, alt, ...more }));
      else failed();
    } else card.append(this.#chart(widget));
    return card;
  }

  #chart(widget: Widget): AcumenChart {
    const chart = document.createElement("acumen-chart") as AcumenChart;
    for (const name of PASSED) this.#pass(chart, name);
    if (typeof widget.query === "string") chart.setAttribute("saved-query", widget.query);
    else if (widget.query) chart.setAttribute("query", JSON.stringify(widget.query));
    else {
      chart.setAttribute("dashboard", this.getAttribute("dashboard") ?? "");
      chart.setAttribute("tile", widget.tile);
    }
    if (widget.title) chart.setAttribute("title", widget.title);
    chart.setAttribute("controls", "");
    if (this.#controls.timeframe) chart.setAttribute("compare", "number");
    chart.setAttribute("part", "chart");
    chart.setAttribute(
      "exportparts",
      "root, header, title, toolbar, legend, plot, table, note, tooltip, state, error, detail, empty",
    );
    chart.soft = widget.drawing;
    chart.words = this.#texts;
    chart.changes = this.#bar.changes;
    chart.addEventListener("load", (event) =>
      this.#loaded((event as CustomEvent<{ answer: unknown }>).detail.answer),
    );
    chart.addEventListener("error", () => (this.#parts.root.dataset.state = "ready"));
    this.#charts.push(chart);
    return chart;
  }

  /** Learn from an answer what the controls offer. */
  #loaded(answer: unknown): void {
    if (!isObject(answer)) return;
    this.#answer = answer;
    this.#parts.root.dataset.state = "ready";
    learn(this.#known, answer.result, this.#controls.filters);
    const { query } = answer;
    // the first timeframe and interval stand for all, where they agree; else the controls say "default"
    if (isObject(query) && !Object.keys(this.#bar.changes).length) this.#agree(query);
    this.#look();
  }

  #agree(query: Json): void {
    const { timeframe, interval, timezone } = query;
    if (!timeframe) return;
    const first = this.#query.analysis_type === undefined;
    const now = first ? { timeframe, interval, timezone } : this.#query;
    const same = JSON.stringify(now.timeframe) === JSON.stringify(timeframe);
    // what has no interval has none to change; "" where they differ
    const every = now.interval ?? interval;
    this.#query = {
      analysis_type: same ? "any" : "",
      timeframe: same ? timeframe : undefined,
      interval: !interval || interval === every ? every : "",
      timezone: now.timezone,
    };
  }

  #build() {
    const shadow = this.attachShadow({ mode: "open" });
    dress(shadow);
    const title = el("div", { class: "title", part: "title", role: "heading", "aria-level": 2 });
    const refresh = el(
      "button",
      { type: "button", class: "icon", hidden: true, onclick: () => void this.reload() },
      icon(ICONS.refresh),
    );
    const header = el(
      "div",
      { class: "head", part: "header" },
      title,
      this.#bar.element,
      el("div", { class: "toolbar", part: "toolbar" }, refresh),
    );
    const grid = el("div", { class: "grid", part: "grid", hidden: true });
    const wait = el("p", { role: "status" });
    const state = el("div", { class: "state", part: "state" });
    const main = el("div", { class: "main" }, grid, state);
    const root = el("div", { class: "root board", part: "root", role: "group", title: "" }, header, main);
    shadow.append(root);
    return { root, title, refresh, grid, state, wait };
  }
}

reflect(AcumenDashboard, [...ASKING, ...DRAWING], ["controls"]);
