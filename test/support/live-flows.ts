// Some of the flows in an engine's table, with what traffic has to know to go on with them.

import * as FlowLayout from "../../assembly/shared/layout/flow.ts";
import { FlowState } from "../../assembly/shared/layout/flow.ts";
import * as HeaderLayout from "../../assembly/shared/layout/header.ts";
import { Region } from "../../assembly/shared/layout/header.ts";
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
  const end = view.getUint32(HeaderLayout.AT + HeaderLayout.FLOW_NEXT, true);
  const names = new Map(nodes.map(({ id }) => [tables.nodeIndex(id), id]));
  const flows: TrafficFlow[] = [];
  for (let i = 0; end > 1 && i < count; i++) {
    const at = shared.at(Region.flows) + random.between(1, end - 1) * FlowLayout.SIZE;
    if (view.getUint8(at + FlowLayout.STATE) === FlowState.free) continue;
    const address = (field: number): string => withoutPrefix(latin1(shared.bytes, at + field, at + field + 16));
    const crosses = (view.getUint8(at + FlowLayout.SEEN) & FlowLayout.ANSWERS_CROSS) !== 0;
    flows.push({
      protocol: view.getUint8(at + FlowLayout.PROTOCOL),
      clientAddress: address(FlowLayout.CLIENT),
      clientPort: view.getUint16(at + FlowLayout.CLIENT_PORT),
      called: address(FlowLayout.CALLED),
      calledPort: view.getUint16(at + FlowLayout.CALLED_PORT),
      wirePort: view.getUint16(at + FlowLayout.WIRE_PORT),
      answerSource: address(FlowLayout.TARGET_INSTANCE_ADDRESS),
      answerDestination: address(crosses ? FlowLayout.ANSWERED : FlowLayout.CLIENT),
      target: { node: names.get(view.getUint16(at + FlowLayout.NODE, true)) ?? "" },
    });
  }
  return flows;
}

function withoutPrefix(raw: string): string {
  return raw.startsWith(V4_MAPPED) ? raw.slice(V4_MAPPED.length) : raw;
}
