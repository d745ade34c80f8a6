// Colours by name: custom properties in a browser, values where nothing knows CSS.
import { isColor } from "./settings.ts";

export type Theme = Record<string, string>;

const FONT =
  "Inter, ui-sans-serif, system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif";

const light: Theme = {
  background: "#ffffff",
  text: "#1a202c",
  muted: "#5b6472",
  grid: "#e8eaee",
  axis: "#a9b0bb",
  track: "#eceef2",
  accent: "#2f62d9",
  "on-accent": "#ffffff",
  positive: "#1a7f4b",
  negative: "#c02c38",
  "series-1": "#2f62d9",
  "series-2": "#e8590c",
  "series-3": "#2b7a66",
  "series-4": "#be5aaf",
  "series-5": "#887afa",
  "series-6": "#2a9f60",
  "series-7": "#7b4904",
  "series-8": "#7d1420",
  "series-other": "#858d99",
  font: FONT,
};

const dark: Theme = {
  background: "#14171c",
  text: "#eceef2",
  muted: "#a2abb9",
  grid: "#282d36",
  axis: "#5c6573",
  track: "#2a303a",
  accent: "#5ea8f7",
  "on-accent": "#0c1420",
  positive: "#4cc38a",
  negative: "#ff8087",
  "series-1": "#5ea8f7",
  "series-2": "#e8502a",
  "series-3": "#2fe0c4",
  "series-4": "#c04ba3",
  "series-5": "#7a68ee",
  "series-6": "#9bb83a",
  "series-7": "#f2dd3e",
  "series-8": "#e695a3",
  "series-other": "#7d8795",
  font: FONT,
};

/** The built-in themes; each key is the custom property `--acumen-KEY`. */
export const themes: Record<string, Theme> = { light, dark };

/** How many colours series have before they begin again. */
export const SERIES_COLORS = 8;

function isFont(value: unknown): value is string {
  return typeof value === "string" && value.length <= 300 && /^[\w\s,.'"\p{L}-]+$/u.test(value);
}

/** A brand colour is both that of the first series and that of single ones: either stands for the other. */
export const TWINS: Record<string, string> = { accent: "series-1", "series-1": "accent" };

/** A theme by name, or light (`base`: "dark") with values of one's own; what is no colour is passed over. */
function themeOf(theme: string | Record<string, string> | undefined): Theme {
  if (typeof theme !== "object" || theme === null)
    return Object.hasOwn(themes, theme ?? "light") ? themes[theme ?? "light"] : light;
  const own: Theme = {};
  for (const [key, value] of Object.entries(theme)) {
    const name = key.replace(/^--/, "").replace(/^acumen-/, "");
    if (name === "font" ? isFont(value) : isColor(value)) own[name] = value;
  }
  const base = theme.base === "dark" ? dark : light;
  // a brand colour is both that of the first series and of the single ones
  const accent: Theme = own.accent && !own["series-1"] ? { "series-1": own.accent } : {};
  const first: Theme = own["series-1"] && !own.accent ? { accent: own["series-1"] } : {};
  return { ...base, ...accent, ...first, ...own };
}

function channels(color: string): number[] | null {
  const short = /^#([\da-f])([\da-f])([\da-f])$/i.exec(color);
  const long = short ?? /^#([\da-f]{2})([\da-f]{2})([\da-f]{2})$/i.exec(color);
  return long ? long.slice(1).map((part) => parseInt(short ? part + part : part, 16) / 255) : null;
}

function luminance(parts: number[]): number {
  const [r, g, b] = parts.map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

export interface Paint {
  color(name: string): string;
  /** `text` or `on-accent`, whichever is read better on a colour that covers the background so far. */
  over(color: string, opacity: number): string;
}

/** From a theme to what stands in attributes. */
export function painter(theme: string | Record<string, string> | undefined, resolve: boolean): Paint {
  const values = themeOf(theme);
  const contrast = (one: number[], other: number[]) => {
    const [low, high] = [luminance(one), luminance(other)].sort((a, b) => a - b);
    return (high + 0.05) / (low + 0.05);
  };
  return {
    color: (name) => {
      if (resolve || !(name in values)) return values[name] ?? name;
      const twin = TWINS[name];
      return `var(--acumen-${name}, ${twin ? `var(--acumen-${twin}, ${values[name]})` : values[name]})`;
    },
    over(color, opacity) {
      const [top, under, dark, light] = [
        color in values ? values[color] : color,
        values.background,
        values.text,
        values["on-accent"],
      ].map(channels);
      if (!top || !under || !dark || !light) return opacity > 0.65 ? "on-accent" : "text";
      const mixed = top.map((part, index) => part * opacity + under[index] * (1 - opacity));
      return contrast(mixed, dark) >= contrast(mixed, light) ? "text" : "on-accent";
    },
  };
}
