export type Theme = Record<string, string>;
/** The built-in themes; each key is the custom property `--acumen-KEY`. */
export declare const themes: Record<string, Theme>;
/** How many colours series have before they begin again. */
export declare const SERIES_COLORS = 8;
/** A brand colour is both that of the first series and that of single ones: either stands for the other. */
export declare const TWINS: Record<string, string>;
export interface Paint {
    color(name: string): string;
    /** `text` or `on-accent`, whichever is read better on a colour that covers the background so far. */
    over(color: string, opacity: number): string;
}
/** From a theme to what stands in attributes. */
export declare function painter(theme: string | Record<string, string> | undefined, resolve: boolean): Paint;
