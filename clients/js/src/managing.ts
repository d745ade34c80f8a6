/**
 * What a project keeps: saved queries, datasets, dashboards, keys, schemas, files; and projects
 * themselves.
 */
import { ConfigurationError } from "./errors.ts";
import { segment, type CallOptions, type Http, type KeyName, type QueryValue } from "./http.ts";
import {
  answerOf,
  type Answer,
  type CohortValue,
  type Filter,
  type Json,
  type Question,
  type Timeframe,
  type Timezone,
} from "./questions.ts";

type Method = "GET" | "PUT" | "POST" | "DELETE";

/** The body of one request; each part below is made of such calls. */
async function call<T>(
  http: Http,
  method: Method,
  path: string,
  key: KeyName,
  options: CallOptions,
  more: { body?: unknown; query?: Record<string, QueryValue>; headers?: Record<string, string> } = {},
): Promise<T> {
  return (await http.json<T>(method, path, { key, ...more, signal: options.signal })).body;
}

export interface SavedQueryDefinition {
  query: Question;
  /** Seconds between two runs, 14,400 to 172,800; 0: asked anew each time. */
  refresh_rate?: number;
  metadata?: any;
  query_name?: string;
}

export interface SavedQuery extends SavedQueryDefinition {
  query_name: string;
  refresh_rate: number;
  run_information: Record<string, any> | null;
  created_date: string;
  last_modified_date: string;
  urls: Record<string, string>;
}

export interface SavedAnswer<R> extends Answer<R> {
  query: Question;
  metadata: any;
}

/** What a viewer changes of a saved query, where an embed token lets him. */
export interface ViewerChanges {
  timeframe?: Timeframe;
  interval?: string;
  timezone?: Timezone;
  filters?: readonly Filter[];
  /** The version that an `explain` named, or an instant; not for embed tokens. */
  as_of?: string;
}

