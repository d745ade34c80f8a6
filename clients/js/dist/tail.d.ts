import { type CallOptions, type Http } from "./http.js";
import type { Filter, StoredEvent } from "./questions.js";
export interface TailOptions extends CallOptions {
    filters?: readonly Filter[];
    /** Go on after this event: the `cursor` of an earlier tail. */
    after?: string;
    /** Told when events were left out, because they came faster than they were read. */
    onGap?: (events: number) => void;
    /** Told when the connection begins, and when it broke and is tried again. */
    onState?: (state: "open" | "waiting", error?: Error) => void;
}
/** The events of a collection from now on; an abort of its signal ends it. */
export declare class Tail implements AsyncIterable<StoredEvent> {
    #private;
    /** The place after the last event that was read. */
    cursor: string | undefined;
    constructor(http: Http, collection: string, options: TailOptions);
    [Symbol.asyncIterator](): AsyncGenerator<StoredEvent, void, undefined>;
}
