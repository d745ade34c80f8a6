// Colours by name: custom properties in a browser, values where nothing knows CSS.
import { isColor } from "./settings.ts";

export type Theme = Record<string, string>;

const FONT = "Inter, ui-sans-serif, system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif";

const light: Theme = {
  background: "#ffffff", text: "#1a202c", muted: "#5b6472", grid: "#e8eaee", axis: "#a9b0bb", track: "#eceef2",
  accent: "#2f62d9", "on-accent": "#ffffff", positive: "#1a7f4b", negative: "#c02c38",
  "series-1": "#2f62d9", "series-2": "#e8590c", "series-3": "#0f857a", "series-4": "#b5429f",
  "series-5": "#8f6af0", "series-6": "#2f9e44", "series-7": "#8a6100", "series-8": "#9b1c1c", "series-other": "#858d99",
  font: FONT,
};

const dark: Theme = {
  background: "#14171c", text: "#eceef2", muted: "#a2abb9", grid: "#282d36", axis: "#5c6573", track: "#2a303a",
  accent: "#5ea8f7", "on-accent": "#0c1420", positive: "#4cc38a", negative: "#ff8087",
  "series-1": "#5ea8f7", "series-2": "#f0762f", "series-3": "#2fd6b5", "series-4": "#c95bb8",
  "series-5": "#9a80f5", "series-6": "#94bd3c", "series-7": "#e8c22e", "series-8": "#e3a3ab", "series-other": "#7d8795",
  font: FONT,
};

/** The built-in themes; each key is the custom property `--acumen-KEY`. */
export const themes: Record<string, Theme> = { light, dark };

/** How many colours series have before they begin again. */
export const SERIES_COLORS = 8;

function isFont(value: unknown): value is string {
  return typeof value === "string" && value.length <= 300 && /^[\w\s,.'"\p{L}-]+$/u.test(value);
}

/** A theme by name, or light (or `base`: "dark") with values of one's own; what is no colour is passed over. */
function themeOf(theme: string | Record<string, string> | undefined): Theme {
  if (typeof theme !== "object" || theme === null) return Object.hasOwn(themes, theme ?? "light") ? themes[theme ?? "light"] : light;
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

/** From a theme to what stands in attributes. */
export function painter(theme: string | Record<string, string> | undefined, resolve: boolean): (name: string) => string {
  const values = themeOf(theme);
  return (name) => (resolve ? values[name] ?? name : name in values ? `var(--acumen-${name}, ${values[name]})` : name);
}
