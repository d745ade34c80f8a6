/**
 * The queue of recorded events and its sender, the same on every platform.
 *
 * An event stays in the queue until the server has given its verdict. Whatever is sent twice on the way
 * (after an answer that got lost, by two tabs at once) is stored once, by the event's uniqueness token. The
 * server keeps a token for 31 days unless its operator chose another time, so an event that waited longer is
 * reported, not sent.
 */
/** An event as it waits: its JSON text, made when it was recorded. */
export interface Entry {
    /** Collection. */
    c: string;
    /** The event's JSON. */
    e: string;
    /** When it was recorded, in milliseconds since 1970. */
    t: number;
}
/** Where entries outlive the process. All calls may fail: an entry that is not kept stays in memory. */
export interface Store {
    /** Keep an entry; its key, or null where the store is full. */
    add(entry: Entry): Promise<IDBValidKey | null>;
    /** The oldest entries with their keys, `max` at most. */
    read(max: number): Promise<[IDBValidKey, Entry][]>;
    remove(keys: IDBValidKey[]): Promise<void>;
}
export interface Answer {
    status: number;
    /** The body, parsed; undefined where it is no JSON. */
    json: any;
    /** Milliseconds that the server asks to wait. */
    wait?: number | undefined;
}
export type DropReason = "refused" | "too_large" | "expired" | "queue_full" | "not_json" | "closed";
/** An event that will never be sent, and why. */
export interface Drop {
    reason: DropReason;
    message: string;
    collection: string;
    /** The event as it would have been sent; null where it has no JSON. */
    event: any;
}
/** What keeps events from being sent for now: they are kept and sent later. */
export interface Trouble {
    /** HTTP status, 0 where no answer came. */
    status: number;
    code: string;
    message: string;
}
export interface OutboxOptions {
    post(body: string, bytes: number, leaving: boolean): Promise<Answer>;
    store?: Promise<Store | undefined> | undefined;
    /** Run the job while no other tab runs one. */
    exclusive?: (job: () => Promise<void>) => Promise<void>;
    /** Until when nothing may be sent: read, or set where it is given. Shared by tabs. */
    hold?: (until?: number) => number;
    /** Whether events may be sent at all. */
    allowed?: () => boolean;
    queueEventsMax: number;
    queueBytesMax: number;
    batchBytesMax: number;
    batchEventsMax: number;
    eventAgeMaxDays: number;
    flushSeconds: number;
    onDrop: (drop: Drop) => void;
    onTrouble: (trouble: Trouble) => void;
}
export interface Outbox {
    /** Queue an event; never throws. */
    add(collection: string, make: () => object): void;
    /** Send what waits, unless the server asked to wait; true where nothing is left. */
    flush(): Promise<boolean>;
    /** Send, as a page that goes away, what has had no answer yet. */
    leave(): void;
    /** Forget all events; whether none was recorded meanwhile. */
    clear(): Promise<boolean>;
    /** Look for events at once, though the last try found no network. */
    wake(): void;
    /**
     * Flush until nothing is left or the time is over; what is left then is reported, unless it is
     * stored.
     */
    close(milliseconds: number): Promise<void>;
}
export declare const bytesOf: (text: string) => number;
export declare function createOutbox(options: OutboxOptions): Outbox;
