// What went wrong, in words for viewers and in the server's own.
import { AskError } from "./asking.ts";
import { el } from "./dom.ts";
import type { Texts } from "./texts.ts";

/** What an `error` event tells. */
export interface ChartProblem {
  message: string;
  status: number;
  code: string | null;
}

function kindOf({ status, code, after }: AskError): keyof Texts {
  if (!status) return "unreachable";
  if (status < 400) return "unreadable";
  if (status === 401 || status === 403) return code === "EmbedTokenExpiredError" ? "expired" : "refused";
  if (status === 404) return "missing";
  if (status === 429) return after < Infinity ? "tooMany" : "usedUp";
  return status < 500 ? "wrong" : "fault";
}

/** Seconds after which it may be over by itself; null where it will not be. */
export function passes(error: unknown): number | null {
  const may = error instanceof AskError && ["unreachable", "tooMany", "fault"].includes(kindOf(error));
  return may ? error.after : null;
}

/** A button to try again, where that may help. */
export function retryButton(error: unknown, texts: Texts, onclick: () => void): HTMLElement | null {
  const over = error instanceof AskError && error.after === Infinity;
  return over ? null : el("button", { type: "button", onclick }, texts.retry);
}

/** A sentence on it in the language of the texts. */
export function sentence(error: unknown, texts: Texts): string {
  if (error instanceof AskError) return texts[kindOf(error)];
  return error instanceof Error && error.message ? error.message : String(error);
}

/** The server's own words where it sent some. */
export function problemOf(error: unknown, texts: Texts): ChartProblem {
  const { status = 0, code = null, message = "" } = error instanceof AskError ? error : {};
  return { message: message || sentence(error, texts), status, code };
}

/** The sentence, and below it what the server says, which helps whoever makes the page. */
export function problemLines(error: unknown, texts: Texts): HTMLElement[] {
  const lines = [el("p", { part: "error" }, sentence(error, texts))];
  if (error instanceof AskError && error.message && error.code !== "EmbedTokenExpiredError")
    lines.push(el("p", { part: "detail", class: "detail", lang: "en", dir: "ltr" }, error.message));
  return lines;
}
