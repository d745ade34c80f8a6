// Paths of lines and areas: with gaps at nulls, and no more points than pixels can show.
import { area, curveLinear, curveMonotoneX, curveStepAfter, line, type CurveFactory } from "d3-shape";
import type { Description } from "./types.ts";

export interface Point {
  index: number;
  x: number;
  y: number;
  /** Where an area begins. */
  base: number;
}

const CURVES: Record<string, CurveFactory> = {
  linear: curveLinear,
  smooth: curveMonotoneX,
  step: curveStepAfter,
};

export function curveOf(description: Description): CurveFactory {
  return CURVES[description.curve ?? "linear"] ?? curveLinear;
}

/** Unbroken runs of points; a null ends one. */
export function runs(points: (Point | null)[]): Point[][] {
  const found: Point[][] = [];
  let run: Point[] = [];
  for (const point of points) {
    if (point) run.push(point);
    else if (run.length) {
      found.push(run);
      run = [];
    }
  }
  if (run.length) found.push(run);
  return found;
}

/** Of each column of pixels the first, last, highest and lowest point: spikes stay. */
export function decimate(run: Point[], width: number): Point[] {
  if (run.length <= 3 * width) return run;
  const kept: Point[] = [];
  let start = 0;
  while (start < run.length) {
    const column = Math.floor(run[start].x);
    let end = start;
    let top = start;
    let bottom = start;
    while (end < run.length && Math.floor(run[end].x) === column) {
      if (run[end].y < run[top].y) top = end;
      if (run[end].y > run[bottom].y) bottom = end;
      end++;
    }
    for (const at of [...new Set([start, top, bottom, end - 1])].sort((a, b) => a - b)) kept.push(run[at]);
    start = end;
  }
  return kept;
}

export function linePath(run: Point[], curve: CurveFactory): string {
  return (
    line<Point>(
      (point) => point.x,
      (point) => point.y,
    ).curve(curve)(run) ?? ""
  );
}

export function areaPath(run: Point[], curve: CurveFactory): string {
  return (
    area<Point>(
      (point) => point.x,
      (point) => point.base,
      (point) => point.y,
    ).curve(curve)(run) ?? ""
  );
}
