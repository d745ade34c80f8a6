import { type Properties } from "./events.js";
import type { CallOptions, Http } from "./http.js";
import { type Outbox, type OutboxOptions } from "./outbox.js";
/** An event that the server will never store. */
export interface Refusal {
    collection: string;
    /** Its place in the list that was given. */
    index: number;
    event: Properties;
    name: string;
    description: string;
}
export interface Outcome {
    stored: number;
    /** How many of these were stored before, by their tokens. */
    duplicates: number;
    refused: Refusal[];
}
/** Send one event; it is stored when this returns. */
export declare function record(http: Http, collection: string, event: Properties, options: CallOptions): Promise<void>;
/** Send many events, in as many requests as they need; one that fails ends it. */
export declare function recordMany(http: Http, events: Readonly<Record<string, readonly Properties[]>>, options: CallOptions): Promise<Outcome>;
export interface SenderOptions {
    /** How long events are gathered before they are sent, in seconds; default 1. */
    flushSeconds?: number;
    /** How many events may wait; what comes then is dropped and told. Default 100,000. */
    queueEventsMax?: number;
    /** Bytes of the events that wait in memory; default 64 MB. */
    queueBytesMax?: number;
    /** How old a queued event may be to be still sent: below the server's ACUMEN_TOKEN_DAYS. Default 30. */
    eventAgeMaxDays?: number;
    /** How long the end of the program waits for the server, in seconds; default 5. */
    exitSeconds?: number;
    /** Told of each event that will never be sent; by default a warning in the console. */
    onDrop?: OutboxOptions["onDrop"];
    /** Told of each try that failed. */
    onTrouble?: OutboxOptions["onTrouble"];
    /** Where events outlive the program, as `openFileStore` makes one. */
    store?: OutboxOptions["store"];
}
/**
 * The queue of a program on Node, Deno, Bun or a server's worker: sent in the background and at its
 * end.
 */
export declare function createSender(http: Http, options: SenderOptions): Outbox;
