// Elements made by hand: user text only ever becomes text nodes, and no style stands in an attribute.

type Child = Node | string | null | undefined | false;
type Values = Record<string, string | number | boolean | null | undefined | ((event: never) => void)>;

/** An element with attributes; `on…` are listeners, and null, undefined and false are left out. */
export function el<K extends keyof HTMLElementTagNameMap>(
  name: K,
  values: Values = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(values)) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") made.addEventListener(key.slice(2), value as EventListener);
    else made.setAttribute(key, value === true ? "" : String(value));
  }
  made.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return made;
}

const SVG = "http://www.w3.org/2000/svg";

/** A picture of 16 pixels, drawn with lines. */
export function icon(d: string): SVGSVGElement {
  const svg = document.createElementNS(SVG, "svg");
  const path = document.createElementNS(SVG, "path");
  for (const [key, value] of Object.entries({
    viewBox: "0 0 16 16",
    width: "16",
    height: "16",
    fill: "none",
  }))
    svg.setAttribute(key, value);
  svg.setAttribute("aria-hidden", "true");
  const stroke = { d, stroke: "currentColor", "stroke-width": "1.5", "stroke-linecap": "round" };
  for (const [key, value] of Object.entries({ ...stroke, "stroke-linejoin": "round" }))
    path.setAttribute(key, value);
  svg.append(path);
  return svg;
}

export const ICONS = {
  table: "M2 3.5h12v9H2zM2 6.8h12M6.5 6.8v5.7",
  chart: "M2.5 13.5h11M4 11V7.5M8 11V3M12 11V6",
  download: "M8 2v7.5M4.8 6.6 8 9.8l3.2-3.2M2.5 13.5h11",
  refresh: "M13 8a5 5 0 1 1-1.6-3.7M13 2.5V5h-2.5",
};

interface Policy {
  createHTML(text: string): string;
}
let policy: Policy | null | undefined;

/** SVG that the drawing made, in which every text is escaped, as an element. */
export function svgElement(text: string): SVGSVGElement {
  if (policy === undefined) {
    const types = (globalThis as { trustedTypes?: { createPolicy(name: string, rules: Policy): Policy } })
      .trustedTypes;
    try {
      policy = types?.createPolicy("acumen-charts", { createHTML: (made) => made }) ?? null;
    } catch {
      policy = null;
    }
  }
  const parsed = new DOMParser().parseFromString(policy ? policy.createHTML(text) : text, "image/svg+xml");
  return document.importNode(parsed.documentElement, true) as unknown as SVGSVGElement;
}

/** Width and height of an element, to compare. */
export const sizeOf = ({ clientWidth, clientHeight }: Pick<Element, "clientWidth" | "clientHeight">): string => `${clientWidth}x${clientHeight}`;

/** Call when the browser has nothing more urgent to do, but within a second. */
export function idle(call: () => void): void {
  if ("requestIdleCallback" in globalThis) requestIdleCallback(call, { timeout: 1000 });
  else setTimeout(call, 100);
}

/** Offer the content as a file. */
export function download(content: Blob, name: string): void {
  const address = URL.createObjectURL(content);
  el("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}
