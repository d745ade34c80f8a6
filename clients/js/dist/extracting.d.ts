import { type CallOptions, type Http } from "./http.js";
import type { Extraction, StoredEvent } from "./questions.js";
export interface ExtractOptions extends CallOptions {
    /** How far the file is, while the server makes it. */
    onProgress?: (progress: {
        events: number;
        of: number | null;
    }) => void;
}
/** The events, one by one. */
export declare function extract(http: Http, question: Extraction & {
    event_collection: string;
}, options: ExtractOptions): AsyncGenerator<StoredEvent, void, undefined>;
/** The lines of a stream of UTF-8; the last one too, if it has no end. */
export declare function lines(stream: ReadableStream<Uint8Array>): AsyncGenerator<string, void, undefined>;
