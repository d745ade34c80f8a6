/** The script of a page that records events by itself: page views, clicks, forms, web vitals. */
import { autoTrack, type AutoOptions } from "./autotrack.ts";
import { createTracker, type TrackerOptions } from "./browser.ts";
import { expose } from "./global.ts";

expose((options: TrackerOptions & { auto?: AutoOptions | false }) => {
  const tracker = createTracker(options);
  if (options.auto !== false) autoTrack(tracker, options.auto);
  return tracker;
});
