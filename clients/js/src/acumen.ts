/** The client: one project of one server. */
import { createTracker, type Tracker, type TrackerOptions } from "./browser.ts";
import { eventOf, type Properties, type Source } from "./events.ts";
import { ConfigurationError } from "./errors.ts";
import { extract, type ExtractOptions } from "./extracting.ts";
import { Http, inBrowser, type CallOptions, type Target } from "./http.ts";
import { AccessKeys, Cohorts, Collections, Dashboards, Datasets, Identities, Projects, SavedQueries, type ActorId } from "./managing.ts";
import type { Outbox } from "./outbox.ts";
import {
  answerOf,
  type Answer,
  type Arranged,
  type EventList,
  type Extraction,
  type Followed,
  type FunnelAnswer,
  type InLifecycle,
  type InSessions,
  type FunnelCounts,
  type InStickiness,
  type LifecycleResult,
  type Multi,
  type MultiResult,
  type Paths,
  type Percentile,
  type Result,
  type SeriesAnswer,
  type SeriesResult,
  type Several,
  type SessionsResult,
  type SqlAnswer,
  type SqlOptions,
  type Retained,
  type RetentionAnswer,
  type Step,
  type StickinessResult,
  type StoredEvent,
  type Taken,
  type Diff,
  type DiffParameters,
  type Targeted,
  type Timezone,
  type Values,
} from "./questions.ts";
import { createSender, record, recordMany, type Outcome, type SenderOptions } from "./recording.ts";
import { Tail, type TailOptions } from "./tail.ts";

export interface AcumenOptions extends Target {
  /** The timezone of questions that name none. */
  timezone?: Timezone | undefined;
  /** Properties of every event that `track` records. */
  properties?: Source | undefined;
  /** How `track` queues and sends. */
  sender?: SenderOptions & Partial<Pick<TrackerOptions, "respectPrivacySignals" | "requireConsent">>;
}

const ENVIRONMENT = {
  url: "ACUMEN_URL",
  projectId: "ACUMEN_PROJECT",
  writeKey: "ACUMEN_WRITE_KEY",
  readKey: "ACUMEN_READ_KEY",
  masterKey: "ACUMEN_MASTER_KEY",
  organizationKey: "ACUMEN_ORGANIZATION_KEY",
} as const;

const namedEvents = (events: string | readonly EventList[]) =>
  typeof events === "string" ? { event_collection: events } : { events };

export class Acumen {
  readonly savedQueries: SavedQueries;
  readonly cohorts: Cohorts;
  readonly datasets: Datasets;
  readonly dashboards: Dashboards;
  readonly accessKeys: AccessKeys;
  readonly collections: Collections;
  readonly identities: Identities;
  readonly projects: Projects;
  readonly #http: Http;
  readonly #options: AcumenOptions;
  readonly #sources: Source[];
  #tracker: Tracker | undefined;
  #outbox: Outbox | undefined;

