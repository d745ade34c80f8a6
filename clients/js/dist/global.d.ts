/** The global `acumen` of a script tag, which takes over the calls that a page's snippet has queued. */
import type { Tracker, TrackerOptions } from "./browser.js";
export interface GlobalAcumen extends Tracker {
    version: string;
    /** Set up the recorder of this page. Calls before it wait for it. */
    init(options: TrackerOptions): void;
}
export declare function expose<Options extends TrackerOptions>(create: (options: Options) => Tracker): void;
