// Attributes and the properties of the same names.
import { isZone } from "../time.ts";
import { TEXTS, type Texts } from "./texts.ts";

function camel(name: string): string {
  return name.replace(/-(\w)/g, (_, letter: string) => letter.toUpperCase());
}

/** Define a property for each attribute; objects are written as JSON, those in `json` are read as objects. */
export function reflect(type: { prototype: HTMLElement }, attributes: string[], json: string[]): void {
  for (const attribute of attributes) {
    if (attribute === "title") continue;
    Object.defineProperty(type.prototype, camel(attribute), {
      configurable: true,
      enumerable: true,
      get(this: HTMLElement) {
        const text = this.getAttribute(attribute);
        return json.includes(attribute) ? parsed(text) : text;
      },
      set(this: HTMLElement, value: unknown) {
        if (value === null || value === undefined) this.removeAttribute(attribute);
        else this.setAttribute(attribute, typeof value === "object" ? JSON.stringify(value) : String(value));
      },
    });
  }
}

/** What was set as a property before the element was defined is set again, as a property. */
export function upgrade(element: HTMLElement, attributes: string[]): void {
  for (const name of attributes.map(camel)) {
    if (!Object.hasOwn(element, name)) continue;
    const value = (element as unknown as Record<string, unknown>)[name];
    delete (element as unknown as Record<string, unknown>)[name];
    (element as unknown as Record<string, unknown>)[name] = value;
  }
}

/** JSON where the text is some, else the text itself. */
export function parsed(text: string | null): unknown {
  if (text === null) return null;
  if (!/^\s*[[{"]/.test(text)) return text;
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** What attributes take that is no JSON, and in words. */
const TAKEN: Record<string, [RegExp | null, string]> = {
  theme: [/^(light|dark|auto)$/, "light, dark, auto"],
  format: [/^(number|percent|duration|bytes|[A-Z]{3})$/, "percent, duration, bytes, EUR, JSON"],
  controls: [/^\s*((timeframe|interval|filter:\S+)(\s+|$))*$/, "timeframe, interval, filter:NAME, JSON"],
  timezone: [/^[+-]?\d[\d:]*$/, "Europe/Berlin, 7200"],
  options: [null, "JSON"],
  filters: [null, "JSON"],
};
const warned = new Set<string>();

/** Say on the console, once, that a value means nothing. */
export function warn(name: string, value: string, taken: string): void {
  const text = `acumen-charts: ${name}="${value}" is ignored; it takes ${taken}`;
  if (!warned.has(text)) console.warn(text);
  warned.add(text);
}

/** The texts with these words in place of their own. */
export function worded(words: Partial<Texts>): Texts {
  for (const name in words) if (!(name in TEXTS)) warn("words", name, "the names of TEXTS");
  return { ...TEXTS, ...words };
}

/** Warn of an attribute whose value means nothing. */
export function check(name: string, text: string | null): void {
  const value = parsed(text);
  const [pattern, taken] = TAKEN[name] ?? [];
  if (!taken || !text || typeof value !== "string" || pattern?.test(value)) return;
  if (name === "timezone" && isZone(value)) return;
  warn(name, value, taken);
}

/** A number of the attribute above zero; null for none. */
export function positive(text: string | null): number | null {
  const number = Number.parseFloat(text ?? "");
  return number > 0 ? number : null;
}

/** The language that an element around this one says, also outside of the shadow trees that it is in. */
function languageAround(element: Element): string | null {
  const said = element.closest("[lang]")?.getAttribute("lang");
  const root = said ? null : element.getRootNode();
  return root instanceof ShadowRoot ? languageAround(root.host) : (said ?? null);
}

/** The language of the attribute, of the page, or of the browser. */
export function localeOf(element: HTMLElement): string {
  const said = element.getAttribute("locale") ?? languageAround(element);
  try {
    return Intl.getCanonicalLocales(said || navigator.language)[0] ?? "en";
  } catch {
    return "en";
  }
}

/** Calls at a pace, with a jitter of a tenth; not while the page is hidden, but when it is seen again. */
export class Pacer {
  #timer = 0;
  #seconds: number | null = null;
  #overdue = false;
  #failures = 0;
  readonly #back = () => this.call();
  readonly #seen = () => {
    if (document.visibilityState === "visible" && this.#overdue) this.#run();
  };

  constructor(private readonly call: () => void) {}

  /**
   * Call again after so many seconds. Without them, where a failure may pass by itself `after` so many: in
   * ever longer ones, and when the browser is online again.
   */
  next(seconds: number | null, after: number | null): void {
    const failed = after !== null;
    this.#failures = failed ? this.#failures + 1 : 0;
    this.start(seconds ?? (failed ? Math.max(after, Math.min(60, 2.5 * 2 ** this.#failures)) : null));
    if (failed) addEventListener("online", this.#back, { once: true });
  }

  start(seconds: number | null): void {
    this.stop();
    this.#seconds = seconds;
    if (seconds === null) return;
    document.addEventListener("visibilitychange", this.#seen);
    const wait = Math.min(2 ** 31 - 1, Math.max(1, seconds) * 1000 * (0.95 + Math.random() / 10));
    this.#timer = window.setTimeout(() => this.#run(), wait);
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#overdue = false;
    removeEventListener("online", this.#back);
    document.removeEventListener("visibilitychange", this.#seen);
  }

  #run(): void {
    if (document.visibilityState === "hidden") {
      this.#overdue = true;
      return;
    }
    this.start(this.#seconds);
    this.call();
  }
}
