// Reads the engine's flow table out of the shared memory, in the words of the twin.
import {
  FLOW_CALLED,
  FLOW_CALLED_PORT,
  FLOW_CLIENT,
  FLOW_CLIENT_PORT,
  FLOW_PROTOCOL,
  FLOW_SEEN,
  FLOW_SEEN_REPLY,
  FLOW_SIZE,
  FLOW_SLACK,
  FLOW_STATE,
  FLOW_TARGET,
  FLOW_WIRE_PORT,
  FlowState,
  Region,
} from "../../assembly/shared/layout.ts";
import type { SharedMemory } from "../../src/memory/shared-memory.ts";
import type { TwinFlow } from "./reference/flows.ts";
import { latin1 } from "./reference/parser.ts";
import { V4_MAPPED } from "./reference/tables.ts";

/** One line per live flow, sorted: two tables are the same if their lines are. */
export function engineFlows(shared: SharedMemory): string[] {
  const view = new DataView(shared.memory.buffer);
  const lines: string[] = [];
  for (let index = 1; index <= shared.capacities.flows + FLOW_SLACK; index++) {
    const at = shared.at(Region.flows) + index * FLOW_SIZE;
    const state: FlowState = view.getUint8(at + FLOW_STATE);
    if (state === FlowState.free) continue;
    const address = (field: number): string => withoutPrefix(latin1(shared.bytes, at + field, at + field + 16));
    lines.push(
      line({
        protocol: view.getUint8(at + FLOW_PROTOCOL),
        client: address(FLOW_CLIENT),
        clientPort: view.getUint16(at + FLOW_CLIENT_PORT),
        called: address(FLOW_CALLED),
        calledPort: view.getUint16(at + FLOW_CALLED_PORT),
        target: address(FLOW_TARGET),
        wirePort: view.getUint16(at + FLOW_WIRE_PORT),
        state,
        seenReply: (view.getUint8(at + FLOW_SEEN) & FLOW_SEEN_REPLY) !== 0,
      }),
    );
  }
  return lines.sort();
}

/** The client's port of each live flow. */
export function clientPorts(shared: SharedMemory): number[] {
  const view = new DataView(shared.memory.buffer);
  const ports: number[] = [];
  for (let index = 1; index <= shared.capacities.flows + FLOW_SLACK; index++) {
    const at = shared.at(Region.flows) + index * FLOW_SIZE;
    if (view.getUint8(at + FLOW_STATE) !== FlowState.free) ports.push(view.getUint16(at + FLOW_CLIENT_PORT));
  }
  return ports;
}

/** The same of the twin. */
export function twinFlows(flows: Iterable<TwinFlow>): string[] {
  const lines: string[] = [];
  for (const flow of flows) {
    lines.push(
      line({
        protocol: flow.protocol,
        client: flow.clientAddress,
        clientPort: flow.clientPort,
        called: flow.called,
        calledPort: flow.calledPort,
        target: flow.targetAddress,
        wirePort: flow.wirePort,
        state: flow.life.state,
        seenReply: flow.life.seenReply,
      }),
    );
  }
  return lines.sort();
}

interface FlowLine {
  readonly protocol: number;
  readonly client: string;
  readonly clientPort: number;
  readonly called: string;
  readonly calledPort: number;
  readonly target: string;
  readonly wirePort: number;
  readonly state: FlowState;
  readonly seenReply: boolean;
}

function line(flow: FlowLine): string {
  const client = `${hex(flow.client)}.${flow.clientPort} as ${flow.wirePort}`;
  const called = `${hex(flow.called)}.${flow.calledPort} at ${hex(flow.target)}`;
  return `${flow.protocol} ${client} > ${called}: ${FlowState[flow.state]}${flow.seenReply ? ", answered" : ""}`;
}

function hex(raw: string): string {
  return Buffer.from(raw, "latin1").toString("hex");
}

function withoutPrefix(raw: string): string {
  return raw.startsWith(V4_MAPPED) ? raw.slice(V4_MAPPED.length) : raw;
}
