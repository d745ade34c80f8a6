/** What a browser gives the queue: a database, locks among tabs, requests that outlive the page. */
import { type Answer, type Drop, type Outbox, type Trouble } from "./outbox.js";
import { type Properties, type Source } from "./events.js";
export interface TrackerOptions {
    /** Where Acumen answers: `https://stats.example`. */
    url: string;
    projectId: string;
    writeKey: string;
    /** Properties of every event. */
    properties?: Source | undefined;
    /**
     * Record nothing where the browser asks for it (Do Not Track, Global Privacy Control) until
     * `optIn()`. True.
     */
    respectPrivacySignals?: boolean;
    /** Record nothing before `optIn()`; default false. */
    requireConsent?: boolean;
    /** How long events are gathered before they are sent, in seconds; default 1. */
    flushSeconds?: number;
    /** How many events may wait, in this page and in the browser's database; more are dropped. 10,000. */
    queueEventsMax?: number;
    /** How old a queued event may be to be still sent: below the server's ACUMEN_TOKEN_DAYS. Default 30. */
    eventAgeMaxDays?: number;
    /** Told of each event that will never be sent; by default a warning in the console. */
    onDrop?: (drop: Drop) => void;
    /** Told of each try that failed. */
    onTrouble?: (trouble: Trouble) => void;
}
export interface Tracker {
    /** Record an event: it is queued and sent in the background. Never throws. */
    track(collection: string, properties?: Properties, time?: number): void;
    /** Add properties to every later event; a function is called for each. */
    set(properties: Source): void;
    /** Send what waits; true once nothing is left. */
    flush(): Promise<boolean>;
    /** Record nothing more, forget what waits, and remember that. */
    optOut(): void;
    /** Record, whatever the browser's signals say, and remember that. */
    optIn(): void;
    /** Whether nothing is recorded. */
    readonly optedOut: boolean;
}
/**
 * A text that the browser remembers for this site, or this page where it may not; set where it is
 * given.
 */
export declare function remember(name: string, value?: string): string | undefined;
/** An answer as the queue wants it. */
export declare const answerOf: (response: Response) => Promise<Answer>;
/** The queue of a browser's page or worker. */
export declare function browserOutbox(options: TrackerOptions, allowed: () => boolean): Outbox;
/** A recorder of events in a browser. */
export declare function createTracker(options: TrackerOptions): Tracker;
