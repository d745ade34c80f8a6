/**
 * A queue in a file, for Node, Deno and Bun: events outlive the program, also one that is killed.
 *
 * The file is a journal: a line for each event, and a line for each list of events that have their verdict. A
 * line that a crash or a full disk left unfinished is cut off. One program at a time has the file.
 */
import type { Store } from "./outbox.js";
export interface FileStore extends Store {
    /** Give the file back; what is in it waits for the next program. */
    close(): Promise<void>;
}
export interface FileStoreOptions {
    /** How many events the file may hold; default 1,000,000. */
    eventsMax?: number;
}
/** Open the queue of this file; fails while another running program has it. */
export declare function openFileStore(path: string, options?: FileStoreOptions): Promise<FileStore>;
