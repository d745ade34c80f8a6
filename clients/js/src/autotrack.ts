/**
 * Recording by itself what happens in a page. Collections and properties are those of keen-tracking's
 * auto-tracking (`pageviews`, `clicks`, `form_submissions`), so that questions go on as they are; beside them
 * `session`, `utm` and the collection `web_vitals`. What a visitor types is never looked at.
 */
import { remember, type Tracker } from "./browser.ts";
import { randomDigits, type Properties } from "./events.ts";
import { VERSION } from "./version.ts";

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

const CLICKED = "a,button,[role=button],input[type=submit],input[type=button],[data-event-key]";
const IGNORED = "[data-acumen-ignore]";
const UTM = ["source", "medium", "campaign", "term", "content"];
const TEXT_MAX = 200;

const cut = (text: string | null | undefined): string | undefined =>
  text?.trim().replace(/\s+/g, " ").slice(0, TEXT_MAX) || undefined;

/** ISO 8601 with the offset of this place. */
function localTime(): string {
  const now = new Date();
  const minutes = -now.getTimezoneOffset();
  const two = (number: number): string => (100 + number + "").slice(1);
  const far = Math.abs(minutes);
  const zone = (minutes < 0 ? "-" : "+") + two((far / 60) | 0) + ":" + two(far % 60);
  return new Date(+now + minutes * 6e4).toISOString().replace("Z", zone);
}

/** Where an element stands in its page, as a selector. */
function pathOf(element: Element): string {
  const path: string[] = [];
  for (let at: Element | null = element; at && at !== document.documentElement; at = at.parentElement) {
    const name = at.nodeName.toLowerCase();
    if (at.id) {
      path.unshift(name + "#" + at.id);
      break;
    }
    const alike = [...(at.parentElement?.children ?? [])].filter((other) => other.nodeName === at!.nodeName);
    path.unshift(alike.length > 1 ? `${name}:nth-of-type(${alike.indexOf(at) + 1})` : name);
  }
  return path.join(" > ");
}

function elementOf(element: any): Properties {
  const attribute = (name: string): string | undefined =>
    element.closest(`[${name}]`)?.getAttribute(name) || undefined;
  const typed = /^(INPUT|TEXTAREA|SELECT|FORM)$/.test(element.nodeName) || element.isContentEditable;
  return {
    node_name: element.nodeName,
    selector: pathOf(element),
    id: attribute("id"),
    class: element.getAttribute("class") || undefined,
    name: attribute("name"),
    title: attribute("title"),
    type: element.getAttribute("type") || undefined,
    event_key: attribute("data-event-key"),
    href: element.closest("a[href]")?.href,
    text: typed ? undefined : cut(element.textContent),
  };
}

/** How far the page was seen, in pixels and as a part. */
function scrolling(): () => Properties {
  let deepest = 0;
  const look = (): Properties => {
    const height = document.documentElement.scrollHeight || 1;
    deepest = Math.max(deepest, Math.min(height, Math.round(scrollY + innerHeight)));
    return {
      pixel: Math.round(scrollY),
      pixel_max: deepest,
      ratio_max: Math.round((100 * deepest) / height) / 100,
    };
  };
  addEventListener("scroll", look, { passive: true });
  return look;
}

/** The visit, kept for all tabs: it ends with half an hour without an event. */
function session(minutes: number): () => Properties {
  return () => {
    const now = Date.now();
    let [id, start, last] = (remember("session") ?? "").split(" ");
    if (!id || !(now - +last! < minutes * 6e4)) [id, start] = [randomDigits(), now + ""];
    remember("session", [id, start, now].join(" "));
    return { id, start: new Date(+start!).toISOString(), seconds: Math.round((now - +start!) / 1e3) };
  };
}

function visitor(): { uuid: string; is_new: boolean } {
  const before = remember("uuid");
  const uuid = before ?? randomDigits();
  if (!before) remember("uuid", uuid);
  return { uuid, is_new: !before };
}

/** Largest paint, layout shift, slowest interaction and first answers, as the browser measures them. */
function vitals(report: (found: Properties) => void): void {
  const found: Record<string, number> = {};
  let shift = 0;
  let from = 0;
  let until = 0;
  const slowest: Record<string, number> = {};
  const observers: PerformanceObserver[] = [];
  const observe = (type: string, each: (entry: any) => void, more?: object): void => {
    try {
      const observer = new PerformanceObserver((list) => list.getEntries().forEach(each));
      observer.observe({ type, buffered: true, ...more });
      observers.push(observer);
      takers.push(() => observer.takeRecords().forEach(each));
    } catch {
      // Not measured by this browser.
    }
  };
  const takers: (() => void)[] = [];
  observe("navigation", (entry) => (found.ttfb = entry.responseStart));
  observe("paint", (entry) => entry.name === "first-contentful-paint" && (found.fcp = entry.startTime));
  observe("largest-contentful-paint", (entry) => (found.lcp = entry.startTime));
  observe("layout-shift", (entry) => {
    if (entry.hadRecentInput) return;
    // The worst burst: shifts less than a second apart, five seconds at most.
    const goes = entry.startTime - until < 1e3 && entry.startTime - from < 5e3;
    if (!goes) [shift, from] = [0, entry.startTime];
    until = entry.startTime;
    shift += entry.value;
    found.cls = Math.max(found.cls ?? 0, shift);
  });
  const interaction = (entry: any): void => {
    if (!entry.interactionId) return;
    slowest[entry.interactionId] = Math.max(slowest[entry.interactionId] ?? 0, entry.duration);
    const all = Object.values(slowest).sort((a, b) => b - a);
    found.inp = all[Math.min(all.length - 1, (all.length / 50) | 0)]!;
  };
  observe("event", interaction, { durationThreshold: 40 });
  observe("first-input", interaction);
  let told = false;
  const tell = (): void => {
    if (told || document.visibilityState !== "hidden") return;
    told = true;
    takers.forEach((take) => take());
    observers.forEach((observer) => observer.disconnect());
    if (found.fcp !== undefined) found.cls ??= 0;
    for (const [name, value] of Object.entries(found)) found[name] = Math.round(value * 1e4) / 1e4;
    if (Object.keys(found).length) report(found);
  };
  // In the capturing phase of the document: before the queue sends what it has.
  document.addEventListener("visibilitychange", tell, true);
}

