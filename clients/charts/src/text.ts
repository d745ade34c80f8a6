// Widths of texts in Inter, and cutting texts to a width, without a browser.
import { RANGES, REGULAR, SEMIBOLD } from "./advances.ts";
import type { Measure } from "./types.ts";

type Table = Map<number, number>;

function table(letters: string): Table {
  const widths: Table = new Map();
  let at = 0;
  for (const [first, last] of RANGES) {
    for (let code = first; code <= last; code++, at++) {
      const width = letters.charCodeAt(at) - 35;
      if (width >= 0) widths.set(code, width / 50);
    }
  }
  return widths;
}

let tables: [Table, Table] | undefined;

const MARKS = /\p{M}|[\u200b-\u200f\ufe00-\ufe0f]/u;
const WIDE =
  /\p{Script=Han}|\p{Script=Hiragana}|\p{Script=Katakana}|\p{Script=Hangul}|[\u3000-\u303f\uff01-\uff60]/u;
const PICTURES = /\p{Extended_Pictographic}/u;

function other(char: string): number {
  if (MARKS.test(char)) return 0;
  if (WIDE.test(char)) return 1;
  if (PICTURES.test(char)) return 1.3;
  return 0.66;
}

/** The width in pixels of a text in the shipped font. */
export const measureInter: Measure = (text, size, bold) => {
  tables ??= [table(REGULAR), table(SEMIBOLD)];
  const widths = tables[bold ? 1 : 0];
  let width = 0;
  for (const char of text) width += widths.get(char.codePointAt(0)!) ?? other(char);
  return width * size;
};

/** The text, or its start with an ellipsis, so that it is at most so wide. */
export function cut(text: string, width: number, size: number, bold: boolean, measure: Measure): string {
  // what is far too long is cut before it is measured
  const whole = text.length > 400 ? Array.from(text.slice(0, 800)).slice(0, 400).join("") : text;
  if (whole === text && measure(text, size, bold) <= width) return text;
  const chars = Array.from(whole);
  let low = 0;
  let high = chars.length;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (measure(chars.slice(0, middle).join("") + "…", size, bold) <= width) low = middle;
    else high = middle - 1;
  }
  while (low > 0 && low < chars.length && (MARKS.test(chars[low]) || chars[low - 1] === "\u200d")) low--;
  if (low === 0) return measure("…", size, bold) <= width ? "…" : "";
  return chars.slice(0, low).join("").trimEnd() + "…";
}

/** The text in lines of at most so wide, broken between words; the last line is cut. */
export function wrap(
  text: string,
  width: number,
  size: number,
  bold: boolean,
  lines: number,
  measure: Measure,
): string[] {
  const found: string[] = [];
  let rest = text.trim().replace(/\s+/g, " ");
  while (rest && found.length < lines - 1 && measure(rest, size, bold) > width) {
    const words = rest.split(" ");
    let count = 1;
    while (count < words.length && measure(words.slice(0, count + 1).join(" "), size, bold) <= width) count++;
    const line = words.slice(0, count).join(" ");
    if (count === words.length || measure(line, size, bold) > width) break;
    found.push(line);
    rest = words.slice(count).join(" ");
  }
  if (rest) found.push(cut(rest, width, size, bold, measure));
  return found;
}