export class SavedQueries {
  readonly #http: Http;
  constructor(http: Http) {
    this.#http = http;
  }
  list(options: CallOptions = {}): Promise<SavedQuery[]> {
    return call(this.#http, "GET", this.#http.path("queries", "saved"), "master", options);
  }
  get(name: string, options: CallOptions = {}): Promise<SavedQuery> {
    const key = this.#http.target.masterKey ? "master" : "read";
    return call(this.#http, "GET", this.#http.path("queries", "saved", name), key, options);
  }
  /** Make or replace; what is left out is unset. */
  put(name: string, definition: SavedQueryDefinition, options: CallOptions = {}): Promise<SavedQuery> {
    return call(this.#http, "PUT", this.#http.path("queries", "saved", name), "master", options, {
      body: definition,
    });
  }
  delete(name: string, options: CallOptions = {}): Promise<void> {
    return call(this.#http, "DELETE", this.#http.path("queries", "saved", name), "master", options);
  }
  async result<R = any>(
    name: string,
    changes: ViewerChanges = {},
    options: CallOptions = {},
  ): Promise<SavedAnswer<R>> {
    const request = { key: "read", query: { ...changes }, signal: options.signal } as const;
    const answer = await this.#http.json("GET", this.#http.path("queries", "saved", name, "result"), request);
    return { ...answerOf<R>(answer), query: answer.body.query, metadata: answer.body.metadata };
  }
}

export interface CohortCondition {
  event_collection?: string;
  actor_property?: string;
  filters?: readonly Filter[];
  timeframe?: Timeframe;
  timezone?: Timezone;
  at_least?: number;
  at_most?: number;
  exactly?: number;
  /** Alone: in, or not in, another cohort. */
  in_cohort?: CohortValue;
  not_in_cohort?: CohortValue;
}

/** One of `actors`, `funnel`, and `all` and `any`. */
export interface CohortDefinition {
  actor_property?: string;
  actors?: readonly (string | number | boolean)[];
  all?: readonly CohortCondition[];
  any?: readonly CohortCondition[];
  funnel?: Record<string, unknown>;
  display_name?: string;
}

export interface ActorCohort extends CohortDefinition {
  name: string;
  kind: "static" | "behaviour" | "funnel";
  actors_listed?: number;
  [more: string]: unknown;
}

export interface CohortActors {
  result: number;
  actors: (string | number | boolean)[];
  truncated: boolean;
}

export class Cohorts {
  readonly #http: Http;
  constructor(http: Http) {
    this.#http = http;
  }
  list(options: CallOptions = {}): Promise<ActorCohort[]> {
    return call(this.#http, "GET", this.#http.path("cohorts"), "read", options);
  }
  get(name: string, options: CallOptions = {}): Promise<ActorCohort> {
    return call(this.#http, "GET", this.#http.path("cohorts", name), "read", options);
  }
  /** Make or replace; a static one then lists `actors` alone. */
  put(name: string, definition: CohortDefinition, options: CallOptions = {}): Promise<ActorCohort> {
    return call(this.#http, "PUT", this.#http.path("cohorts", name), "master", options, { body: definition });
  }
  /** Change which actors a static cohort lists: first those to `remove` are taken out. */
  change(
    name: string,
    changes: { add?: readonly unknown[]; remove?: readonly unknown[] },
    options: CallOptions = {},
  ): Promise<ActorCohort> {
    return call(this.#http, "POST", this.#http.path("cohorts", name, "members"), "master", options, {
      body: changes,
    });
  }
  /** How many actors it has now, and the first of them. */
  actors(name: string, limit = 100, options: CallOptions = {}): Promise<CohortActors> {
    return call(this.#http, "GET", this.#http.path("cohorts", name, "actors"), "read", options, {
      query: { limit },
    });
  }
  delete(name: string, options: CallOptions = {}): Promise<void> {
    return call(this.#http, "DELETE", this.#http.path("cohorts", name), "master", options);
  }
}

export interface DatasetDefinition {
  query: Question;
  index_by: string | readonly string[];
  display_name?: string;
}

export interface Dataset extends DatasetDefinition {
  dataset_name: string;
  status: "Created" | "Bootstrapping" | "OK" | "BootstrappingFailed" | "Warn";
  status_message?: string;
  milliseconds_behind: number;
  [more: string]: unknown;
}

export class Datasets {
  readonly #http: Http;
  constructor(http: Http) {
    this.#http = http;
  }
  /** All datasets, page by page. */
  async *list(options: CallOptions = {}): AsyncGenerator<Dataset, void, undefined> {
    let after: string | undefined;
    for (;;) {
      const query = { limit: 100, after_name: after };
      const page = await call<{ datasets: Dataset[]; next_page_url: string | null }>(
        this.#http,
        "GET",
        this.#http.path("datasets"),
        "read",
        options,
        { query },
      );
      yield* page.datasets;
      if (!page.next_page_url || !page.datasets.length) return;
      after = page.datasets[page.datasets.length - 1]!.dataset_name;
    }
  }
  get(name: string, options: CallOptions = {}): Promise<Dataset> {
    return call(this.#http, "GET", this.#http.path("datasets", name), "read", options);
  }
  create(name: string, definition: DatasetDefinition, options: CallOptions = {}): Promise<Dataset> {
    return call(this.#http, "PUT", this.#http.path("datasets", name), "master", options, {
      body: definition,
    });
  }
  delete(name: string, options: CallOptions = {}): Promise<void> {
    return call(this.#http, "DELETE", this.#http.path("datasets", name), "master", options);
  }
  /** The part of one index value: a text, or an object of properties and values. */
  async results<R = any>(
    name: string,
    asked: { index_by: Json; timeframe?: Timeframe },
    options: CallOptions = {},
  ): Promise<Answer<R>> {
    const { index_by, timeframe } = asked;
    // In JSON's quotes, so that the text "17" is not read as a number.
    const query = { index_by: JSON.stringify(index_by), timeframe };
    const path = this.#http.path("datasets", name, "results");
    return answerOf<R>(await this.#http.json("GET", path, { key: "read", query, signal: options.signal }));
  }
}

export interface DashboardMetadata {
  id: string;
  title: string | null;
  widgets: number;
  queries: number;
  tags: string[];
  lastModificationDate: number | null;
  isPublic: boolean;
  publicAccessKey: string | null;
  [more: string]: any;
}

export class Dashboards {
  readonly #http: Http;
  constructor(http: Http) {
    this.#http = http;
  }
  #path(...segments: string[]): string {
    return ["/projects", this.#http.projectId, "dashboards", ...segments]
      .map((part, at) => (at ? segment(part) : part))
      .join("/");
  }
  /** The metadata of all dashboards. */
  list(options: CallOptions = {}): Promise<DashboardMetadata[]> {
    return call(this.#http, "GET", this.#path("metadata"), "read", options);
  }
  get(id: string, options: CallOptions = {}): Promise<any> {
    return call(this.#http, "GET", this.#path(id), "read", options);
  }
  metadata(id: string, options: CallOptions = {}): Promise<DashboardMetadata> {
    return call(this.#http, "GET", this.#path(id, "metadata"), "read", options);
  }
  put(
    id: string,
    dashboard: object,
    metadata?: Partial<DashboardMetadata>,
    options: CallOptions = {},
  ): Promise<any> {
    // A header holds ASCII alone.
    const text = JSON.stringify(metadata)?.replace(
      /[^ -~]/g,
      (one) => "\\u" + one.charCodeAt(0).toString(16).padStart(4, "0"),
    );
    const headers: Record<string, string> = text ? { "X-Keen-Blob-Metadata": text } : {};
    return call(this.#http, "PUT", this.#path(id), "master", options, { body: dashboard, headers });
  }
  putMetadata(
    id: string,
    metadata: Partial<DashboardMetadata>,
    options: CallOptions = {},
  ): Promise<DashboardMetadata> {
    return call(this.#http, "PUT", this.#path(id, "metadata"), "master", options, { body: metadata });
  }
  delete(id: string, options: CallOptions = {}): Promise<void> {
    return call(this.#http, "DELETE", this.#path(id), "master", options);
  }
}

export interface KeyDefinition {
  name: string;
  permitted: readonly (
    "writes" | "queries" | "saved_queries" | "cached_queries" | "datasets" | "schema" | "query_definition"
  )[];
  options?: Record<string, any>;
  is_active?: boolean;
}

export interface AccessKey extends KeyDefinition {
  key: string;
  is_active: boolean;
  project_id: string;
}

export class AccessKeys {
  readonly #http: Http;
  constructor(http: Http) {
    this.#http = http;
  }
  list(options: CallOptions = {}): Promise<AccessKey[]> {
    return call(this.#http, "GET", this.#http.path("keys"), "master", options);
  }
  get(key: string, options: CallOptions = {}): Promise<AccessKey> {
    return call(this.#http, "GET", this.#http.path("keys", key), "master", options);
  }
  create(definition: KeyDefinition, options: CallOptions = {}): Promise<AccessKey> {
    return call(this.#http, "POST", this.#http.path("keys"), "master", options, { body: definition });
  }
  /** Replace name, rights and options. */
  update(key: string, definition: KeyDefinition, options: CallOptions = {}): Promise<AccessKey> {
    return call(this.#http, "POST", this.#http.path("keys", key), "master", options, { body: definition });
  }
  revoke(key: string, options: CallOptions = {}): Promise<AccessKey> {
    return call(this.#http, "POST", this.#http.path("keys", key, "revoke"), "master", options);
  }
  unrevoke(key: string, options: CallOptions = {}): Promise<AccessKey> {
    return call(this.#http, "POST", this.#http.path("keys", key, "unrevoke"), "master", options);
  }
  delete(key: string, options: CallOptions = {}): Promise<void> {
    return call(this.#http, "DELETE", this.#http.path("keys", key), "master", options);
  }
}

export interface Collection {
  name: string;
  url: string;
  properties?: Record<string, string>;
}

/** Which events an erasure or a change is about. */
export interface Selection {
  filters?: readonly Filter[];
  timeframe?: Timeframe;
  timezone?: Timezone;
  week_start?: "sunday" | "monday";
}

export interface ProfileOptions extends Selection {
  property_names?: readonly string[];
  limit?: number;
  after?: string;
  top?: number;
}

export interface Profile {
  events: number;
  first: string | null;
  last: string | null;
  over_time: { interval: string; counts: { start: string; events: number }[] };
  properties: ({ name: string } & Record<string, any>)[];
  /** The `after` of the next page. */
  next: string | null;
}

/** Collections: what is in them, how long it stays, and what is taken away or changed. */
export type ActorId = string | number;

/** An actor with several ids: the one that stands for it, and all of them. */
export interface Actor {
  id: ActorId;
  ids: ActorId[];
}

export interface KnownActor extends Actor {
  /** What was said of its ids; a conflict: two of them are of different actors all the same. */
  links: {
    user_id: unknown;
    anonymous_id?: unknown;
    alias?: unknown;
    events: number;
    first_at: string;
    conflict: boolean;
  }[];
}

/** Texts are quoted, so that none is read as a number. */
const written = (id: ActorId): string => JSON.stringify(id);

export class Identities {
  readonly #http: Http;
  constructor(http: Http) {
    this.#http = http;
  }
  list(
    page: { after?: number; limit?: number } = {},
    options: CallOptions = {},
  ): Promise<{ actors: Actor[]; count: number; next: number | null }> {
    return call(this.#http, "GET", this.#http.path("identities"), "read", options, { query: { ...page } });
  }
  /** An actor by any of its ids. */
  get(id: ActorId, options: CallOptions = {}): Promise<KnownActor> {
    return call(this.#http, "GET", this.#http.path("identities", written(id)), "read", options);
  }
  /** Delete all events that say that these two ids are one. */
  revoke(
    pair: { user_id: ActorId } & ({ anonymous_id: ActorId } | { alias: ActorId }),
    options: CallOptions = {},
  ): Promise<void> {
    const query = Object.fromEntries(Object.entries(pair).map(([name, id]) => [name, written(id)]));
    return call(this.#http, "DELETE", this.#http.path("identities"), "master", options, { query });
  }
  /** All events with an id of the actor in one of these properties; by default in the project's. */
  export(
    id: ActorId,
    properties: readonly string[] = [],
    options: CallOptions = {},
  ): Promise<Actor & { events: Record<string, any[]> }> {
    const path = this.#http.path("identities", written(id), "events");
    const query = properties.length ? { actor_property: properties } : {};
    return call(this.#http, "GET", path, "read", options, { query });
  }
  /** Delete these events, and what was said of the actor's ids. */
  erase(
    id: ActorId,
    properties: readonly string[] = [],
    options: CallOptions = {},
  ): Promise<Actor & { deleted_events: Record<string, number> }> {
    const path = this.#http.path("identities", written(id), "events");
    const query = properties.length ? { actor_property: properties } : {};
    return call(this.#http, "DELETE", path, "master", options, { query });
  }
}

export class Collections {
  readonly #http: Http;
  constructor(http: Http) {
    this.#http = http;
  }
  list(options: CallOptions = {}): Promise<Collection[]> {
    return call(this.#http, "GET", this.#http.path("events"), "read", options);
  }
  get(collection: string, options: CallOptions = {}): Promise<Collection> {
    return call(this.#http, "GET", this.#http.path("events", collection), "read", options);
  }
  property(
    collection: string,
    property: string,
    options: CallOptions = {},
  ): Promise<{ property_name: string; type: string }> {
    return call(
      this.#http,
      "GET",
      this.#http.path("events", collection, "properties", property),
      "read",
      options,
    );
  }
  /** What its events and their properties are like, a page of properties at a time. */
  profile(collection: string, which: ProfileOptions = {}, options: CallOptions = {}): Promise<Profile> {
    const path = this.#http.path("events", collection, "profile");
    return call(this.#http, "GET", path, "read", options, { query: { ...which } });
  }
  /** Delete the events that match, for good; `"all"` is every event of the collection. */
  deleteEvents(collection: string, which: Selection | "all", options: CallOptions = {}): Promise<void> {
    const query = which === "all" ? {} : { ...which };
    if (which !== "all" && !which.filters && !which.timeframe) {
      throw new ConfigurationError('say which events to delete, or "all"');
    }
    return call(this.#http, "DELETE", this.#http.path("events", collection), "master", options, { query });
  }
  deleteProperty(collection: string, property: string, options: CallOptions = {}): Promise<void> {
    return call(
      this.#http,
      "DELETE",
      this.#http.path("events", collection, "properties", property),
      "master",
      options,
    );
  }
  updateEvents(
    collection: string,
    updates: readonly { property_name: string; property_value: unknown; upsert_property?: boolean }[],
    which: Selection = {},
    options: CallOptions = {},
  ): Promise<{ updated_events: number }> {
    const body = { property_updates: updates, ...which };
    return call(this.#http, "PUT", this.#http.path("events", collection), "master", options, { body });
  }
  /** For how many days its events are kept; null: for ever. */
  async retention(collection: string, options: CallOptions = {}): Promise<number | null> {
    const path = this.#http.path("retention", collection);
    return (await call<{ days: number | null }>(this.#http, "GET", path, "master", options)).days;
  }
  async setRetention(collection: string, days: number | null, options: CallOptions = {}): Promise<void> {
    const path = this.#http.path("retention", collection);
    if (days === null) await call(this.#http, "DELETE", path, "master", options);
    else await call(this.#http, "PUT", path, "master", options, { body: { days } });
  }
}

export interface OwnedProject {
  id: string;
  name: string;
  users: { email: string }[];
  apiKeys: { writeKey: string; readKey: string; masterKey: string };
  preferences: Record<string, any>;
}

/** The projects of an organisation: needs `organizationId` and `organizationKey`. */
export class Projects {
  readonly #http: Http;
  constructor(http: Http) {
    this.#http = http;
  }
  #path(...segments: string[]): string {
    const id = this.#http.target.organizationId;
    if (!id) throw new ConfigurationError("this call needs organizationId");
    return ["/3.0/organizations", id, ...segments].map((part, at) => (at ? segment(part) : part)).join("/");
  }
  list(options: CallOptions = {}): Promise<OwnedProject[]> {
    return call(this.#http, "GET", this.#path("projects"), "organization", options);
  }
  get(id: string, options: CallOptions = {}): Promise<OwnedProject> {
    return call(this.#http, "GET", this.#path("projects", id), "organization", options);
  }
  create(
    project: { name: string; users?: { email: string }[]; preferences?: object },
    options: CallOptions = {},
  ): Promise<OwnedProject> {
    return call(this.#http, "POST", this.#path("projects"), "organization", options, { body: project });
  }
  update(
    id: string,
    changes: { name?: string; users?: { email: string }[]; preferences?: object },
    options: CallOptions = {},
  ): Promise<OwnedProject> {
    return call(this.#http, "POST", this.#path("projects", id), "organization", options, { body: changes });
  }
  delete(id: string, options: CallOptions = {}): Promise<void> {
    return call(this.#http, "DELETE", this.#path("projects", id), "organization", options);
  }
  usage(options: CallOptions = {}): Promise<any> {
    return call(this.#http, "GET", this.#path("usage"), "organization", options);
  }
}
