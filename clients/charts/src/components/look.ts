// The theme in force: light or dark, and the custom properties that a page sets.
import { themes } from "../theme.ts";

const DARK = "(prefers-color-scheme: dark)";

export function isDark(element: HTMLElement): boolean {
  const said = element.getAttribute("theme");
  if (said === "dark" || said === "light") return said === "dark";
  return matchMedia(DARK).matches;
}

/** Call when the visitor's preference changes; gives back what ends it. */
export function watchScheme(call: () => void): () => void {
  const query = matchMedia(DARK);
  query.addEventListener("change", call);
  return () => query.removeEventListener("change", call);
}

/** Values for drawings: the built-in theme, with what the page sets for the element. */
export function themeFor(element: HTMLElement): Record<string, string> {
  const style = getComputedStyle(element);
  const base = isDark(element) ? "dark" : "light";
  const values: Record<string, string> = { base };
  for (const name of Object.keys(themes[base])) {
    const value = style.getPropertyValue(`--acumen-${name}`).trim();
    if (value) values[name] = value;
  }
  return values;
}

type Measure = (text: string, size: number, bold: boolean) => number;

let context: CanvasRenderingContext2D | null | undefined;
const measures = new Map<string, Measure>();

/** Widths of texts in a font, shared by all charts of the page. */
export function measureFor(family: string): Measure {
  let measure = measures.get(family);
  if (!measure) measures.set(family, (measure = measuring(family)));
  return measure;
}

/** Measure anew: a font has come that stands in for another now. */
export function forgetWidths(): void {
  measures.clear();
}

function measuring(family: string): Measure {
  context ??= document.createElement("canvas").getContext("2d");
  const widths = new Map<string, number>();
  return (text, size, bold) => {
    const key = `${bold ? 1 : 0}${text}`;
    let width = widths.get(key);
    if (width === undefined) {
      if (widths.size > 5000) widths.clear();
      if (!context) return text.length * size * 0.6;
      // of a large font, since widths of small ones are rounded in some browsers
      context.font = `${bold ? 600 : 400} 100px ${family}`;
      width = context.measureText(text).width / 100;
      widths.set(key, width);
    }
    return width * size;
  };
}
