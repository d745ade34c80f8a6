/** The graph of pipelines: collections, pipelines and what these fill, from left to right. */
import type { ComponentChildren } from "preact";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { drawn, type Graph, type Placed } from "./graph_model.ts";
import { STATES, type ShownState } from "./words.ts";

const ZOOMS = [0.4, 0.55, 0.75, 1, 1.25];
const PLAIN = 3;
const SMALL = 1;
/** Of more nodes than these more than a part should be seen at first. */
const MANY = 150;
/** The width of a character, and of a bold one. */
const WIDE = 7.2;
const BOLD = 8.2;

interface GraphProps {
  graph: Graph;
  /** Of each pipeline: its state, and what more is said of it. */
  states: Map<string, [ShownState, string]>;
  /** The id of the node that was chosen. */
  chosen: string;
  choose: (id: string) => void;
  label: string;
  /** What stands below it. */
  children?: ComponentChildren;
}

function short(text: string, width: number, each = WIDE): string {
  const most = Math.floor(width / each);
  return text.length <= most ? text : `${text.slice(0, most - 1)}…`;
}

export function PipelineGraph({ graph, states, chosen, choose, label, children }: GraphProps) {
  const drawing = useMemo(() => drawn(graph), [graph]);
  const [zoom, setZoom] = useState(drawing.nodes.length > MANY ? SMALL : PLAIN);
  const [at, setAt] = useState("");
  const svg = useRef<SVGSVGElement>(null);
  const box = useRef<HTMLDivElement>(null);
  const byId = new Map(drawing.nodes.map((one) => [one.id, one]));
  const stop = byId.has(at) ? at : byId.has(chosen) ? chosen : drawing.nodes[0]?.id;
  useEffect(() => {
    // What is chosen, or else the middle of the first layer, is to be seen.
    const { clientWidth, clientHeight } = box.current!;
    const first = drawing.nodes.filter(({ layer }) => !layer);
    const { x, y, width } = byId.get(chosen) ?? { x: 0, width: 0, y: first.reduce((sum, one) => sum + one.y, 0) / Math.max(first.length, 1) };
    const scale = ZOOMS[zoom]!;
    box.current!.scrollTo({ top: y * scale - clientHeight / 2, left: (x + width) * scale < clientWidth ? 0 : (x + width / 2) * scale - clientWidth / 2 });
  }, [chosen, drawing]);
  const move = (to: Placed | undefined) => {
    if (!to) return;
    setAt(to.id);
    (svg.current!.querySelector(`[data-id="${CSS.escape(to.id)}"]`) as SVGElement).focus();
  };
  const key = (event: KeyboardEvent, own: Placed) => {
    const layer = drawing.nodes.filter((one) => one.layer === own.layer).sort((a, b) => a.y - b.y);
    const place = layer.indexOf(own);
    const joined = (from: 0 | 1) => byId.get(drawing.edges.find((edge) => edge[from] === own.id)?.[from ? 0 : 1] ?? "");
    if (event.key === "Enter" || event.key === " ") choose(own.id);
    else if (event.key === "ArrowRight") move(joined(0));
    else if (event.key === "ArrowLeft") move(joined(1));
    else if (event.key === "ArrowDown") move(layer[place + 1]);
    else if (event.key === "ArrowUp") move(layer[place - 1]);
    else return;
    event.preventDefault();
  };
  const scale = ZOOMS[zoom]!;
  return (
    <div class="pipe-graph">
      <div class="scroll" ref={box} role="group" aria-label={label}>
        <svg ref={svg} width={drawing.width * scale} height={drawing.height * scale} viewBox={`0 0 ${drawing.width} ${drawing.height}`}>
          {drawing.edges.map(([from, to]) => (
            <path key={`${from} ${to}`} class={`edge${chosen && (from === chosen || to === chosen) ? " near" : ""}`} d={curve(byId.get(from)!, byId.get(to)!)} />
          ))}
          {drawing.nodes.map((one) => (
            <Node key={one.id} node={one} said={states.get(one.id)} chosen={one.id === chosen} stop={one.id === stop}
              choose={() => (setAt(one.id), choose(one.id))} key_={(event) => key(event, one)} />
          ))}
        </svg>
      </div>
      <div class="below-graph">
        <div class="row" aria-live="polite">{children}</div>
        <div class="zoom">
          <button type="button" class="icon" aria-label="Smaller" title="Smaller" disabled={!zoom} onClick={() => setZoom(zoom - 1)}>
            −
          </button>
          <button type="button" class="icon" aria-label="Larger" title="Larger" disabled={zoom === ZOOMS.length - 1} onClick={() => setZoom(zoom + 1)}>
            +
          </button>
        </div>
      </div>
    </div>
  );
}

function curve(from: Placed, to: Placed): string {
  const [x, y] = [from.x + from.width, from.y + from.height / 2];
  const [u, v] = [to.x, to.y + to.height / 2];
  const bend = Math.max(20, (u - x) / 2);
  return `M${x} ${y}C${x + bend} ${y} ${u - bend} ${v} ${u} ${v}`;
}

interface NodeProps {
  node: Placed;
  said: [ShownState, string] | undefined;
  chosen: boolean;
  stop: boolean;
  choose: () => void;
  key_: (event: KeyboardEvent) => void;
}

function Node({ node, said, chosen, stop, choose, key_ }: NodeProps) {
  const { id, kind, name, x, y, width, height } = node;
  const words = said ? [STATES[said[0]], said[1]].filter(Boolean).join(", ") : "";
  return (
    <g class={`node ${kind}${said ? ` is-${said[0]}` : ""}${chosen ? " chosen" : ""}`} transform={`translate(${x} ${y})`} data-id={id}
      role="button" tabindex={stop ? 0 : -1} aria-pressed={chosen} onClick={choose} onKeyDown={key_}>
      <title>{`${kind} ${name}${words && `: ${words}`}`}</title>
      <rect width={width} height={height} rx={kind === "pipeline" ? 6 : height / 2} />
      {said ? (
        <>
          <circle class="dot" cx="15" cy="15" r="5" />
          <text x="27" y="19.5" class="title">{short(name, width - 34, BOLD)}</text>
          <text x="12" y="37" class="sub">{short(words, width - 8)}</text>
        </>
      ) : (
        <text x={width / 2} y={height / 2 + 4.5} text-anchor="middle">{short(name, width - 24)}</text>
      )}
    </g>
  );
}
