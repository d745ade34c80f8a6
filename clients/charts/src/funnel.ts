// Funnels: a row for each step, as long as what is left of the first.
import { widest } from "./axes.ts";
import { barPath, NONE, type Marks } from "./cartesian.ts";
import { SIZE, type Box, type Pen } from "./pen.ts";
import { round, tag } from "./svg.ts";
import type { Description, FunnelStep } from "./types.ts";

function nameOf(pen: Pen, step: FunnelStep): string {
  const kind = step.inverted ? pen.words.inverted : step.optional ? pen.words.optional : "";
  return kind ? `${step.name} (${kind})` : step.name;
}

/** Steps with their counts, their share of the first step and of the step before. */
export function funnel(pen: Pen, description: Description, box: Box): Marks {
  const steps = description.steps!;
  const first = steps[0]?.value ?? 0;
  const most = Math.max(1, ...steps.map((step) => step.value ?? 0));
  const room = Math.max(1, Math.floor(box.height / 34));
  const shown = Math.min(steps.length, room);
  const row = Math.min(74, box.height / Math.max(1, shown));
  const format = description.y?.format;
  const full = steps.map((step) => (step.value === null ? "–" : pen.writer.full(step.value, format)));
  const fits = widest(pen, full) < box.width * 0.35;
  const counts = fits
    ? full
    : steps.map((step) => (step.value === null ? "–" : pen.writer.short(step.value, format)));
  const parts = pen.writer.alike(
    steps.map((step) => (step.value ?? 0) / (first || 1)),
    { style: "percent" },
  );
  const shares = steps.map((step, index) => (first > 0 && step.value !== null ? parts[index] : ""));
  const count = widest(pen, counts) * 1.08;
  const share = widest(pen, shares);
  const thin = row < 46;
  const color = description.series[0]?.color ?? pen.color("accent");
  const width = box.width;
  let svg = "";
  for (let index = 0; index < shown; index++) {
    const step = steps[index];
    const top = box.y + row * index;
    const middle = top + 13;
    const more = index === shown - 1 && shown < steps.length ? `  +${steps.length - shown}` : "";
    const right = box.x + width;
    svg += pen.text(box.x, middle, nameOf(pen, step) + more, { max: width - count - share - 24, bold: true });
    svg += pen.text(right - share - 12, middle, counts[index], { anchor: "end", bold: true });
    svg += pen.text(right, middle, shares[index], { anchor: "end", fill: "muted" });
    const height = Math.max(5, Math.min(22, row - (thin ? 24 : 44)));
    const length = ((step.value ?? 0) / most) * width;
    const mark = pen.mark(
      0,
      index,
      () =>
        `${nameOf(pen, step)}: ${counts[index]}${shares[index] && `, ${shares[index]} ${pen.words.ofFirst}`}`,
    );
    svg += tag("path", { d: barPath(box.x, top + 20, width, height, "right"), fill: pen.color("track") });
    if (length > 0 || pen.interactive) {
      svg += tag("path", {
        class: "acumen-bar",
        d: barPath(box.x, top + 20, Math.max(length > 0 ? 2 : 0, length), height, "right"),
        fill: color,
        ...mark,
      });
    }
    if (!thin && index < shown - 1) svg += drop(pen, box, step, steps[index + 1], top + 20 + height);
  }
  return { ...NONE, svg: tag("g", { class: "acumen-series", "data-series": 0 }, svg) };
}

function drop(pen: Pen, box: Box, from: FunnelStep, to: FunnelStep, y: number): string {
  if (!from.value || to.value === null) return "";
  const change = to.value / from.value - 1;
  const time =
    typeof to.time === "number"
      ? ` · ${pen.words.median.replace("{time}", pen.writer.short(to.time, { style: "duration" }))}`
      : "";
  const text = (change > 0 ? "+" : "") + pen.writer.percent(change) + time;
  const arrow = tag("path", {
    d: `M${box.x + 2} ${round(y + 6)}v8m-3.5 -3.5l3.5 3.5l3.5 -3.5`,
    fill: "none",
    stroke: pen.color("muted"),
    "stroke-width": 1.3,
  });
  return arrow + pen.text(box.x + 14, y + 14, text, { fill: "muted", size: SIZE - 1 });
}
