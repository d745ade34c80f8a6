/** The script of a page that records events: the global `acumen`. */
import { createTracker } from "./browser.ts";
import { expose } from "./global.ts";

expose(createTracker);
