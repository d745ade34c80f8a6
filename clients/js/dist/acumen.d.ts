/** The client: one project of one server. */
import { type Tracker, type TrackerOptions } from "./browser.js";
import { type Properties, type Source } from "./events.js";
import { type ExtractOptions } from "./extracting.js";
import { type CallOptions, type Target } from "./http.js";
import { AccessKeys, Cohorts, Collections, Dashboards, Datasets, Identities, Projects, SavedQueries, type ActorId } from "./managing.js";
import { type Answer, type Arranged, type EventList, type Extraction, type Followed, type FunnelAnswer, type InLifecycle, type InSessions, type FunnelCounts, type InStickiness, type LifecycleResult, type Multi, type MultiResult, type Paths, type Percentile, type SeriesAnswer, type Several, type SessionsResult, type SqlAnswer, type SqlOptions, type Retained, type RetentionAnswer, type Step, type StickinessResult, type StoredEvent, type Taken, type Diff, type DiffParameters, type Targeted, type Timezone } from "./questions.js";
import { type Outcome, type SenderOptions } from "./recording.js";
import { Tail, type TailOptions } from "./tail.js";
export interface AcumenOptions extends Target {
    /** The timezone of questions that name none. */
    timezone?: Timezone | undefined;
    /** Properties of every event that `track` records. */
    properties?: Source | undefined;
    /** How `track` queues and sends. */
    sender?: SenderOptions & Partial<Pick<TrackerOptions, "respectPrivacySignals" | "requireConsent">>;
}
export declare class Acumen {
    #private;
    readonly savedQueries: SavedQueries;
    readonly cohorts: Cohorts;
    readonly datasets: Datasets;
    readonly dashboards: Dashboards;
    readonly accessKeys: AccessKeys;
    readonly collections: Collections;
    readonly identities: Identities;
    readonly projects: Projects;
    constructor(options: AcumenOptions);
    /** A client as ACUMEN_URL, ACUMEN_PROJECT, ACUMEN_WRITE_KEY, ACUMEN_READ_KEY … say. */
    static fromEnvironment(options?: Partial<AcumenOptions>): Acumen;
    /** Record an event in the background: it is queued and sent with others. Never throws. */
    track(collection: string, properties?: Properties, time?: number): void;
    /**
     * Say that an anonymous id belongs to a user: questions about actors count one from then on. Queued and
     * sent as what `track` records.
     */
    identify(anonymousId: ActorId, userId: ActorId, properties?: Properties): void;
    /** Add properties to every later event that `track` records; a function is called for each. */
    set(properties: Source): void;
    /** Send what `track` has queued, unless the server asked to wait; true once nothing is left. */
    flush(): Promise<boolean>;
    /** Send what `track` has queued, for so many seconds at most; what is left then is told as dropped. */
    close(seconds?: number): Promise<void>;
    /** The recorder of this page, with its consent switch; in browsers only. */
    get tracker(): Tracker;
    /** Record one event; it is stored when this returns. Its token makes repeats harmless. */
    record(collection: string, event: Properties, options?: CallOptions): Promise<void>;
    /** Record many events; one that is refused spoils no other. */
    recordMany(events: Readonly<Record<string, readonly Properties[]>>, options?: CallOptions): Promise<Outcome>;
    /** Any analysis, by its name and parameters. */
    query<R = any>(analysis: string, parameters: object, options?: CallOptions): Promise<Answer<R>>;
    count<const P extends Arranged>(collection: string, parameters?: P, options?: CallOptions): Promise<Answer<P extends {
        interval: string;
    } ? import("./questions.js").Part<P extends {
        group_by: import("./questions.js").Group | readonly import("./questions.js").Group[];
    } ? ({ [Name_2 in P extends infer T ? T extends P ? T extends {
        group_by: infer G;
    } ? G extends readonly (infer Each)[] ? Each extends string ? Each : Each extends {
        property_name: infer Name extends string;
    } ? Name : Each extends {
        session: infer Name_1 extends string;
    } ? `session.${Name_1}` : never : G extends string ? G : G extends {
        property_name: infer Name extends string;
    } ? Name : G extends {
        session: infer Name_1 extends string;
    } ? `session.${Name_1}` : never : never : never : never]: import("./questions.js").Json; } & {
        result: number;
    })[] : number>[] : P extends {
        group_by: import("./questions.js").Group | readonly import("./questions.js").Group[];
    } ? ({ [Name_2 in P extends infer T_1 ? T_1 extends P ? T_1 extends {
        group_by: infer G;
    } ? G extends readonly (infer Each)[] ? Each extends string ? Each : Each extends {
        property_name: infer Name extends string;
    } ? Name : Each extends {
        session: infer Name_1 extends string;
    } ? `session.${Name_1}` : never : G extends string ? G : G extends {
        property_name: infer Name extends string;
    } ? Name : G extends {
        session: infer Name_1 extends string;
    } ? `session.${Name_1}` : never : never : never : never]: import("./questions.js").Json; } & {
        result: number;
    })[] : number>>;
    countUnique<const P extends Targeted>(collection: string, parameters: P, options?: CallOptions): Promise<Answer<P extends {
        interval: string;
    } ? import("./questions.js").Part<P extends {
        group_by: import("./questions.js").Group | readonly import("./questions.js").Group[];
    } ? ({ [Name_2 in P extends infer T ? T extends P ? T extends {
        group_by: infer G;
    } ? G extends readonly (infer Each)[] ? Each extends string ? Each : Each extends {
        property_name: infer Name extends string;
    } ? Name : Each extends {
        session: infer Name_1 extends string;
    } ? `session.${Name_1}` : never : G extends string ? G : G extends {
        property_name: infer Name extends string;
    } ? Name : G extends {
        session: infer Name_1 extends string;
    } ? `session.${Name_1}` : never : never : never : never]: import("./questions.js").Json; } & {
        result: number;
    })[] : number>[] : P extends {
        group_by: import("./questions.js").Group | readonly import("./questions.js").Group[];
    } ? ({ [Name_2 in P extends infer T_1 ? T_1 extends P ? T_1 extends {
        group_by: infer G;
    } ? G extends readonly (infer Each)[] ? Each extends string ? Each : Each extends {
        property_name: infer Name extends string;
    } ? Name : Each extends {
        session: infer Name_1 extends string;
    } ? `session.${Name_1}` : never : G extends string ? G : G extends {
        property_name: infer Name extends string;
    } ? Name : G extends {
        session: infer Name_1 extends string;
    } ? `session.${Name_1}` : never : never : never : never]: import("./questions.js").Json; } & {
        result: number;
    })[] : number>>;
    minimum<const P extends Targeted>(collection: string, parameters: P, options?: CallOptions): Promise<Answer<P extends {
        interval: string;
    } ? import("./questions.js").Part<P extends {
        group_by: import("./questions.js").Group | readonly import("./questions.js").Group[];
    } ? ({ [Name_2 in P extends infer T ? T extends P ? T extends {
        group_by: infer G;
    } ? G extends readonly (infer Each)[] ? Each extends string ? Each : Each extends {
        property_name: infer Name extends string;
    } ? Name : Each extends {
        session: infer Name_1 extends string;
    } ? `session.${Name_1}` : never : G extends string ? G : G extends {
        property_name: infer Name extends string;
    } ? Name : G extends {
        session: infer Name_1 extends string;
    } ? `session.${Name_1}` : never : never : never : never]: import("./questions.js").Json; } & {
        result: number | null;
    })[] : number | null>[] : P extends {
        group_by: import("./questions.js").Group | readonly import("./questions.js").Group[];
    } ? ({ [Name_2 in P extends infer T_1 ? T_1 extends P ? T_1 extends {
        group_by: infer G;
    } ? G extends readonly (infer Each)[] ? Each extends string ? Each : Each extends {
        property_name: infer Name extends string;
    } ? Name : Each extends {
        session: infer Name_1 extends string;
    } ? `session.${Name_1}` : never : G extends string ? G : G extends {
        property_name: infer Name extends string;
    } ? Name : G extends {
        session: infer Name_1 extends string;
    } ? `session.${Name_1}` : never : never : never : never]: import("./questions.js").Json; } & {
        result: number | null;
    })[] : number | null>>;
    maximum<const P extends Targeted>(collection: string, parameters: P, options?: CallOptions): Promise<Answer<P extends {
        interval: string;
    } ? import("./questions.js").Part<P extends {
        group_by: import("./questions.js").Group | readonly import("./questions.js").Group[];
    } ? ({ [Name_2 in P extends infer T ? T extends P ? T extends {
        group_by: infer G;
    } ? G extends readonly (infer Each)[] ? Each extends string ? Each : Each extends {
        property_name: infer Name extends string;
    } ? Name : Each extends {
        session: infer Name_1 extends string;
    } ? `session.${Name_1}` : never : G extends string ? G : G extends {
        property_name: infer Name extends string;
    } ? Name : G extends {
        session: infer Name_1 extends string;
    } ? `session.${Name_1}` : never : never : never : never]: import("./questions.js").Json; } & {
        result: number | null;
    })[] : number | null>[] : P extends {
        group_by: import("./questions.js").Group | readonly import("./questions.js").Group[];
    } ? ({ [Name_2 in P extends infer T_1 ? T_1 extends P ? T_1 extends {
        group_by: infer G;
    } ? G extends readonly (infer Each)[] ? Each extends string ? Each : Each extends {
        property_name: infer Name extends string;
    } ? Name : Each extends {
        session: infer Name_1 extends string;
    } ? `session.${Name_1}` : never : G extends string ? G : G extends {
        property_name: infer Name extends string;
    } ? Name : G extends {
        session: infer Name_1 extends string;
    } ? `session.${Name_1}` : never : never : never : never]: import("./questions.js").Json; } & {
        result: number | null;
    })[] : number | null>>;
    sum<const P extends Targeted>(collection: string, parameters: P, options?: CallOptions): Promise<Answer<P extends {
        interval: string;
    } ? import("./questions.js").Part<P extends {
        group_by: import("./questions.js").Group | readonly import("./questions.js").Group[];
    } ? ({ [Name_2 in P extends infer T ? T extends P ? T extends {
        group_by: infer G;
    } ? G extends readonly (infer Each)[] ? Each extends string ? Each : Each extends {
        property_name: infer Name extends string;
    } ? Name : Each extends {
        session: infer Name_1 extends string;
    } ? `session.${Name_1}` : never : G extends string ? G : G extends {
        property_name: infer Name extends string;
    } ? Name : G extends {
        session: infer Name_1 extends string;
    } ? `session.${Name_1}` : never : never : never : never]: import("./questions.js").Json; } & {
        result: number | null;
    })[] : number | null>[] : P extends {
        group_by: import("./questions.js").Group | readonly import("./questions.js").Group[];
    } ? ({ [Name_2 in P extends infer T_1 ? T_1 extends P ? T_1 extends {
        group_by: infer G;
    } ? G extends readonly (infer Each)[] ? Each extends string ? Each : Each extends {
        property_name: infer Name extends string;
    } ? Name : Each extends {
        session: infer Name_1 extends string;
    } ? `session.${Name_1}` : never : G extends string ? G : G extends {
        property_name: infer Name extends string;
    } ? Name : G extends {
        session: infer Name_1 extends string;
    } ? `session.${Name_1}` : never : never : never : never]: import("./questions.js").Json; } & {
        result: number | null;
    })[] : number | null>>;
    average<const P extends Targeted>(collection: string, parameters: P, options?: CallOptions): Promise<Answer<P extends {
        interval: string;
    } ? import("./questions.js").Part<P extends {
        group_by: import("./questions.js").Group | readonly import("./questions.js").Group[];
    } ? ({ [Name_2 in P extends infer T ? T extends P ? T extends {
        group_by: infer G;
    } ? G extends readonly (infer Each)[] ? Each extends string ? Each : Each extends {
        property_name: infer Name extends string;
    } ? Name : Each extends {
        session: infer Name_1 extends string;
    } ? `session.${Name_1}` : never : G extends string ? G : G extends {
        property_name: infer Name extends string;
    } ? Name : G extends {
        session: infer Name_1 extends string;
    } ? `session.${Name_1}` : never : never : never : never]: import("./questions.js").Json; } & {
        result: number | null;
    })[] : number | null>[] : P extends {
        group_by: import("./questions.js").Group | readonly import("./questions.js").Group[];
    } ? ({ [Name_2 in P extends infer T_1 ? T_1 extends P ? T_1 extends {
        group_by: infer G;
    } ? G extends readonly (infer Each)[] ? Each extends string ? Each : Each extends {
        property_name: infer Name extends string;
    } ? Name : Each extends {
        session: infer Name_1 extends string;
    } ? `session.${Name_1}` : never : G extends string ? G : G extends {
        property_name: infer Name extends string;
    } ? Name : G extends {
        session: infer Name_1 extends string;
    } ? `session.${Name_1}` : never : never : never : never]: import("./questions.js").Json; } & {
        result: number | null;
    })[] : number | null>>;
    median<const P extends Targeted>(collection: string, parameters: P, options?: CallOptions): Promise<Answer<P extends {
        interval: string;
    } ? import("./questions.js").Part<P extends {
        group_by: import("./questions.js").Group | readonly import("./questions.js").Group[];
    } ? ({ [Name_2 in P extends infer T ? T extends P ? T extends {
        group_by: infer G;
    } ? G extends readonly (infer Each)[] ? Each extends string ? Each : Each extends {
        property_name: infer Name extends string;
    } ? Name : Each extends {
        session: infer Name_1 extends string;
    } ? `session.${Name_1}` : never : G extends string ? G : G extends {
        property_name: infer Name extends string;
    } ? Name : G extends {
        session: infer Name_1 extends string;
    } ? `session.${Name_1}` : never : never : never : never]: import("./questions.js").Json; } & {
        result: number | null;
    })[] : number | null>[] : P extends {
        group_by: import("./questions.js").Group | readonly import("./questions.js").Group[];
    } ? ({ [Name_2 in P extends infer T_1 ? T_1 extends P ? T_1 extends {
        group_by: infer G;
    } ? G extends readonly (infer Each)[] ? Each extends string ? Each : Each extends {
        property_name: infer Name extends string;
    } ? Name : Each extends {
        session: infer Name_1 extends string;
    } ? `session.${Name_1}` : never : G extends string ? G : G extends {
        property_name: infer Name extends string;
    } ? Name : G extends {
        session: infer Name_1 extends string;
    } ? `session.${Name_1}` : never : never : never : never]: import("./questions.js").Json; } & {
        result: number | null;
    })[] : number | null>>;
    percentile<const P extends Percentile>(collection: string, parameters: P, options?: CallOptions): Promise<Answer<P extends {
        interval: string;
    } ? import("./questions.js").Part<P extends {
        group_by: import("./questions.js").Group | readonly import("./questions.js").Group[];
    } ? ({ [Name_2 in P extends infer T ? T extends P ? T extends {
        group_by: infer G;
    } ? G extends readonly (infer Each)[] ? Each extends string ? Each : Each extends {
        property_name: infer Name extends string;
    } ? Name : Each extends {
        session: infer Name_1 extends string;
    } ? `session.${Name_1}` : never : G extends string ? G : G extends {
        property_name: infer Name extends string;
    } ? Name : G extends {
        session: infer Name_1 extends string;
    } ? `session.${Name_1}` : never : never : never : never]: import("./questions.js").Json; } & {
        result: number | null;
    })[] : number | null>[] : P extends {
        group_by: import("./questions.js").Group | readonly import("./questions.js").Group[];
    } ? ({ [Name_2 in P extends infer T_1 ? T_1 extends P ? T_1 extends {
        group_by: infer G;
    } ? G extends readonly (infer Each)[] ? Each extends string ? Each : Each extends {
        property_name: infer Name extends string;
    } ? Name : Each extends {
        session: infer Name_1 extends string;
    } ? `session.${Name_1}` : never : G extends string ? G : G extends {
        property_name: infer Name extends string;
    } ? Name : G extends {
        session: infer Name_1 extends string;
    } ? `session.${Name_1}` : never : never : never : never]: import("./questions.js").Json; } & {
        result: number | null;
    })[] : number | null>>;
    standardDeviation<const P extends Targeted>(collection: string, parameters: P, options?: CallOptions): Promise<Answer<P extends {
        interval: string;
    } ? import("./questions.js").Part<P extends {
        group_by: import("./questions.js").Group | readonly import("./questions.js").Group[];
    } ? ({ [Name_2 in P extends infer T ? T extends P ? T extends {
        group_by: infer G;
    } ? G extends readonly (infer Each)[] ? Each extends string ? Each : Each extends {
        property_name: infer Name extends string;
    } ? Name : Each extends {
        session: infer Name_1 extends string;
    } ? `session.${Name_1}` : never : G extends string ? G : G extends {
        property_name: infer Name extends string;
    } ? Name : G extends {
        session: infer Name_1 extends string;
    } ? `session.${Name_1}` : never : never : never : never]: import("./questions.js").Json; } & {
        result: number | null;
    })[] : number | null>[] : P extends {
        group_by: import("./questions.js").Group | readonly import("./questions.js").Group[];
    } ? ({ [Name_2 in P extends infer T_1 ? T_1 extends P ? T_1 extends {
        group_by: infer G;
    } ? G extends readonly (infer Each)[] ? Each extends string ? Each : Each extends {
        property_name: infer Name extends string;
    } ? Name : Each extends {
        session: infer Name_1 extends string;
    } ? `session.${Name_1}` : never : G extends string ? G : G extends {
        property_name: infer Name extends string;
    } ? Name : G extends {
        session: infer Name_1 extends string;
    } ? `session.${Name_1}` : never : never : never : never]: import("./questions.js").Json; } & {
        result: number | null;
    })[] : number | null>>;
    selectUnique<const P extends Targeted>(collection: string, parameters: P, options?: CallOptions): Promise<Answer<P extends {
        interval: string;
    } ? import("./questions.js").Part<P extends {
        group_by: import("./questions.js").Group | readonly import("./questions.js").Group[];
    } ? ({ [Name_2 in P extends infer T ? T extends P ? T extends {
        group_by: infer G;
    } ? G extends readonly (infer Each)[] ? Each extends string ? Each : Each extends {
        property_name: infer Name extends string;
    } ? Name : Each extends {
        session: infer Name_1 extends string;
    } ? `session.${Name_1}` : never : G extends string ? G : G extends {
        property_name: infer Name extends string;
    } ? Name : G extends {
        session: infer Name_1 extends string;
    } ? `session.${Name_1}` : never : never : never : never]: import("./questions.js").Json; } & {
        result: import("./questions.js").Json[];
    })[] : import("./questions.js").Json[]>[] : P extends {
        group_by: import("./questions.js").Group | readonly import("./questions.js").Group[];
    } ? ({ [Name_2 in P extends infer T_1 ? T_1 extends P ? T_1 extends {
        group_by: infer G;
    } ? G extends readonly (infer Each)[] ? Each extends string ? Each : Each extends {
        property_name: infer Name extends string;
    } ? Name : Each extends {
        session: infer Name_1 extends string;
    } ? `session.${Name_1}` : never : G extends string ? G : G extends {
        property_name: infer Name extends string;
    } ? Name : G extends {
        session: infer Name_1 extends string;
    } ? `session.${Name_1}` : never : never : never : never]: import("./questions.js").Json; } & {
        result: import("./questions.js").Json[];
    })[] : import("./questions.js").Json[]>>;
    multiAnalysis<const P extends Multi>(collection: string, parameters: P, options?: CallOptions): Promise<Answer<MultiResult<P>>>;
    series<const P extends Several>(parameters: P, options?: CallOptions): Promise<SeriesAnswer<P>>;
    funnel<const P extends Followed = {}>(steps: readonly Step[], parameters?: P, options?: CallOptions): Promise<FunnelAnswer<FunnelCounts<P>>>;
    /** Sessions of the events of a collection, or of several. */
    sessions<const P extends InSessions>(events: string | readonly EventList[], parameters?: P, options?: CallOptions): Promise<Answer<SessionsResult<P>>>;
    /** How many actors came back, by when they started. */
    retention<const P extends Retained>(parameters: P, options?: CallOptions): Promise<RetentionAnswer<P>>;
    /** How many actors are new, return, come back after a pause or stay away, interval by interval. */
    lifecycle<const P extends InLifecycle>(events: string | readonly EventList[], parameters: P, options?: CallOptions): Promise<Answer<LifecycleResult<P>>>;
    /** The actors of each day, its week and its month, and their ratios; or how often they come. */
    stickiness<const P extends InStickiness>(events: string | readonly EventList[], parameters: P, options?: CallOptions): Promise<Answer<StickinessResult<P>>>;
    /** The paths that actors take through the events of a collection, or of several. */
    paths(events: string | readonly EventList[], parameters?: Taken, options?: CallOptions): Promise<Answer<Paths>>;
    /** The events in one answer: 100,000 at most. */
    extraction(collection: string, parameters?: Extraction, options?: CallOptions): Promise<Answer<StoredEvent[]>>;
    /**
     * The events one by one, however many: where one answer can not hold them, through a file of the
     * server.
     */
    extract(collection: string, parameters?: Extraction, options?: ExtractOptions): AsyncGenerator<StoredEvent, void, undefined>;
    /**
     * The rows of one SELECT, in which collections are tables. Values are given as `parameters`, never in the
     * text: a list for `?`, an object for `$name`.
     */
    sql<R = Record<string, any>>(sql: string, parameters?: readonly unknown[] | Readonly<Record<string, unknown>>, options?: SqlOptions): Promise<SqlAnswer<R>>;
    /** Which events moved an answer between two versions; see `as_of`. Now is the later one by default. */
    diff(analysis: string, parameters: DiffParameters, options?: CallOptions): Promise<Diff>;
    /** Events as they arrive, from now on or from `after`; connections that break are taken up again. */
    tail(collection: string, options?: TailOptions): Tail;
    /** The project's description: its collections and saved queries. */
    project(options?: CallOptions): Promise<any>;
    /** What the project holds. */
    usage(options?: CallOptions): Promise<any>;
}
