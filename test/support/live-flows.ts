// Some of the flows in an engine's table, with what traffic has to know to go on with them.
import {
  FLOW_ANSWERED,
  FLOW_ANSWERS_CROSS,
  FLOW_CALLED,
  FLOW_CALLED_PORT,
  FLOW_CLIENT,
  FLOW_CLIENT_PORT,
  FLOW_NODE,
  FLOW_PROTOCOL,
  FLOW_SEEN,
  FLOW_SIZE,
  FLOW_STATE,
  FLOW_TARGET_INSTANCE_ADDRESS,
  FLOW_WIRE_PORT,
  FlowState,
  HEADER_AT,
  HEADER_FLOW_NEXT,
  Region,
} from "../../assembly/shared/layout.ts";
import type { SharedMemory } from "../../src/memory/shared-memory.ts";
import type { TableWriter } from "../../src/memory/table-writer.ts";
import type { Node } from "../../src/model/tables.ts";
import type { Random } from "./random.ts";
import { latin1 } from "./reference/parser.ts";
import { V4_MAPPED } from "./reference/tables.ts";
import type { TrafficFlow } from "./traffic-templates.ts";

/** Looks at `count` records at random, of which some hold no flow. */
export function liveFlows(
  shared: SharedMemory,
  tables: TableWriter,
  nodes: readonly Node[],
  random: Random,
  count: number,
): TrafficFlow[] {
  const view = new DataView(shared.memory.buffer);
  const end = view.getUint32(HEADER_AT + HEADER_FLOW_NEXT, true);
  const names = new Map(nodes.map(({ id }) => [tables.nodeIndex(id), id]));
  const flows: TrafficFlow[] = [];
  for (let i = 0; end > 1 && i < count; i++) {
    const at = shared.at(Region.flows) + random.between(1, end - 1) * FLOW_SIZE;
    if (view.getUint8(at + FLOW_STATE) === FlowState.free) continue;
    const address = (field: number): string => withoutPrefix(latin1(shared.bytes, at + field, at + field + 16));
    const crosses = (view.getUint8(at + FLOW_SEEN) & FLOW_ANSWERS_CROSS) !== 0;
    flows.push({
      protocol: view.getUint8(at + FLOW_PROTOCOL),
      clientAddress: address(FLOW_CLIENT),
      clientPort: view.getUint16(at + FLOW_CLIENT_PORT),
      called: address(FLOW_CALLED),
      calledPort: view.getUint16(at + FLOW_CALLED_PORT),
      wirePort: view.getUint16(at + FLOW_WIRE_PORT),
      answerSource: address(FLOW_TARGET_INSTANCE_ADDRESS),
      answerDestination: address(crosses ? FLOW_ANSWERED : FLOW_CLIENT),
      target: { node: names.get(view.getUint16(at + FLOW_NODE, true)) ?? "" },
    });
  }
  return flows;
}

function withoutPrefix(raw: string): string {
  return raw.startsWith(V4_MAPPED) ? raw.slice(V4_MAPPED.length) : raw;
}
