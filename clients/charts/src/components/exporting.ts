// Pictures and files of what a chart shows.
import { drawing } from "../draw.ts";
import type { Description, DrawOptions } from "../types.ts";

export type ExportKind = "csv" | "png" | "svg";
export const EXPORTS: ExportKind[] = ["csv", "png", "svg"];

/** `csv png svg`: which of them; all where nothing is said. */
export function exportsOf(value: string | null): ExportKind[] {
  if (value === null) return EXPORTS;
  const words = value.split(/[\s,]+/);
  return EXPORTS.filter((kind) => words.includes(kind));
}

/** The whole picture with its title, without anything that a page would have to give. */
export function svgOf(description: Description, options: DrawOptions): string {
  return drawing(description, { ...options, resolve: true, background: true }).svg;
}

function loaded(address: string): Promise<HTMLImageElement> {
  return new Promise((resolve, reject) => {
    const image = new Image();
    image.onload = () => resolve(image);
    image.onerror = () => reject(new Error("The picture could not be made."));
    image.src = address;
  });
}

/** The SVG as PNG, so many pixels for each of its own. */
export async function pngOf(svg: string, width: number, height: number, scale: number): Promise<Blob> {
  const address = URL.createObjectURL(new Blob([svg], { type: "image/svg+xml" }));
  let image: HTMLImageElement;
  try {
    // a page's policy may allow one and not the other
    image = await loaded(address).catch(() => loaded(`data:image/svg+xml,${encodeURIComponent(svg)}`));
  } finally {
    URL.revokeObjectURL(address);
  }
  const canvas = document.createElement("canvas");
  canvas.width = Math.round(width * scale);
  canvas.height = Math.round(height * scale);
  canvas.getContext("2d")!.drawImage(image, 0, 0, canvas.width, canvas.height);
  return new Promise((resolve, reject) =>
    canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Error("The picture could not be made.")))),
  );
}

/** A name for a file, of a title. */
export function fileName(title: string | null, kind: string): string {
  const name = (title ?? "")
    .replace(/[^\p{L}\p{N}._-]+/gu, "-")
    .replace(/^[-.]+|-+$/g, "")
    .slice(0, 80);
  return `${name || "chart"}.${kind}`;
}
