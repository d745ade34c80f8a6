/**
 * Recording by itself what happens in a page. Collections and properties are those of keen-tracking's
 * auto-tracking (`pageviews`, `clicks`, `form_submissions`), so that questions go on as they are; beside them
 * `session`, `utm` and the collection `web_vitals`. What a visitor types is never looked at.
 */
import { type Tracker } from "./browser.js";
export interface AutoOptions {
    /** Each default is true. */
    pageViews?: boolean;
    clicks?: boolean;
    forms?: boolean;
    webVitals?: boolean;
    /** Whether the address of the visitor is kept beside the place that is found by it; default true. */
    ipAddress?: boolean;
    /**
     * Whether visitors have an id in this browser, `user.uuid`, and visits have one, `session.id`;
     * default true.
     */
    ids?: boolean;
    /** Whether addresses that differ behind the # alone are pages of their own; default false. */
    hash?: boolean;
    /** Minutes without an event after which a visit is over; default 30. */
    sessionMinutes?: number;
}
/** Record by itself, with this tracker, from now on. */
export declare function autoTrack(tracker: Tracker, options?: AutoOptions): void;
