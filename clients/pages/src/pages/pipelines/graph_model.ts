/** Collections and pipelines as a graph in layers, from left to right: where each stands. Pure. */
import type { Pipeline } from "./calls.ts";

export interface GraphNode {
  id: string;
  kind: "collection" | "pipeline";
  name: string;
}

export type Edge = [from: string, to: string];

export interface Graph {
  nodes: GraphNode[];
  edges: Edge[];
}

export interface Placed extends GraphNode {
  x: number;
  y: number;
  width: number;
  height: number;
  layer: number;
}

export interface Drawing {
  nodes: Placed[];
  edges: Edge[];
  width: number;
  height: number;
}

const SIZES = { collection: { width: 164, height: 28 }, pipeline: { width: 192, height: 46 } };
const BESIDE = 44;
const BELOW = 12;
const EDGE = 12;
const SWEEPS = 4;

export const idOf = (kind: GraphNode["kind"], name: string): string => `${kind}/${name}`;

export function graphOf(pipelines: Pick<Pipeline, "name" | "from" | "into">[]): Graph {
  const nodes = new Map<string, GraphNode>();
  const edges: Edge[] = [];
  const add = (kind: GraphNode["kind"], name: string) => {
    const id = idOf(kind, name);
    if (!nodes.has(id)) nodes.set(id, { id, kind, name });
    return id;
  };
  for (const { name, from, into } of pipelines) {
    const own = add("pipeline", name);
    for (const source of from) edges.push([add("collection", source), own]);
    edges.push([own, add("collection", into)]);
  }
  return { nodes: [...nodes.values()], edges };
}

function neighbours(edges: Edge[], at: 0 | 1): Map<string, string[]> {
  const found = new Map<string, string[]>();
  for (const edge of edges) {
    const list = found.get(edge[at]);
    if (list) list.push(edge[1 - at]!);
    else found.set(edge[at], [edge[1 - at]!]);
  }
  return found;
}

/** What is reached from these along the edges (0: down, 1: up), with themselves. */
export function reached(edges: Edge[], seeds: Iterable<string>, at: 0 | 1): Set<string> {
  const next = neighbours(edges, at);
  const found = new Set(seeds);
  for (const id of found) for (const other of next.get(id) ?? []) found.add(other);
  return found;
}

/** Only these with all that is up- and downstream of them. */
export function around({ nodes, edges }: Graph, seeds: string[]): Graph {
  const kept = new Set([...reached(edges, seeds, 0), ...reached(edges, seeds, 1)]);
  return { nodes: nodes.filter(({ id }) => kept.has(id)), edges: edges.filter(([from, to]) => kept.has(from) && kept.has(to)) };
}

function layersOf({ nodes, edges }: Graph): Map<string, number> {
  const from = neighbours(edges, 1);
  const layers = new Map<string, number>();
  const open = new Set<string>();
  const layerOf = (id: string): number => {
    const known = layers.get(id);
    if (known !== undefined) return known;
    // A circle, which the server refuses, ends here.
    if (open.has(id)) return 0;
    open.add(id);
    const layer = Math.max(-1, ...(from.get(id) ?? []).map(layerOf)) + 1;
    layers.set(id, layer);
    return layer;
  };
  for (const { id } of nodes) layerOf(id);
  // What nothing fills stands beside the first that reads it.
  const readers = neighbours(edges, 0);
  for (const { id } of nodes) {
    const own = readers.get(id);
    if (!from.has(id) && own) layers.set(id, Math.min(...own.map((one) => layers.get(one)!)) - 1);
  }
  return layers;
}

/** Parts of the graph that hang together, the largest first. */
function parts({ nodes, edges }: Graph): GraphNode[][] {
  const next = [neighbours(edges, 0), neighbours(edges, 1)];
  const byId = new Map(nodes.map((one) => [one.id, one]));
  const seen = new Set<string>();
  const found: GraphNode[][] = [];
  for (const { id } of nodes) {
    if (seen.has(id)) continue;
    const part = new Set([id]);
    for (const one of part) for (const list of next) for (const other of list.get(one) ?? []) part.add(other);
    for (const one of part) seen.add(one);
    found.push([...part].map((one) => byId.get(one)!));
  }
  return found.sort((a, b) => b.length - a.length);
}

