import { type CurveFactory } from "d3-shape";
import type { Description } from "./types.js";
export interface Point {
    index: number;
    x: number;
    y: number;
    /** Where an area begins. */
    base: number;
}
export declare function curveOf(description: Description): CurveFactory;
/** Unbroken runs of points; a null ends one. */
export declare function runs(points: (Point | null)[]): Point[][];
/** Of each column of pixels the first, last, highest and lowest point: spikes stay. */
export declare function decimate(run: Point[], width: number): Point[];
export declare function linePath(run: Point[], curve: CurveFactory): string;
export declare function areaPath(run: Point[], curve: CurveFactory): string;
