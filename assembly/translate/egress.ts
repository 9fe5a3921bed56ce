// From a workload to a service: finds or opens the packet's flow, then src -> the client's instance address,
// dst -> the namespace address of the flow's instance.

import { count } from "../frame/count.ts";
import { Counter } from "../shared/counters.ts";
import {
  FLOW_CLIENT_INCARNATION,
  FLOW_CLIENT_INSTANCE,
  FLOW_CLIENT_INSTANCE_ADDRESS,
  FLOW_FORWARD_DELTA,
  FLOW_GENERATION,
  FLOW_INSTANCE,
  FLOW_INSTANCE_INCARNATION,
  FLOW_TARGET,
  FLOW_WIRE_PORT,
} from "../shared/layout.ts";
import { DropReason } from "../shared/verdicts.ts";
import { end, findForward, packetHash } from "../table/flow.ts";
import { generation } from "../table/generation.ts";
import { isAlive } from "../table/instance.ts";
import { Packet } from "../wire/packet.ts";
import { isRestart, seenForward } from "./flow-state.ts";
import { open, opened } from "./open.ts";
import { rewrite } from "./rewrite.ts";

/** The flow of the packet that translateEgress() handled last. */
export let egressFlow: usize = 0;

/** Translates a parsed packet in place; `segments` is how many packets it stands for. */
export function translateEgress(packet: Packet, segments: u32, isPartial: bool, nowMs: u32): DropReason {
  const hash = packetHash(packet);
  let flow = findForward(packet, hash);
  if (flow != 0 && !goesOn(flow, packet)) flow = 0;
  if (flow == 0) {
    const reason = open(packet, hash, nowMs);
    if (reason != DropReason.none) return reason;
    flow = opened;
  }
  seenForward(flow, packet, segments, nowMs);
  const ports = (packet.ports & 0xffff0000) | <u32>load<u16>(flow, FLOW_WIRE_PORT);
  rewrite(
    packet,
    v128.load(flow, FLOW_CLIENT_INSTANCE_ADDRESS),
    v128.load(flow, FLOW_TARGET),
    ports,
    load<u16>(flow, FLOW_FORWARD_DELTA),
    isPartial,
  );
  egressFlow = flow;
  return DropReason.none;
}

/** Whether the packet belongs to the flow that it was found by. If not, the flow is ended. */
export function goesOn(flow: usize, packet: Packet): bool {
  if (isRestart(flow, packet)) {
    if (end(flow)) count(Counter.flowsRestarted, 1);
    return false;
  }
  if (load<u32>(flow, FLOW_GENERATION) == generation) return true;
  if (!isClientAlive(flow)) {
    end(flow);
    return false;
  }
  if (!isAlive(load<u32>(flow, FLOW_INSTANCE), load<u32>(flow, FLOW_INSTANCE_INCARNATION))) {
    if (end(flow)) count(Counter.flowsRechosen, 1);
    return false;
  }
  store<u32>(flow, generation, FLOW_GENERATION);
  return true;
}

/** Whether the flow's client is still the workload of this node that it was. */
export function isClientAlive(flow: usize): bool {
  return isAlive(load<u32>(flow, FLOW_CLIENT_INSTANCE), load<u32>(flow, FLOW_CLIENT_INCARNATION));
}
