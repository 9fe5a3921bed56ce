// Where the nodes of the map are: this one in the middle, the others on rays around it, the farther out the longer their
// round trips take.

export interface MapNode {
  readonly id: string;
  readonly isLocal: boolean;
  readonly state: "unknown" | "reachable" | "lost";
  readonly rttMs: number | null;
}

export interface Placed<Node> {
  readonly node: Node;
  readonly x: number;
  readonly y: number;
}

interface Ring {
  readonly radius: number;
  readonly label: string;
  /** Place of the label: between two rays, where no node is. */
  readonly x: number;
  readonly y: number;
}

/** Half of the drawing's height; it is wider than high. */
export const RADIUS = 150;
export const STRETCH = 1.65;
/** Where the nearest and the farthest node are, in parts of it. */
const INNER = 0.5;
const OUTER = 0.94;
/** Round trips that are nearer to each other than this factor are not drawn far apart. */
const LEAST_RANGE = 4;
/** Times at which rings may be drawn. */
const RING_MS = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000];
const RINGS_MAX = 3;

/** Nodes keep their ray as long as the set of nodes is the same. One that was not measured is far out. */
export function placeNodes<Node extends MapNode>(nodes: readonly Node[]): Placed<Node>[] {
  const others = nodes.filter(({ isLocal }) => !isLocal).toSorted((a, b) => (a.id < b.id ? -1 : 1));
  const partOf = scaleFor(nodes);
  return others.map((node, i) => {
    const angle = rayOf(i, others.length);
    const radius = RADIUS * (node.rttMs === null ? OUTER : partOf(node.rttMs));
    return { node, x: STRETCH * radius * Math.cos(angle), y: radius * Math.sin(angle) };
  });
}

/** Rings at round times among those that were measured, or the next one above. */
export function ringsFor(nodes: readonly MapNode[]): Ring[] {
  const measured = measuredOf(nodes);
  if (measured.length === 0) return [];
  const partOf = scaleFor(nodes);
  const [least, most] = [Math.min(...measured), Math.max(...measured)];
  const within = RING_MS.filter((ms) => ms >= 0.7 * least && ms <= 1.3 * most);
  const step = Math.ceil(within.length / RINGS_MAX);
  const shown = within.filter((_ms, i) => i % step === 0);
  const rings = shown.length > 0 ? shown : RING_MS.filter((ms) => ms > most).slice(0, 1);
  const others = nodes.filter(({ isLocal }) => !isLocal).length;
  const angle = rayOf(0.5, others);
  return rings.map((ms) => {
    const radius = RADIUS * partOf(ms);
    return { radius, label: `${ms} ms`, x: STRETCH * radius * Math.cos(angle), y: radius * Math.sin(angle) };
  });
}

/** The angle of the i-th of so many rays. None leads straight down, where the name of the middle is. */
function rayOf(i: number, rays: number): number {
  const first = rays % 2 === 0 ? 0.5 : 0;
  return (2 * Math.PI * (i + first)) / rays - Math.PI / 2;
}

/** Width of the line to a node by packets a second: one more for each factor of ten. */
export function lineWidth(packets: number | null): number {
  return packets === null || packets < 1 ? 1.5 : Math.min(8, 2 + Math.log10(packets) * 1.4);
}

/** From a round-trip time to a part of the radius, by its logarithm: the slowest is farthest out. */
function scaleFor(nodes: readonly MapNode[]): (rttMs: number) => number {
  const measured = measuredOf(nodes);
  const most = Math.max(...measured, 0);
  const range = Math.max(most / Math.min(...measured, most), LEAST_RANGE);
  return (rttMs) => {
    const part = Math.log(most / rttMs) / Math.log(range);
    return OUTER - (OUTER - INNER) * Math.min(1, Math.max(0, part));
  };
}

function measuredOf(nodes: readonly MapNode[]): number[] {
  return nodes.flatMap(({ isLocal, rttMs }) => (isLocal || rttMs === null || rttMs <= 0 ? [] : [rttMs]));
}