/** The parameters by which campaigns name themselves. */
function campaign(address: string): Properties {
  const query = new URL(address).searchParams;
  return Object.fromEntries(
    UTM.flatMap((name) => (query.get("utm_" + name) ? [[name, query.get("utm_" + name)]] : [])),
  );
}

/** Call back after each change of the address, as single-page apps make them. */
function addressChanges(changed: () => void): void {
  const later = (): unknown => setTimeout(changed);
  const { navigation } = globalThis as { navigation?: EventTarget };
  if (navigation) return navigation.addEventListener("currententrychange", later);
  for (const name of ["pushState", "replaceState"] as const) {
    const original = history[name];
    history[name] = function (...values) {
      original.apply(this, values);
      later();
    };
  }
  addEventListener("popstate", later);
}

const addon = (name: string, input: Properties, output: string): Properties => ({
  name: "keen:" + name,
  input,
  output,
});

/** Record by itself, with this tracker, from now on. */
export function autoTrack(tracker: Tracker, options: AutoOptions = {}): void {
  const on = (name: keyof AutoOptions): boolean => options[name] !== false;
  let began = Date.now();
  let address = location.href;
  let referrer = document.referrer;
  let ids: (() => Properties) | undefined;
  const scroll = scrolling();
  const addons = [
    addon("ua_parser", { ua_string: "user_agent" }, "tech"),
    addon("url_parser", { url: "url.full" }, "url.info"),
    addon("url_parser", { url: "referrer.full" }, "referrer.info"),
    addon("referrer_parser", { referrer_url: "referrer.full", page_url: "url.full" }, "referrer.from"),
    addon("date_time_parser", { date_time: "keen.timestamp" }, "time.utc"),
    addon("date_time_parser", { date_time: "local_time_full" }, "time.local"),
    addon("ip_to_geo", { ip: "ip_address", remove_ip_property: !on("ipAddress") }, "geo"),
  ];

  const identify = (): (() => Properties) => {
    const user = visitor();
    const visit = session(options.sessionMinutes ?? 30);
    return () => ({ user: { ...user }, session: visit() });
  };

  /** Made for each event while tracking is allowed: nothing is put into the browser before. */
  const context = (): Properties => {
    const milliseconds = Date.now() - began;
    const initial = on("ids") ? (remember("referrer") ?? remember("referrer", referrer || " ")) : undefined;
    return {
      tracked_by: "acumen-client-" + VERSION,
      local_time_full: localTime(),
      ip_address: "${keen.ip}",
      user_agent: "${keen.user_agent}",
      ...(on("ids") && (ids ??= identify())()),
      page: {
        title: document.title,
        description: document.querySelector<HTMLMetaElement>("meta[name=description]")?.content,
        scroll_state: scroll(),
        time_on_page: Math.round(milliseconds / 1e3),
        time_on_page_ms: milliseconds,
      },
      url: { full: address },
      referrer: { full: referrer || undefined, initial: initial?.trim() || undefined },
      utm: campaign(address),
      tech: {
        profile: {
          language: navigator.language,
          screen: { width: screen.width, height: screen.height },
          window: { width: innerWidth, height: innerHeight, ratio: devicePixelRatio },
        },
      },
      keen: { addons },
    };
  };
  tracker.set(context);

  const listen = (type: string, each: (target: Element) => void): void =>
    document.addEventListener(
      type,
      ({ target }) => target instanceof Element && !target.closest(IGNORED) && each(target),
      true,
    );

  if (on("webVitals")) vitals((found) => tracker.track("web_vitals", { vitals: found }));
  if (on("clicks")) {
    listen("click", (target) => {
      const element = target.closest(CLICKED);
      if (element) tracker.track("clicks", { element: elementOf(element) });
    });
  }
  if (on("forms")) {
    listen("submit", (target) => {
      // Read as attributes: a form's own fields may be named "action" or "method".
      const form = target as HTMLFormElement;
      const action = new URL(form.getAttribute("action") ?? "", document.baseURI);
      action.search = action.hash = "";
      const fields = [...new Set(new FormData(form).keys())];
      tracker.track("form_submissions", {
        form: { action: action.href, method: (form.getAttribute("method") ?? "get").toLowerCase(), fields },
        element: elementOf(form),
      });
    });
  }
  if (on("pageViews")) {
    const page = (full: string): string => (options.hash ? full : full.split("#")[0]!);
    // After `set()` calls that stand right behind `init()`.
    const loaded = Date.now();
    queueMicrotask(() => tracker.track("pageviews", {}, loaded));
    const { optIn } = tracker;
    tracker.optIn = () => {
      const unseen = tracker.optedOut;
      optIn();
      if (unseen) tracker.track("pageviews");
    };
    addressChanges(() => {
      if (page(location.href) === page(address)) return;
      [referrer, address, began] = [address, location.href, Date.now()];
      tracker.track("pageviews");
    });
  }
}
