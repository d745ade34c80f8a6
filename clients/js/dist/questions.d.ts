/**
 * Questions and the types of their answers. Parameters are written as the HTTP API writes them (`group_by`),
 * so that docs/queries.md, the definition of a saved query and a call here use the same words.
 */
export type Json = string | number | boolean | null | Json[] | {
    [name: string]: Json;
};
export type Timeframe = string | {
    start?: string;
    end?: string;
};
export type Timezone = string | number;
export type Operator = "eq" | "ne" | "lt" | "lte" | "gt" | "gte" | "exists" | "in" | "contains" | "not_contains" | "within" | "regex" | "in_group";
/** A set of actors: a cohort's name, or its definition. */
export type CohortValue = string | Record<string, unknown>;
/** Properties of the session that an event belongs to. */
export type SessionProperty = "duration" | "events" | "bounce" | "entry" | "exit" | "number" | "position" | "unfinished";
type Named = {
    property_name: string;
    session?: never;
} | {
    session: SessionProperty;
    property_name?: never;
};
export type Filter = (Named & {
    operator: Operator;
    property_value: unknown;
    /** With `in_group`: as in `group_by`. */
    buckets?: {
        size: number;
    };
    ranges?: readonly {
        from?: number;
        to?: number;
        label?: string;
    }[];
}) | {
    operator: "in_cohort" | "not_in_cohort";
    property_value: CohortValue;
    property_name?: string;
} | {
    operator: "in_group";
    cohort: string;
    property_value: boolean | null;
    property_name?: string;
} | {
    operator: "or";
    operands: readonly Filter[];
};
export type Group = string | {
    cohort: string;
    alias?: string;
    property_name?: string;
} | {
    session: SessionProperty;
    buckets?: {
        size: number;
    };
} | {
    session: SessionProperty;
    ranges: readonly {
        from?: number;
        to?: number;
        label?: string;
    }[];
} | {
    property_name: string;
    buckets: {
        size: number;
    };
} | {
    property_name: string;
    ranges: readonly {
        from?: number;
        to?: number;
        label?: string;
    }[];
};
export type Direction = "ASC" | "DESC";
export type Order = string | {
    property_name: string;
    direction?: Direction;
};
/** What the sessions of a question are. */
export interface Sessions {
    events?: readonly {
        event_collection: string;
        actor_property?: string;
        filters?: readonly Filter[];
    }[];
    actor_property?: string;
    gap?: string;
    longest?: string;
    cut?: "daily";
    timezone?: Timezone;
    /** Whose values at the first and the last event are `entry` and `exit`. */
    page_property?: string;
}
/** Parameters of every question. */
export interface Common {
    timeframe?: Timeframe;
    timezone?: Timezone;
    filters?: readonly Filter[];
    week_start?: "sunday" | "monday";
    /** What the sessions are whose properties filters and groups name. */
    session?: Sessions;
    include_metadata?: boolean;
    explain?: boolean;
    max_age?: number;
    /** The version that an explanation names, or an instant. */
    as_of?: string;
}
/** Parameters of analyses with one value, or one for each group and interval. */
export interface Arranged extends Common {
    /** Of `count_unique`, `select_unique` and several analyses: whether ids that are linked are one. */
    identity?: Identity;
    interval?: string;
    group_by?: Group | readonly Group[];
    order_by?: Order | readonly Order[];
    limit?: number;
    zero_fill?: boolean;
    round?: number | "none";
}
export interface Targeted extends Arranged {
    target_property: string;
}
export interface Percentile extends Targeted {
    percentile: number;
}
/** What each analysis answers for one group and interval. */
export interface Values {
    count: number;
    count_unique: number;
    minimum: number | null;
    maximum: number | null;
    sum: number | null;
    average: number | null;
    median: number | null;
    percentile: number | null;
    standard_deviation: number | null;
    select_unique: Json[];
}
export type Metric = keyof Values;
export interface Member {
    analysis_type: Metric;
    target_property?: string;
    percentile?: number;
    round?: number | "none";
}
export interface Multi extends Arranged {
    analyses: Readonly<Record<string, Member>>;
}
export interface Extraction extends Common {
    latest?: number;
    property_names?: string | readonly string[];
}
/** Whether ids that are linked are one actor, or each is one. */
export type Identity = "merged" | "as_sent";
/** Parameters of funnels: whether their steps follow each other in time. */
/** Services by whose defaults funnels, retention and sessions can count. */
export type Preset = "keen" | "mixpanel" | "amplitude" | "posthog" | "ga4" | "plausible";
export interface Followed extends Common {
    /** Of steps that have none of their own; if absent, the project's preference. */
    actor_property?: string;
    /** Whether ids that are linked are one actor. */
    identity?: Identity;
    order?: "any" | "ordered" | "strict";
    /** With an order: the longest time from the first step to the last one, as `7_days`. */
    window?: string;
    equal_times?: "in_order" | "apart";
    /** Events of which none may lie between two steps. */
    exclusions?: readonly Exclusion[];
    /** A property that has one value in all steps of an actor. */
    hold?: string;
    group_by?: string;
    attribution?: "first" | "last" | number;
    interval?: string;
    counting?: "actors" | "sessions" | "conversions" | Preset;
    session_gap?: string;
    times?: boolean | {
        percentiles?: readonly number[];
        histogram?: readonly number[];
    };
    /** An actor whose events to list, and why it did not get further. */
    explain_actor?: string | number | boolean;
}
export interface Exclusion {
    event_collection: string;
    actor_property?: string;
    timeframe?: Timeframe;
    timezone?: Timezone;
    filters?: readonly Filter[];
    /** The numbers of steps, from 1. */
    after_step?: number;
    before_step?: number;
}
/** The events of one collection, in a question about several. */
export interface EventList {
    event_collection: string;
    actor_property?: string;
    filters?: readonly Filter[];
    /** In paths: what its events are called, in place of the collection. */
    name?: string;
    /** In paths: the property by whose value they are called instead. */
    by?: string;
}
/** Parameters of questions about sessions. */
export interface InSessions extends Arranged {
    /** If absent, the project's preference. */
    actor_property?: string;
    /** The break after which another session begins: `30_minutes` by default. */
    gap?: string;
    /** A service by whose defaults to count. */
    counting?: Preset;
    cut?: "daily";
    longest?: string;
    /** If absent, all but percentiles. */
    measures?: readonly SessionMeasure[];
    page_property?: string;
    pages?: number;
    attribution?: "entry" | "exit";
}
/** Sessions by the value at their first or last event. */
export interface Pages {
    values: {
        value: Json;
        sessions: number;
    }[];
    /** Those that are not named. */
    other: {
        values: number;
        sessions: number;
    };
}
/** What is said of sessions; durations are in seconds. */
export interface SessionValues {
    sessions: number;
    actors: number;
    events: number;
    events_per_session: number | null;
    bounces: number;
    bounce_rate: number | null;
    duration_average: number | null;
    duration_median: number | null;
    unfinished: number | null;
    entries: Pages;
    exits: Pages;
    [percentile: `duration_p${number}`]: number | null;
}
export type SessionMeasure = keyof SessionValues;
type Measured<P> = P extends {
    measures: readonly (infer M extends SessionMeasure)[];
} ? {
    [Name in M]: SessionValues[Name];
} : P extends {
    page_property: string;
} ? SessionValues : Omit<SessionValues, "entries" | "exits">;
/** The result of a question about sessions: its measures in place of `result`. */
export type SessionsResult<P> = Spread<P extends {
    group_by: Group | readonly Group[];
} ? (Names<P> & Measured<P>)[] : Measured<P>, P>;
/** Parameters of questions about paths. */
export interface Taken extends Common {
    /** If absent, the project's preference. */
    actor_property?: string;
    /** Whether ids that are linked are one actor. */
    identity?: Identity;
    /** The property whose values are the nodes. */
    by?: string;
    /** Where paths begin: the name of a node, or an event. */
    from?: string | EventList;
    to?: string | EventList;
    depth?: number;
    counting?: "actors" | "sessions" | "occurrences";
    gap?: string;
    window?: string;
    collapse_repeats?: boolean;
    /** `*` is any text. */
    rename?: readonly {
        match: string;
        as: string;
    }[];
    nodes?: number;
    least?: number;
}
/** The paths that actors take, for a Sankey diagram: `source` and `target` are places in `nodes`. */
export interface Paths {
    paths: number;
    actors: number;
    nodes: {
        id: number;
        step: number;
        name: Json;
        /** How many names are together in a node `other`. */
        names?: number;
        paths: number;
        ended?: number;
        /** With `to`, in place of `ended`. */
        began?: number;
        /** At the last step: paths that would go on. */
        beyond?: number;
    }[];
    edges: {
        source: number;
        target: number;
        step: number;
        paths: number;
    }[];
    left_out: {
        edges: number;
        paths: number;
    };
}
export interface Step {
    event_collection: string;
    actor_property?: string;
    timeframe?: Timeframe;
    timezone?: Timezone;
    week_start?: "sunday" | "monday";
    filters?: readonly Filter[];
    inverted?: boolean;
    optional?: boolean;
    with_actors?: boolean;
    /** With an order: the actors of the step before that did not do this one. */
    with_dropped?: boolean;
    min_gap?: string;
    max_gap?: string;
}
/** What begins an actor's time, or shows that it is still there. */
export interface ActorEvent {
    event_collection: string;
    filters?: readonly Filter[];
    actor_property?: string;
}
export interface Retained extends Common {
    starting_event: ActorEvent;
    /** If absent, the starting event. */
    returning_event?: ActorEvent;
    /** If absent, the project's preference. */
    actor_property?: string;
    /** Whether ids that are linked are one actor. */
    identity?: Identity;
    timeframe: Timeframe;
    interval: string;
    cohort?: "first_time" | "recurring";
    /** A service by whose defaults to count. */
    counting?: Preset;
    first_in?: "timeframe" | "history";
    period_type?: "calendar" | "rolling";
    periods?: number;
    returned?: "on" | "on_or_after";
    /** Several periods in one number: `[[1, 3], [4, 7]]`. */
    brackets?: readonly (readonly [number, number])[];
    group_by?: Group | readonly [Group];
}
export interface InLifecycle extends Common {
    /** If absent, the project's preference. */
    actor_property?: string;
    /** Whether ids that are linked are one actor. */
    identity?: Identity;
    timeframe: Timeframe;
    interval: string;
    first_in?: "timeframe" | "history";
    group_by?: Group | readonly Group[];
    order_by?: Order | readonly Order[];
    limit?: number;
    zero_fill?: boolean;
}
/** How many actors are in each state. */
export interface States {
    new: number;
    returning: number;
    resurrected: number;
    /** Null: the interval has not begun. */
    dormant: number | null;
}
export type LifecycleResult<P> = Part<P extends {
    group_by: unknown;
} ? (Names<P> & States)[] : States>[];
export interface InStickiness extends Common {
    /** If absent, the project's preference. */
    actor_property?: string;
    /** Whether ids that are linked are one actor. */
    identity?: Identity;
    timeframe: Timeframe;
    interval?: string;
    histogram?: boolean;
    month_days?: 28 | 30;
    round?: number | "none";
}
/** The actors of a day, of its week and of its month, and their ratios; null: the day has not begun. */
export interface ActiveDay {
    dau: number | null;
    wau: number | null;
    mau: number | null;
    dau_wau: number | null;
    dau_mau: number | null;
    wau_mau: number | null;
}
export type StickinessResult<P> = P extends {
    histogram: true;
} ? {
    periods: number;
    result: number;
}[] : Part<ActiveDay>[];
/** A question as saved queries and datasets hold it. */
export type Question = {
    analysis_type: string;
    event_collection?: string;
} & Record<string, unknown>;
export interface Span {
    start: string;
    end: string;
}
export interface Part<Value> {
    timeframe: Span;
    value: Value;
}
type NameOf<G> = G extends string ? G : G extends {
    property_name: infer Name extends string;
} ? Name : G extends {
    session: infer Name extends string;
} ? `session.${Name}` : never;
type Groups<P> = P extends {
    group_by: infer G;
} ? G extends readonly (infer Each)[] ? NameOf<Each> : NameOf<G> : never;
type Names<P> = {
    [Name in Groups<P>]: Json;
};
type Grouped<Value, P> = P extends {
    group_by: Group | readonly Group[];
} ? (Names<P> & {
    result: Value;
})[] : Value;
type Spread<Value, P> = P extends {
    interval: string;
} ? Part<Value>[] : Value;
/** The result of an analysis with these parameters: a value, rows, parts, or rows within parts. */
export type Result<Value, P> = Spread<Grouped<Value, P>, P>;
type Labelled<A> = {
    [Label in keyof A]: A[Label] extends {
        analysis_type: infer M extends Metric;
    } ? Values[M] : Json;
};
/** The result of a multi_analysis: its labels in place of `result`. */
export type MultiResult<P extends Multi> = Spread<P extends {
    group_by: Group | readonly Group[];
} ? (Names<P> & Labelled<P["analyses"]>)[] : Labelled<P["analyses"]>, P>;
/** One named question of several; timeframe, interval and groups are the whole question's. */
export interface OneSeries extends Member {
    event_collection: string;
    analysis_type: Exclude<Metric, "select_unique">;
    filters?: readonly Filter[];
    /** What this collection calls the properties of the question's `group_by`. */
    group_by?: Group | readonly Group[];
}
export interface Several extends Arranged {
    series: Readonly<Record<string, OneSeries>>;
    /** Name → formula: `{ "revenue per visit": "revenue / visits" }`. */
    formulas?: Readonly<Record<string, string>>;
    compare?: "previous_period" | "previous_year" | "same_weekdays" | Timeframe;
    cumulative?: string | readonly string[];
    /** Name → number of intervals. */
    rolling?: Readonly<Record<string, number>>;
    share?: string | readonly string[];
    top?: {
        limit: number;
        by?: string;
        other?: boolean | string;
    };
    fill?: 0 | null | "null" | "previous";
    /** Whether to add how much of the newest intervals has arrived. */
    completeness?: boolean | {
        intervals?: number;
    };
    show?: string | readonly string[];
}
type SeriesValues<P extends Several> = {
    [Label in keyof P["series"]]: number | null;
} & {
    [Label in keyof P["formulas"]]: number | null;
} & {
    [label: string]: Json;
};
type SeriesRows<P extends Several> = P extends {
    group_by: Group | readonly Group[];
} ? (Names<P> & SeriesValues<P>)[] : SeriesValues<P>;
/** Of an interval to which events are still expected: the shares that have arrived, from 0 to 1. */
export interface Completeness {
    timeframe: Span;
    series: Record<string, {
        arrived: number | null;
        least: number | null;
        most: number | null;
        intervals: number;
    }>;
}
/** What values are compared with, and how much they differ. */
export interface Compared<Values> {
    /** Null where an interval has no counterpart. */
    timeframe: Span | null;
    value: Values;
    change: Values;
    change_percent: Values;
}
type SeriesPart<P extends Several> = Part<SeriesRows<P>> & (P extends {
    compare: any;
} ? {
    compare: Compared<SeriesRows<P>>;
} : unknown);
/** The result of series: rows within parts, or without an interval rows or values. */
export type SeriesResult<P extends Several> = P extends {
    interval: string;
} ? SeriesPart<P>[] : SeriesRows<P>;
export interface SeriesAnswer<P extends Several> extends Answer<SeriesResult<P>> {
    /** Of a comparison: without an interval the compared values, with one what no interval is compared with. */
    compare: P extends {
        compare: any;
    } ? P extends {
        interval: string;
    } ? {
        timeframe: Span;
        unmatched: Part<SeriesRows<P>>[];
    } : Compared<SeriesRows<P>> : undefined;
    completeness: P extends {
        completeness: any;
    } ? Completeness[] : undefined;
}
/** A name in a question that leaves it without data. */
export interface QueryWarning {
    code: string;
    parameter: string;
    message: string;
    did_you_mean: string | null;
}
export interface Answer<R> {
    result: R;
    warnings: QueryWarning[];
    /** False where stored events are damaged and the answer is of all others. */
    complete: boolean;
    /** What the server's log calls the request. */
    requestId: string | undefined;
    /** Seconds since the answer was computed, where it was kept. */
    age: number | undefined;
    /** All that was answered, as it came. */
    body: any;
}
export interface FunnelAnswer<R = number[]> extends Answer<R> {
    steps: Step[];
    /** The actors of the steps that asked for them; null for others. */
    actors: (Json[] | null)[] | undefined;
    dropped: (Json[] | null)[] | undefined;
    /** How long the steps took, in seconds. */
    times: FunnelTimes | undefined;
    /** The actor of `explain_actor`: its events, and what stopped it. */
    actor: any;
}
/** The actors that started in one part of the timeframe, and how many of them came back. */
export interface Cohort {
    timeframe: Span;
    size: number;
    /** In period 0, 1, 2 … or in each bracket; null: it has not begun. */
    retained: (number | null)[];
    rates: (number | null)[];
    /** Whether each period goes on, or is cut by the end of the timeframe. */
    unfinished: boolean[];
}
/** All cohorts together, each period over those for which it has ended. */
export interface CohortSummary {
    sizes: number[];
    retained: number[];
    rates: (number | null)[];
}
type OfGroup<Row, P> = P extends {
    group_by: unknown;
} ? Names<P> & Row : Row;
export interface RetentionAnswer<P> extends Answer<OfGroup<Cohort, P>[]> {
    summary: P extends {
        group_by: unknown;
    } ? OfGroup<CohortSummary, P>[] : CohortSummary;
}
export interface Durations {
    count: number;
    average: number | null;
    minimum: number | null;
    median: number | null;
    maximum: number | null;
    percentiles: {
        percentile: number;
        value: number | null;
    }[];
    histogram: {
        from: number | null;
        to: number | null;
        count: number;
    }[];
}
export interface FunnelTimes {
    steps: (Durations | null)[];
    total: Durations;
}
/** The result of a funnel: counts, by group or interval where the question says so. */
export type FunnelCounts<P> = Spread<P extends {
    group_by: string;
} ? (Names<P> & {
    result: number[];
    times?: FunnelTimes;
})[] : number[], P>;
/** An event as an extraction has it. */
export type StoredEvent = {
    [property: string]: any;
} & {
    keen: {
        timestamp: string;
        created_at: string;
        id: string;
        [property: string]: any;
    };
};
/** What a statement of SQL takes beside its text and parameters. */
export interface SqlOptions {
    /** The zone of days and hours, by its IANA name. */
    timezone?: string;
    /** At most so many rows; further ones are left out. */
    limit?: number;
    explain?: boolean;
    signal?: AbortSignal | undefined;
}
export interface SqlAnswer<R> extends Answer<R[]> {
    columns: {
        name: string;
        type: string;
    }[];
    /** Whether rows were left out because a `limit` was given. */
    truncated: boolean;
}
export declare function answerOf<R>({ body, headers }: {
    body: any;
    headers: Headers;
}): Answer<R>;
/** A question's parameters, and the two versions or instants that it is asked about. */
export interface DiffParameters {
    from: string;
    to?: string;
    /** How many events are named for each collection. */
    events?: number;
    [parameter: string]: any;
}
export interface DiffSide {
    version: string;
    instant: string;
    answer: any;
}
export interface Diff {
    from: DiffSide;
    to: DiffSide;
    changes: {
        event_collection: string;
        timeframe: {
            start: string | null;
            end: string | null;
        };
        counts: {
            late: number;
            new: number;
            updated: number;
            erased: number;
        };
        events: {
            kind: "late" | "new" | "updated";
            id: string;
            timestamp: string;
            created_at: string;
        }[];
        truncated: boolean;
    }[];
}
export {};