  constructor(options: AcumenOptions) {
    this.#options = options;
    this.#http = new Http(options);
    this.#sources = options.properties ? [options.properties] : [];
    this.savedQueries = new SavedQueries(this.#http);
    this.cohorts = new Cohorts(this.#http);
    this.datasets = new Datasets(this.#http);
    this.dashboards = new Dashboards(this.#http);
    this.accessKeys = new AccessKeys(this.#http);
    this.collections = new Collections(this.#http);
    this.identities = new Identities(this.#http);
    this.projects = new Projects(this.#http);
  }

  /** A client as ACUMEN_URL, ACUMEN_PROJECT, ACUMEN_WRITE_KEY, ACUMEN_READ_KEY … say. */
  static fromEnvironment(options: Partial<AcumenOptions> = {}): Acumen {
    const { env = {} } =
      (globalThis as { process?: { env?: Record<string, string | undefined> } }).process ?? {};
    const found = Object.entries(ENVIRONMENT).flatMap(([option, name]) =>
      env[name] ? [[option, env[name]]] : [],
    );
    return new Acumen({ url: "http://127.0.0.1:8000", ...Object.fromEntries(found), ...options });
  }

  // Recording

  /** Record an event in the background: it is queued and sent with others. Never throws. */
  track(collection: string, properties: Properties = {}, time: number = Date.now()): void {
    if (inBrowser()) this.tracker.track(collection, properties, time);
    else this.#queue.add(collection, () => eventOf([...this.#sources, properties], time));
  }

  /**
   * Say that an anonymous id belongs to a user: questions about actors count one from then on. Queued and
   * sent as what `track` records.
   */
  identify(anonymousId: ActorId, userId: ActorId, properties: Properties = {}): void {
    this.track("acumen.identities", { ...properties, anonymous_id: anonymousId, user_id: userId });
  }

  /** Add properties to every later event that `track` records; a function is called for each. */
  set(properties: Source): void {
    if (inBrowser()) this.tracker.set(properties);
    else this.#sources.push(properties);
  }

  /** Send what `track` has queued, unless the server asked to wait; true once nothing is left. */
  flush(): Promise<boolean> {
    return inBrowser() ? this.tracker.flush() : this.#queue.flush();
  }

  /** Send what `track` has queued, for so many seconds at most; what is left then is told as dropped. */
  async close(seconds = this.#options.sender?.exitSeconds ?? 5): Promise<void> {
    if (inBrowser()) await this.tracker.flush();
    else await this.#outbox?.close(seconds * 1000);
  }

  /** The recorder of this page, with its consent switch; in browsers only. */
  get tracker(): Tracker {
    if (!inBrowser()) throw new ConfigurationError("a tracker is for pages; use track()");
    const { url, properties, sender } = this.#options;
    const given = { url, properties, projectId: this.#http.projectId, writeKey: this.#http.key("write")! };
    return (this.#tracker ??= createTracker({ ...sender, ...given }));
  }

  get #queue(): Outbox {
    return (this.#outbox ??= createSender(this.#http, this.#options.sender ?? {}));
  }

  /** Record one event; it is stored when this returns. Its token makes repeats harmless. */
  record(collection: string, event: Properties, options: CallOptions = {}): Promise<void> {
    return record(this.#http, collection, event, options);
  }

  /** Record many events; one that is refused spoils no other. */
  recordMany(
    events: Readonly<Record<string, readonly Properties[]>>,
    options: CallOptions = {},
  ): Promise<Outcome> {
    return recordMany(this.#http, events, options);
  }

  // Asking

  /** Any analysis, by its name and parameters. */
  async query<R = any>(analysis: string, parameters: object, options: CallOptions = {}): Promise<Answer<R>> {
    const { timezone } = this.#options;
    const body = { ...(timezone !== undefined && { timezone }), ...parameters };
    const request = { key: "read", body, repeatable: true, signal: options.signal } as const;
    return answerOf<R>(await this.#http.json("POST", this.#http.path("queries", analysis), request));
  }

  #ask<Value, P>(analysis: string, collection: string, parameters: P, options?: CallOptions) {
    const all = { ...parameters, event_collection: collection };
    return this.query<Result<Value, P>>(analysis, all, options);
  }

  count<const P extends Arranged>(collection: string, parameters: P = {} as P, options?: CallOptions) {
    return this.#ask<Values["count"], P>("count", collection, parameters, options);
  }
  countUnique<const P extends Targeted>(collection: string, parameters: P, options?: CallOptions) {
    return this.#ask<Values["count_unique"], P>("count_unique", collection, parameters, options);
  }
  minimum<const P extends Targeted>(collection: string, parameters: P, options?: CallOptions) {
    return this.#ask<Values["minimum"], P>("minimum", collection, parameters, options);
  }
  maximum<const P extends Targeted>(collection: string, parameters: P, options?: CallOptions) {
    return this.#ask<Values["maximum"], P>("maximum", collection, parameters, options);
  }
  sum<const P extends Targeted>(collection: string, parameters: P, options?: CallOptions) {
    return this.#ask<Values["sum"], P>("sum", collection, parameters, options);
  }
  average<const P extends Targeted>(collection: string, parameters: P, options?: CallOptions) {
    return this.#ask<Values["average"], P>("average", collection, parameters, options);
  }
  median<const P extends Targeted>(collection: string, parameters: P, options?: CallOptions) {
    return this.#ask<Values["median"], P>("median", collection, parameters, options);
  }
  percentile<const P extends Percentile>(collection: string, parameters: P, options?: CallOptions) {
    return this.#ask<Values["percentile"], P>("percentile", collection, parameters, options);
  }
  standardDeviation<const P extends Targeted>(collection: string, parameters: P, options?: CallOptions) {
    return this.#ask<Values["standard_deviation"], P>("standard_deviation", collection, parameters, options);
  }
  selectUnique<const P extends Targeted>(collection: string, parameters: P, options?: CallOptions) {
    return this.#ask<Values["select_unique"], P>("select_unique", collection, parameters, options);
  }
  multiAnalysis<const P extends Multi>(collection: string, parameters: P, options?: CallOptions) {
    return this.query<MultiResult<P>>(
      "multi_analysis",
      { ...parameters, event_collection: collection },
      options,
    );
  }
  async series<const P extends Several>(parameters: P, options?: CallOptions): Promise<SeriesAnswer<P>> {
    const answer = await this.query<SeriesResult<P>>("series", { ...parameters }, options);
    return { ...answer, compare: answer.body.compare, completeness: answer.body.completeness };
  }
  async funnel<const P extends Followed = {}>(
    steps: readonly Step[],
    parameters: P = {} as P,
    options?: CallOptions,
  ): Promise<FunnelAnswer<FunnelCounts<P>>> {
    const answer = await this.query<FunnelCounts<P>>("funnel", { ...parameters, steps }, options);
    const { steps: asked, actors, dropped, times, actor } = answer.body;
    return { ...answer, steps: asked, actors, dropped, times, actor };
  }
  /** Sessions of the events of a collection, or of several. */
  sessions<const P extends InSessions>(
    events: string | readonly EventList[],
    parameters: P = {} as P,
    options?: CallOptions,
  ) {
    return this.query<SessionsResult<P>>("sessions", { ...parameters, ...namedEvents(events) }, options);
  }
  /** How many actors came back, by when they started. */
  async retention<const P extends Retained>(
    parameters: P,
    options?: CallOptions,
  ): Promise<RetentionAnswer<P>> {
    const answer = await this.query<RetentionAnswer<P>["result"]>("retention", parameters, options);
    return { ...answer, summary: answer.body.summary };
  }
  /** How many actors are new, return, come back after a pause or stay away, interval by interval. */
  lifecycle<const P extends InLifecycle>(
    events: string | readonly EventList[],
    parameters: P,
    options?: CallOptions,
  ) {
    return this.query<LifecycleResult<P>>("lifecycle", { ...parameters, ...namedEvents(events) }, options);
  }
  /** The actors of each day, its week and its month, and their ratios; or how often they come. */
  stickiness<const P extends InStickiness>(
    events: string | readonly EventList[],
    parameters: P,
    options?: CallOptions,
  ) {
    return this.query<StickinessResult<P>>("stickiness", { ...parameters, ...namedEvents(events) }, options);
  }
  /** The paths that actors take through the events of a collection, or of several. */
  paths(
    events: string | readonly EventList[],
    parameters: Taken = {},
    options?: CallOptions,
  ): Promise<Answer<Paths>> {
    return this.query("paths", { ...parameters, ...namedEvents(events) }, options);
  }
  /** The events in one answer: 100,000 at most. */
  extraction(
    collection: string,
    parameters: Extraction = {},
    options?: CallOptions,
  ): Promise<Answer<StoredEvent[]>> {
    return this.query("extraction", { ...parameters, event_collection: collection }, options);
  }
  /**
   * The events one by one, however many: where one answer can not hold them, through a file of the
   * server.
   */
  extract(
    collection: string,
    parameters: Extraction = {},
    options: ExtractOptions = {},
  ): AsyncGenerator<StoredEvent, void, undefined> {
    const { timezone } = this.#options;
    const question = {
      ...(timezone !== undefined && { timezone }),
      ...parameters,
      event_collection: collection,
    };
    return extract(this.#http, question, options);
  }
  /**
   * The rows of one SELECT, in which collections are tables. Values are given as `parameters`, never in the
   * text: a list for `?`, an object for `$name`.
   */
  async sql<R = Record<string, any>>(
    sql: string,
    parameters?: readonly unknown[] | Readonly<Record<string, unknown>>,
    options: SqlOptions = {},
  ): Promise<SqlAnswer<R>> {
    const { signal, ...more } = options;
    const answer = await this.query<R[]>("sql", { ...more, sql, parameters }, { signal });
    return { ...answer, columns: answer.body.columns, truncated: answer.body.truncated };
  }
  /** Which events moved an answer between two versions; see `as_of`. Now is the later one by default. */
  async diff(analysis: string, parameters: DiffParameters, options?: CallOptions): Promise<Diff> {
    return (await this.query("diff", { ...parameters, analysis_type: analysis }, options)).body;
  }
  /** Events as they arrive, from now on or from `after`; connections that break are taken up again. */
  tail(collection: string, options: TailOptions = {}): Tail {
    return new Tail(this.#http, collection, options);
  }

  // The project

  /** The project's description: its collections and saved queries. */
  async project(options: CallOptions = {}): Promise<any> {
    return (await this.#http.json("GET", this.#http.path(), { key: "read", signal: options.signal })).body;
  }

  /** What the project holds. */
  async usage(options: CallOptions = {}): Promise<any> {
    const request = { key: "master", signal: options.signal } as const;
    return (await this.#http.json("GET", this.#http.path("organization-usage"), request)).body;
  }
}
