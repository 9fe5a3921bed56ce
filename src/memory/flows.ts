// A read-only walk over the live flows, while workers go on: each flow is seen whole or not at all.

import {
  FLOW_AGE_MAX_MS,
  FLOW_CALLED,
  FLOW_CALLED_PORT,
  FLOW_CLIENT,
  FLOW_CLIENT_PORT,
  FLOW_FORWARD_PACKETS,
  FLOW_INSTANCE,
  FLOW_INSTANCE_INCARNATION,
  FLOW_LAST_USED_MS,
  FLOW_NODE,
  FLOW_PROTOCOL,
  FLOW_REVERSE_PACKETS,
  FLOW_SIZE,
  FLOW_SLACK,
  FLOW_STATE,
  FLOW_TARGET,
  FLOW_WIRE_PORT,
  FlowState,
  HEADER_AT,
  HEADER_FLOW_NEXT,
  INSTANCE_INCARNATION,
  INSTANCE_SIZE,
  Region,
} from "../../assembly/shared/layout.ts";
import { IPPROTO_ICMP, IPPROTO_TCP, IPPROTO_UDP } from "../../assembly/shared/protocols.ts";
import type { FlowProtocol } from "../model/flow-protocols.ts";
import { formatAddress } from "../net/address.ts";
import type { SharedMemory } from "./shared-memory.ts";

const PROTOCOL_NAMES: ReadonlyMap<number, FlowProtocol> = new Map([
  [IPPROTO_TCP, "tcp"],
  [IPPROTO_UDP, "udp"],
  [IPPROTO_ICMP, "icmp"],
]);

/** A copy of one flow record; texts are made when they are asked for, so that a filter costs little. */
export class FlowView {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  /** Whether the index in `instance` still stands for the instance of this flow. */
  readonly isInstanceKnown: boolean;

  constructor(bytes: Uint8Array, isInstanceKnown: (index: number, incarnation: number) => boolean) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.isInstanceKnown = isInstanceKnown(this.instance, this.#view.getUint32(FLOW_INSTANCE_INCARNATION, true));
  }

  /** IANA protocol number; ICMP's also for ICMPv6. */
  get protocol(): number {
    return this.#bytes[FLOW_PROTOCOL] ?? 0;
  }

  get protocolName(): FlowProtocol {
    return PROTOCOL_NAMES.get(this.protocol) ?? "other";
  }

  get client(): string {
    return formatAddress(this.#bytes, FLOW_CLIENT);
  }

  /** The identifier of an echo that the client asks; 0 when its protocol has no ports. */
  get clientPort(): number {
    return this.#view.getUint16(FLOW_CLIENT_PORT, false);
  }

  get called(): string {
    return formatAddress(this.#bytes, FLOW_CALLED);
  }

  /** The identifier of an echo that the client answers; 0 when its protocol has no ports. */
  get calledPort(): number {
    return this.#view.getUint16(FLOW_CALLED_PORT, false);
  }

  /** Namespace address of the instance. */
  get target(): string {
    return formatAddress(this.#bytes, FLOW_TARGET);
  }

  /** The client's port on the wire; another than its own when two flows would have had the same answers. */
  get wirePort(): number {
    return this.#view.getUint16(FLOW_WIRE_PORT, false);
  }

  /** Index of the instance record. */
  get instance(): number {
    return this.#view.getUint32(FLOW_INSTANCE, true);
  }

  /** Index of the node record. */
  get node(): number {
    return this.#view.getUint16(FLOW_NODE, true);
  }

  get state(): string {
    return FlowState[this.#bytes[FLOW_STATE] ?? 0] ?? "unknown";
  }

  get forwardPackets(): number {
    return this.#view.getUint32(FLOW_FORWARD_PACKETS, true);
  }

  get reversePackets(): number {
    return this.#view.getUint32(FLOW_REVERSE_PACKETS, true);
  }

  /** `nowMs` is of the workers' clock, whose milliseconds wrap at 2^32. */
  idleMs(nowMs: number): number {
    const idleMs = (Math.trunc(nowMs % 2 ** 32) - this.#view.getUint32(FLOW_LAST_USED_MS, true)) >>> 0;
    return idleMs > FLOW_AGE_MAX_MS ? 0 : idleMs; // a packet came after `nowMs` was taken
  }
}

/** Indices of the instances that flows lead to: of all but closed connections. Copies nothing. */
export function instancesInUse(shared: SharedMemory): Set<number> {
  const flowsAt = shared.at(Region.flows);
  const recordEnd = flowRecordEnd(shared);
  const used = new Set<number>();
  for (let record = 1; record < recordEnd; record++) {
    const at = flowsAt + record * FLOW_SIZE;
    const state = shared.bytes[at + FLOW_STATE];
    if (state === FlowState.free || state === FlowState.tcpClosed) continue;
    const index = shared.u32[(at + FLOW_INSTANCE) >>> 2] ?? 0;
    const incarnation = shared.u32[(at + FLOW_INSTANCE_INCARNATION) >>> 2] ?? 0;
    if (!used.has(index) && isIncarnation(shared, index, incarnation)) used.add(index);
  }
  return used;
}

/** All live flows, in the order of their records. */
export function* liveFlows(shared: SharedMemory): Generator<FlowView> {
  const flowsAt = shared.at(Region.flows);
  const recordEnd = flowRecordEnd(shared);
  const isInstanceKnown = (index: number, incarnation: number) => isIncarnation(shared, index, incarnation);
  for (let record = 1; record < recordEnd; record++) {
    const at = flowsAt + record * FLOW_SIZE;
    if (shared.bytes[at + FLOW_STATE] === FlowState.free) continue;
    const copy = shared.bytes.slice(at, at + FLOW_SIZE);
    // Ended, and perhaps being filled in anew, while it was copied.
    if (shared.bytes[at + FLOW_STATE] === FlowState.free) continue;
    yield new FlowView(copy, isInstanceKnown);
  }
}

/** One more than the last record that was ever used. */
function flowRecordEnd(shared: SharedMemory): number {
  const next = Atomics.load(shared.i32, (HEADER_AT + HEADER_FLOW_NEXT) >>> 2);
  return Math.min(next, 1 + shared.capacities.flows + FLOW_SLACK);
}

/** Whether the index of an instance record still stands for the same instance. */
function isIncarnation(shared: SharedMemory, index: number, incarnation: number): boolean {
  const at = shared.at(Region.instances) + index * INSTANCE_SIZE + INSTANCE_INCARNATION;
  return shared.u32[at >>> 2] === incarnation;
}
