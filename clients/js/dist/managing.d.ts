import { type CallOptions, type Http } from "./http.js";
import { type Answer, type CohortValue, type Filter, type Json, type Question, type Timeframe, type Timezone } from "./questions.js";
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
export declare class SavedQueries {
    #private;
    constructor(http: Http);
    list(options?: CallOptions): Promise<SavedQuery[]>;
    get(name: string, options?: CallOptions): Promise<SavedQuery>;
    /** Make or replace; what is left out is unset. */
    put(name: string, definition: SavedQueryDefinition, options?: CallOptions): Promise<SavedQuery>;
    delete(name: string, options?: CallOptions): Promise<void>;
    result<R = any>(name: string, changes?: ViewerChanges, options?: CallOptions): Promise<SavedAnswer<R>>;
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
export declare class Cohorts {
    #private;
    constructor(http: Http);
    list(options?: CallOptions): Promise<ActorCohort[]>;
    get(name: string, options?: CallOptions): Promise<ActorCohort>;
    /** Make or replace; a static one then lists `actors` alone. */
    put(name: string, definition: CohortDefinition, options?: CallOptions): Promise<ActorCohort>;
    /** Change which actors a static cohort lists: first those to `remove` are taken out. */
    change(name: string, changes: {
        add?: readonly unknown[];
        remove?: readonly unknown[];
    }, options?: CallOptions): Promise<ActorCohort>;
    /** How many actors it has now, and the first of them. */
    actors(name: string, limit?: number, options?: CallOptions): Promise<CohortActors>;
    delete(name: string, options?: CallOptions): Promise<void>;
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
export declare class Datasets {
    #private;
    constructor(http: Http);
    /** All datasets, page by page. */
    list(options?: CallOptions): AsyncGenerator<Dataset, void, undefined>;
    get(name: string, options?: CallOptions): Promise<Dataset>;
    create(name: string, definition: DatasetDefinition, options?: CallOptions): Promise<Dataset>;
    delete(name: string, options?: CallOptions): Promise<void>;
    /** The part of one index value: a text, or an object of properties and values. */
    results<R = any>(name: string, asked: {
        index_by: Json;
        timeframe?: Timeframe;
    }, options?: CallOptions): Promise<Answer<R>>;
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
export declare class Dashboards {
    #private;
    constructor(http: Http);
    /** The metadata of all dashboards. */
    list(options?: CallOptions): Promise<DashboardMetadata[]>;
    get(id: string, options?: CallOptions): Promise<any>;
    metadata(id: string, options?: CallOptions): Promise<DashboardMetadata>;
    put(id: string, dashboard: object, metadata?: Partial<DashboardMetadata>, options?: CallOptions): Promise<any>;
    putMetadata(id: string, metadata: Partial<DashboardMetadata>, options?: CallOptions): Promise<DashboardMetadata>;
    delete(id: string, options?: CallOptions): Promise<void>;
}
export interface KeyDefinition {
    name: string;
    permitted: readonly ("writes" | "queries" | "saved_queries" | "cached_queries" | "datasets" | "schema" | "query_definition")[];
    options?: Record<string, any>;
    is_active?: boolean;
}
export interface AccessKey extends KeyDefinition {
    key: string;
    is_active: boolean;
    project_id: string;
}
export declare class AccessKeys {
    #private;
    constructor(http: Http);
    list(options?: CallOptions): Promise<AccessKey[]>;
    get(key: string, options?: CallOptions): Promise<AccessKey>;
    create(definition: KeyDefinition, options?: CallOptions): Promise<AccessKey>;
    /** Replace name, rights and options. */
    update(key: string, definition: KeyDefinition, options?: CallOptions): Promise<AccessKey>;
    revoke(key: string, options?: CallOptions): Promise<AccessKey>;
    unrevoke(key: string, options?: CallOptions): Promise<AccessKey>;
    delete(key: string, options?: CallOptions): Promise<void>;
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
    over_time: {
        interval: string;
        counts: {
            start: string;
            events: number;
        }[];
    };
    properties: ({
        name: string;
    } & Record<string, any>)[];
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
export declare class Identities {
    #private;
    constructor(http: Http);
    list(page?: {
        after?: number;
        limit?: number;
    }, options?: CallOptions): Promise<{
        actors: Actor[];
        count: number;
        next: number | null;
    }>;
    /** An actor by any of its ids. */
    get(id: ActorId, options?: CallOptions): Promise<KnownActor>;
    /** Delete all events that say that these two ids are one. */
    revoke(pair: {
        user_id: ActorId;
    } & ({
        anonymous_id: ActorId;
    } | {
        alias: ActorId;
    }), options?: CallOptions): Promise<void>;
    /** All events with an id of the actor in one of these properties; by default in the project's. */
    export(id: ActorId, properties?: readonly string[], options?: CallOptions): Promise<Actor & {
        events: Record<string, any[]>;
    }>;
    /** Delete these events, and what was said of the actor's ids. */
    erase(id: ActorId, properties?: readonly string[], options?: CallOptions): Promise<Actor & {
        deleted_events: Record<string, number>;
    }>;
}
export declare class Collections {
    #private;
    constructor(http: Http);
    list(options?: CallOptions): Promise<Collection[]>;
    get(collection: string, options?: CallOptions): Promise<Collection>;
    property(collection: string, property: string, options?: CallOptions): Promise<{
        property_name: string;
        type: string;
    }>;
    /** What its events and their properties are like, a page of properties at a time. */
    profile(collection: string, which?: ProfileOptions, options?: CallOptions): Promise<Profile>;
    /** Delete the events that match, for good; `"all"` is every event of the collection. */
    deleteEvents(collection: string, which: Selection | "all", options?: CallOptions): Promise<void>;
    deleteProperty(collection: string, property: string, options?: CallOptions): Promise<void>;
    updateEvents(collection: string, updates: readonly {
        property_name: string;
        property_value: unknown;
        upsert_property?: boolean;
    }[], which?: Selection, options?: CallOptions): Promise<{
        updated_events: number;
    }>;
    /** For how many days its events are kept; null: for ever. */
    retention(collection: string, options?: CallOptions): Promise<number | null>;
    setRetention(collection: string, days: number | null, options?: CallOptions): Promise<void>;
}
export interface OwnedProject {
    id: string;
    name: string;
    users: {
        email: string;
    }[];
    apiKeys: {
        writeKey: string;
        readKey: string;
        masterKey: string;
    };
    preferences: Record<string, any>;
}
/** The projects of an organisation: needs `organizationId` and `organizationKey`. */
export declare class Projects {
    #private;
    constructor(http: Http);
    list(options?: CallOptions): Promise<OwnedProject[]>;
    get(id: string, options?: CallOptions): Promise<OwnedProject>;
    create(project: {
        name: string;
        users?: {
            email: string;
        }[];
        preferences?: object;
    }, options?: CallOptions): Promise<OwnedProject>;
    update(id: string, changes: {
        name?: string;
        users?: {
            email: string;
        }[];
        preferences?: object;
    }, options?: CallOptions): Promise<OwnedProject>;
    delete(id: string, options?: CallOptions): Promise<void>;
    usage(options?: CallOptions): Promise<any>;
}
