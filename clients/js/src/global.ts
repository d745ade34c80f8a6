/** The global `acumen` of a script tag, which takes over the calls that a page's snippet has queued. */
import type { Tracker, TrackerOptions } from "./browser.ts";
import { VERSION } from "./version.ts";

export interface GlobalAcumen extends Tracker {
  version: string;
  /** Set up the recorder of this page. Calls before it wait for it. */
  init(options: TrackerOptions): void;
}

type Call = [name: string, values: any[], time: number];

export function expose<Options extends TrackerOptions>(create: (options: Options) => Tracker): void {
  const scope = globalThis as { acumen?: any };
  const stub = scope.acumen ?? {};
  if (stub.version) return;
  let tracker: Tracker | undefined;
  let early: Call[] = [];

  const call = ([name, values, time]: Call): unknown => {
    if (name === "init") {
      if (!tracker) {
        tracker = create(values[0]);
        early.splice(0).forEach(call);
      }
      return undefined;
    }
    if (!tracker) return void early.push([name, values, time]);
    return name === "track"
      ? tracker.track(values[0], values[1], values[2] ?? time)
      : (tracker as any)[name](...values);
  };

  scope.acumen = stub;
  stub.version = VERSION;
  for (const name of ["init", "track", "set", "flush", "optOut", "optIn"]) {
    stub[name] = (...values: any[]) => call([name, values, Date.now()]);
  }
  Object.defineProperty(stub, "optedOut", { get: () => tracker?.optedOut });
  (stub.q ?? []).forEach(call);
  delete stub.q;
}
