// Paths as a Sankey diagram: a column for each step, ribbons for how many go from where to where.
import type { Pencils } from "./kinds.ts";
import type { Marks } from "./cartesian.ts";
import type { Box, Pen } from "./pen.ts";
import type { Description, Flow } from "./types.ts";

const NODE = 10;
const COLUMN_MIN = 104;
const LINE = 13;
const COLORS = 8;

interface Placed {
  x: number;
  y: number;
  height: number;
  /** Where the next ribbon leaves, and where the next one arrives. */
  out: number;
  in: number;
}

interface Field {
  flow: Flow;
  box: Box;
  /** The columns that have room, and how wide they are. */
  from: number;
  to: number;
  step: number;
  scale: number;
  placed: (Placed | null)[];
  columns: number[][];
}

/** Nodes from top to bottom as they come, each as high as its paths are many. */
function fieldOf(flow: Flow, whole: Box): Field {
  const count = Math.max(0, ...flow.nodes.map(({ column }) => column)) + 1;
  const shown = Math.max(2, Math.min(count, Math.floor((whole.width - NODE) / COLUMN_MIN) + 1));
  // Where paths lead to one end, the steps near it are what was asked for.
  const from = flow.back ? Math.max(0, count - shown) : 0;
  const to = Math.min(count, from + shown);
  const columns = Array.from({ length: to - from }, (_, column) =>
    flow.nodes.flatMap((one, index) => (one.column === column + from ? [index] : [])),
  );
  const box = { ...whole, y: whole.y + 18, height: whole.height - 18 };
  const most = Math.max(1, ...columns.map((list) => list.length));
  const gap = Math.min(16, (box.height * 0.5) / most);
  const scale = Math.min(
    ...columns.map((list) => {
      const sum = list.reduce((all, index) => all + flow.nodes[index]!.paths, 0) || 1;
      return Math.max(1, box.height - gap * (list.length - 1)) / sum;
    }),
  );
  // The names of the last column stand beside it.
  const last = Math.min(110, whole.width / (columns.length + 1));
  const step = (box.width - NODE - last) / Math.max(1, columns.length - 1);
  const placed: (Placed | null)[] = flow.nodes.map(() => null);
  columns.forEach((list, column) => {
    let y = box.y;
    for (const index of list) {
      const height = Math.max(1, flow.nodes[index]!.paths * scale);
      placed[index] = { x: box.x + column * step, y, height, out: y, in: y };
      y += height + gap;
    }
  });
  return { flow, box, from, to, step, scale, placed, columns };
}

function ribbons(pen: Pen, field: Field, { tag, round }: Pencils, format: Description["y"]): string {
  const { flow, placed, scale } = field;
  const order = [...flow.edges].sort((a, b) => a.source - b.source || a.target - b.target);
  return order
    .map((edge) => {
      const [from, to] = [placed[edge.source], placed[edge.target]];
      if (!from || !to) return "";
      const width = edge.paths * scale;
      const [y, end] = [from.out + width / 2, to.in + width / 2];
      from.out += width;
      to.in += width;
      const [x, until] = [from.x + NODE, to.x];
      const middle = round((x + until) / 2);
      const node = flow.nodes[edge.source]!;
      const label = () => `${node.name} → ${flow.nodes[edge.target]!.name}: ${pen.writer.full(edge.paths, format?.format)}`;
      return tag("path", {
        class: "acumen-ribbon",
        d: `M${round(x)} ${round(y)}C${middle} ${round(y)} ${middle} ${round(end)} ${round(until)} ${round(end)}`,
        stroke: colorOf(pen, node),
        "stroke-opacity": 0.32,
        "stroke-width": Math.max(0.75, width),
        fill: "none",
        ...pen.mark(edge.rank, node.column, label),
      });
    })
    .join("");
}

function colorOf(pen: Pen, node: Flow["nodes"][number]): string {
  return pen.color(node.other ? "series-other" : `series-${(node.rank % COLORS) + 1}`);
}

/** Nodes with their names; paths that stop there are the pale part of what leaves. */
export function sankey(pen: Pen, description: Description, whole: Box, pencils: Pencils): Marks {
  const { tag, round } = pencils;
  const flow = description.flow!;
  const field = fieldOf(flow, whole);
  const { placed, columns, step, box, from } = field;
  const format = description.y?.format;
  const all = Math.max(0, ...flow.nodes.map((one) => one.column)) + 1;
  let nodes = "";
  let labels = "";
  columns.forEach((list, column) => {
    const ends = column === columns.length - 1;
    const width = ends ? whole.x + whole.width - (box.x + column * step) - NODE - 6 : step - NODE - 10;
    const number = flow.back ? column + from + 1 - all : column + from;
    const hidden = ends && !flow.back ? all - columns.length : !column && flow.back ? from : 0;
    const more = hidden ? ` (${pen.words.more.replace("{n}", String(hidden))})` : "";
    labels += pen.text(box.x + column * step, whole.y + 9, String(number).replace("-", "−") + more, { fill: "muted", size: 11 });
    let free = -Infinity;
    for (const index of list) {
      const node = flow.nodes[index]!;
      const { x, y, height } = placed[index]!;
      const label = () => `${node.name}: ${pen.writer.full(node.paths, format)}`;
      const shape = { x, y, width: NODE, height, rx: Math.min(2, height / 2), fill: colorOf(pen, node) };
      nodes += tag("rect", { class: "acumen-node", ...shape, ...pen.mark(node.rank, node.column, label) });
      const stopped = node.stopped * field.scale;
      if (stopped > 0.5) {
        const edge = flow.back ? x - 5 : x + NODE;
        nodes += tag("rect", { x: edge, y: y + height - stopped, width: 5, height: stopped, fill: pen.color("axis"), "fill-opacity": 0.5 });
      }
      // The name of a thin node at the foot would reach into the note below the diagram.
      const middle = Math.min(y + height / 2 + 4, whole.y + whole.height - 3);
      if (middle - LINE < free) continue;
      free = middle;
      const count = pen.writer.short(node.paths, format);
      const two = height > 30;
      const left = round(x + NODE + 5);
      const room = two ? width : width - pen.measure(count, 11, false) - 5;
      labels += pen.text(left, two ? middle - 6 : middle, node.name, { size: 11, max: room });
      if (two) labels += pen.text(left, middle + 8, count, { size: 11, fill: "muted", max: width });
      else if (room > 20) {
        const used = Math.min(room, pen.measure(node.name, 11, false));
        labels += pen.text(left + used + 5, middle, count, { size: 11, fill: "muted" });
      }
      if (two) free = middle + 8;
    }
  });
  const ways = ribbons(pen, field, pencils, description.y);
  return {
    plot: null,
    orientation: "vertical",
    positions: [],
    points: [],
    svg: tag("g", { class: "acumen-series" }, nodes + ways) + tag("g", { "aria-hidden": "true" }, labels),
  };
}
