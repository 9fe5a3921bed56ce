// A map of the nodes by the time that packets take: this node in the middle, rings at round-trip times, a line to each
// node as wide as the traffic on it. The table of nodes tells the same in words.

import type { PageNode, PageRows } from "../model/page-reports.ts";
import { perSecond, roundTrip, things } from "./format.ts";
import { lineWidth, type Placed, placeNodes, RADIUS, ringsFor, STRETCH } from "./map-layout.ts";
import { hashOf } from "./place.ts";

const MARGIN_X = 40;
const MARGIN_Y = 44;
/** With more, only those that are lost have their name written. */
const NAMED_MAX = 16;

export function NodeMap({ nodes: { rows, matching } }: { readonly nodes: PageRows<PageNode> }) {
  const placed = placeNodes(rows);
  const isNaming = placed.length <= NAMED_MAX;
  const [width, height] = [RADIUS * STRETCH + MARGIN_X, RADIUS + MARGIN_Y];
  const own = rows.find(({ isLocal }) => isLocal);
  if (placed.length === 0) return <p class="empty">There are no other nodes.</p>;
  return (
    <>
      <svg class="map" viewBox={`${-width} ${-height} ${2 * width} ${2 * height}`} aria-label="Map of the nodes">
        {ringsFor(rows).map(({ radius, label, x, y }) => (
          <g key={label} class="ring">
            <ellipse rx={radius * STRETCH} ry={radius} />
            <text x={x} y={y + 3}>
              {label}
            </text>
          </g>
        ))}
        {placed.map(({ node, x, y }) => (
          <line
            key={node.id}
            class={`path ${node.state} ${(node.packets ?? 0) >= 1 ? "busy" : ""}`}
            x2={x}
            y2={y}
            stroke-width={lineWidth(node.packets)}
          />
        ))}
        <g class="self">
          <circle r={15} />
          <text y={31}>{own?.id ?? ""}</text>
        </g>
        {placed.map((place) => (
          <MapNode key={place.node.id} place={place} isNamed={isNaming || place.node.state === "lost"} />
        ))}
      </svg>
      <p class="legend">
        <span class="key reachable">answers</span>
        <span class="key lost">lost</span>
        <span class="key unknown">answers no probes</span>
        {matching - 1 > placed.length && (
          <a href={hashOf({ view: "nodes" })}>and {matching - 1 - placed.length} more nodes</a>
        )}
      </p>
    </>
  );
}

function MapNode({ place: { node, x, y }, isNamed }: { readonly place: Placed<PageNode>; readonly isNamed: boolean }) {
  const { id, state, rttMs, packets, instances } = node;
  const words = { reachable: "answers", lost: "is lost", unknown: "answers no probes" }[state];
  const traffic = packets === null ? "" : `, ${perSecond(packets)} packets`;
  const about = `${id} ${words}, round trip ${roundTrip(rttMs)}${traffic}, ${things(instances, "instance")}`;
  const isBelow = y > 0;
  return (
    <a class={`place ${state}`} href={hashOf({ view: "nodes", filter: id })} aria-label={about}>
      <g transform={`translate(${x} ${y})`}>
        <title>{about}</title>
        <circle class="halo" r={16} />
        <circle r={10} />
        {state === "lost" && <path d="M-4-4L4 4M4-4L-4 4" />}
        {state === "unknown" && <path d="M-3 0h6" />}
        {isNamed && (
          <text y={isBelow ? 26 : -28}>
            {id}
            <tspan x={0} dy={13}>
              {state === "lost"
                ? "lost"
                : `${roundTrip(rttMs)}${(packets ?? 0) >= 1 ? ` · ${perSecond(packets ?? 0)}` : ""}`}
            </tspan>
          </text>
        )}
      </g>
    </a>
  );
}