/** Each layer in an order with few crossings: by the mean place of those that each is joined to, to and fro. */
function ordered(part: GraphNode[], layers: Map<string, number>, edges: Edge[]): Placed[][] {
  const rows: Placed[][] = [];
  for (const node of part) {
    const layer = layers.get(node.id)!;
    (rows[layer] ??= []).push({ ...node, ...SIZES[node.kind], layer, x: 0, y: 0 });
  }
  const next = [neighbours(edges, 1), neighbours(edges, 0)];
  for (let sweep = 0; sweep < SWEEPS; sweep++) {
    const towards = sweep % 2;
    for (const row of towards ? [...rows].reverse() : rows) {
      const places = new Map(rows.flatMap((one) => one.map(({ id }, at) => [id, at / one.length] as const)));
      const mean = ({ id }: Placed) => {
        const all = next[towards]!.get(id) ?? [];
        return all.length ? all.reduce((sum, one) => sum + places.get(one)!, 0) / all.length : places.get(id)!;
      };
      const means = new Map(row.map((one) => [one.id, mean(one)]));
      row.sort((a, b) => means.get(a.id)! - means.get(b.id)!);
    }
  }
  return rows;
}

/** Tops as near as can be to the wanted ones, in their order and apart: neighbours that would meet move as one. */
function settled(row: Placed[], wanted: number[]): number[] {
  let offset = 0;
  const blocks: { sum: number; count: number }[] = [];
  const offsets = row.map(({ height }, at) => {
    const own = offset;
    offset += height + BELOW;
    blocks.push({ sum: wanted[at]! - own, count: 1 });
    for (let last = blocks.at(-1)!, before = blocks.at(-2); before && before.sum / before.count > last.sum / last.count; before = blocks.at(-2)) {
      blocks.pop();
      before.sum += last.sum;
      before.count += last.count;
      last = before;
    }
    return own;
  });
  const shifts = blocks.flatMap(({ sum, count }) => Array<number>(count).fill(sum / count));
  return offsets.map((own, at) => own + shifts[at]!);
}

/** Each beside the middle of what it is joined to, and none above another. Returns where the lowest ends. */
function place(rows: Placed[][], edges: Edge[], top: number): number {
  const all = new Map(rows.flat().map((one) => [one.id, one]));
  const joined = [neighbours(edges, 1), neighbours(edges, 0)];
  for (const row of rows) settled(row, row.map(() => 0)).forEach((y, at) => (row[at]!.y = y));
  for (let sweep = 0; sweep < SWEEPS; sweep++) {
    const towards = sweep % 2;
    for (const row of towards ? [...rows].reverse() : rows) {
      const wanted = row.map(({ id, y, height }) => {
        const others = (joined[towards]!.get(id) ?? []).map((one) => all.get(one)!);
        return others.length ? others.reduce((sum, one) => sum + one.y + one.height / 2, 0) / others.length - height / 2 : y;
      });
      settled(row, wanted).forEach((y, at) => (row[at]!.y = y));
    }
  }
  const nodes = rows.flat();
  const least = Math.min(...nodes.map(({ y }) => y));
  for (const one of nodes) one.y += top - least;
  return Math.max(...nodes.map(({ y, height }) => y + height));
}

export function drawn(graph: Graph): Drawing {
  const layers = layersOf(graph);
  const nodes: Placed[] = [];
  let top = EDGE;
  for (const part of parts(graph)) {
    const rows = ordered(part, layers, graph.edges);
    top = place(rows, graph.edges, top) + 2 * BELOW;
    nodes.push(...rows.flat());
  }
  let x = EDGE;
  for (let layer = 0; nodes.some((one) => one.layer === layer); layer++) {
    const own = nodes.filter((one) => one.layer === layer);
    for (const one of own) one.x = x;
    x += Math.max(...own.map(({ width }) => width)) + BESIDE;
  }
  return { nodes, edges: graph.edges, width: Math.max(0, x - BESIDE + EDGE), height: Math.max(0, top - 2 * BELOW + EDGE) };
}
