// Reads the engine's flow table out of the shared memory, in the words of the twin.
import * as FlowLayout from "../../assembly/shared/layout/flow.ts";
import { FlowState } from "../../assembly/shared/layout/flow.ts";
import { Region } from "../../assembly/shared/layout/header.ts";
import type { SharedMemory } from "../../src/memory/shared-memory.ts";
import type { TwinFlow } from "./reference/flows.ts";
import { latin1 } from "./reference/parser.ts";
import { V4_MAPPED } from "./reference/tables.ts";

/** One line per live flow, sorted: two tables are the same if their lines are. */
export function engineFlows(shared: SharedMemory): string[] {
  const view = new DataView(shared.memory.buffer);
  const lines: string[] = [];
  for (let index = 1; index <= shared.capacities.flows + FlowLayout.SLACK; index++) {
    const at = shared.at(Region.flows) + index * FlowLayout.SIZE;
    const state: FlowState = view.getUint8(at + FlowLayout.STATE);
    if (state === FlowState.free) continue;
    const address = (field: number): string => withoutPrefix(latin1(shared.bytes, at + field, at + field + 16));
    lines.push(
      line({
        protocol: view.getUint8(at + FlowLayout.PROTOCOL),
        client: address(FlowLayout.CLIENT),
        clientPort: view.getUint16(at + FlowLayout.CLIENT_PORT),
        called: address(FlowLayout.CALLED),
        calledPort: view.getUint16(at + FlowLayout.CALLED_PORT),
        target: address(FlowLayout.TARGET),
        wirePort: view.getUint16(at + FlowLayout.WIRE_PORT),
        state,
        seenReply: (view.getUint8(at + FlowLayout.SEEN) & FlowLayout.SEEN_REPLY) !== 0,
      }),
    );
  }
  return lines.sort();
}

/** The client's port of each live flow. */
export function clientPorts(shared: SharedMemory): number[] {
  const view = new DataView(shared.memory.buffer);
  const ports: number[] = [];
  for (let index = 1; index <= shared.capacities.flows + FlowLayout.SLACK; index++) {
    const at = shared.at(Region.flows) + index * FlowLayout.SIZE;
    if (view.getUint8(at + FlowLayout.STATE) !== FlowState.free)
      ports.push(view.getUint16(at + FlowLayout.CLIENT_PORT));
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
