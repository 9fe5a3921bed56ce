// A read-only walk over the live flows, while workers go on: each flow is seen whole or not at all.

import * as FlowLayout from "../../assembly/shared/layout/flow.ts";
import { FlowState } from "../../assembly/shared/layout/flow.ts";
import * as HeaderLayout from "../../assembly/shared/layout/header.ts";
import { Region } from "../../assembly/shared/layout/header.ts";
import * as InstanceLayout from "../../assembly/shared/layout/instance.ts";
import * as Protocol from "../../assembly/shared/protocol.ts";
import type { FlowProtocol } from "../model/flow-protocols.ts";
import * as Bulk from "../net/bulk-address.ts";
import type { SharedMemory } from "./shared-memory.ts";

const PROTOCOL_NAMES: ReadonlyMap<number, FlowProtocol> = new Map([
  [Protocol.TCP, "tcp"],
  [Protocol.UDP, "udp"],
  [Protocol.ICMP, "icmp"],
]);

/** A copy of one flow record; texts are made when they are asked for, so that a filter costs little. */
export class FlowView {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  /** Index of the flow's record. */
  readonly record: number;
  /** Whether the index in `instance` is still that of the instance of this flow. */
  readonly isInstanceKnown: boolean;

  constructor(bytes: Uint8Array, record: number, isInstanceKnown: (index: number, incarnation: number) => boolean) {
    this.#bytes = bytes;
    this.record = record;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.isInstanceKnown = isInstanceKnown(this.instance, this.#view.getUint32(FlowLayout.INSTANCE_INCARNATION, true));
  }

  /** IANA protocol number; ICMP's also for ICMPv6. */
  get protocol(): number {
    return this.#bytes[FlowLayout.PROTOCOL] ?? 0;
  }

  get protocolName(): FlowProtocol {
    return PROTOCOL_NAMES.get(this.protocol) ?? "other";
  }

  get client(): string {
    return Bulk.formatAddress(this.#bytes, FlowLayout.CLIENT);
  }

  /** The identifier of an echo that the client asks; 0 when its protocol has no ports. */
  get clientPort(): number {
    return this.#view.getUint16(FlowLayout.CLIENT_PORT, false);
  }

  get called(): string {
    return Bulk.formatAddress(this.#bytes, FlowLayout.CALLED);
  }

  /** The identifier of an echo that the client answers; 0 when its protocol has no ports. */
  get calledPort(): number {
    return this.#view.getUint16(FlowLayout.CALLED_PORT, false);
  }

  /** Namespace address of the instance. */
  get target(): string {
    return Bulk.formatAddress(this.#bytes, FlowLayout.TARGET);
  }

  /** The client's port on the wire; another than its own when two flows would have had the same answers. */
  get wirePort(): number {
    return this.#view.getUint16(FlowLayout.WIRE_PORT, false);
  }

  /** Index of the instance record. */
  get instance(): number {
    return this.#view.getUint32(FlowLayout.INSTANCE, true);
  }

  /** Index of the node record. */
  get node(): number {
    return this.#view.getUint16(FlowLayout.NODE, true);
  }

  get state(): string {
    return FlowState[(this.#bytes[FlowLayout.STATE] ?? 0) & ~FlowLayout.UNBOUND] ?? "unknown";
  }

  /** A connection that is over; its record stays for a while. */
  get isOver(): boolean {
    return ((this.#bytes[FlowLayout.STATE] ?? 0) & ~FlowLayout.UNBOUND) === FlowState.tcpClosed;
  }

  get forwardPackets(): number {
    return this.#view.getUint32(FlowLayout.FORWARD_PACKETS, true);
  }

  get reversePackets(): number {
    return this.#view.getUint32(FlowLayout.REVERSE_PACKETS, true);
  }

  /** `nowMs` is of the workers' clock, whose milliseconds wrap at 2^32. */
  idleMs(nowMs: number): number {
    const idleMs = (Math.trunc(nowMs % 2 ** 32) - this.#view.getUint32(FlowLayout.LAST_USED_MS, true)) >>> 0;
    return idleMs > FlowLayout.AGE_MAX_MS ? 0 : idleMs; // a packet came after `nowMs` was taken
  }
}

/** Indices of the instances that flows lead to: of all but closed connections. Copies nothing. */
export function instancesInUse(shared: SharedMemory): Set<number> {
  const used = new Set<number>();
  forEachRecord(shared, (at) => {
    if (shared.bytes[at + FlowLayout.STATE] === FlowState.tcpClosed) return;
    const instance = instanceAt(shared, at);
    if (instance !== undefined) used.add(instance);
  });
  return used;
}

/** Calls with the address of each record that has a flow, and its index; while it looks, the flow may end. Copies nothing. */
export function forEachRecord(
  shared: SharedMemory,
  take: (at: number, record: number) => void,
  first = 1,
  end = flowRecordEnd(shared),
): void {
  const flowsAt = shared.at(Region.flows);
  for (let record = Math.max(first, 1); record < end; record++) {
    const at = flowsAt + record * FlowLayout.SIZE;
    if (shared.bytes[at + FlowLayout.STATE] !== FlowState.free) take(at, record);
  }
}

/** The instance of the flow at an address, unless its record is another instance's now. */
export function instanceAt(shared: SharedMemory, at: number): number | undefined {
  const index = shared.u32[(at + FlowLayout.INSTANCE) >>> 2] ?? 0;
  const incarnation = shared.u32[(at + FlowLayout.INSTANCE_INCARNATION) >>> 2] ?? 0;
  return isIncarnation(shared, index, incarnation) ? index : undefined;
}

/** By how much the packets of each flow grew between two walks. */
export class PacketGrowth {
  #before = new Uint32Array(0);
  #now = new Uint32Array(0);

  /** Of a walk over the records below `end`. */
  begin(end: number): void {
    this.#before = this.#now;
    this.#now = new Uint32Array(end);
  }

  /** A count that is lower than before is another flow's, or began again at 0. */
  grown(record: number, packets: number): number {
    const now = packets >>> 0;
    const before = this.#before[record] ?? 0;
    this.#now[record] = now;
    return now >= before ? now - before : now;
  }
}

/** All live flows, in the order of their records. */
export function liveFlows(shared: SharedMemory): Generator<FlowView> {
  return liveFlowsBetween(shared, 1, flowRecordEnd(shared));
}

/** The live flows among the records from `first` on, below `end`. */
export function* liveFlowsBetween(shared: SharedMemory, first: number, end: number): Generator<FlowView> {
  const flowsAt = shared.at(Region.flows);
  const isInstanceKnown = (index: number, incarnation: number) => isIncarnation(shared, index, incarnation);
  for (let record = Math.max(first, 1); record < end; record++) {
    const at = flowsAt + record * FlowLayout.SIZE;
    if (shared.bytes[at + FlowLayout.STATE] === FlowState.free) continue;
    const copy = shared.bytes.slice(at, at + FlowLayout.SIZE);
    // Ended, and perhaps being filled in anew, while it was copied.
    if (shared.bytes[at + FlowLayout.STATE] === FlowState.free) continue;
    yield new FlowView(copy, record, isInstanceKnown);
  }
}

/** One more than the last record that was ever used. */
export function flowRecordEnd(shared: SharedMemory): number {
  const next = Atomics.load(shared.i32, (HeaderLayout.AT + HeaderLayout.FLOW_NEXT) >>> 2);
  return Math.min(next, 1 + shared.capacities.flows + FlowLayout.SLACK);
}

/** Whether the index of an instance record is still that of the same instance. */
function isIncarnation(shared: SharedMemory, index: number, incarnation: number): boolean {
  const at = shared.at(Region.instances) + index * InstanceLayout.SIZE + InstanceLayout.INCARNATION;
  return shared.u32[at >>> 2] === incarnation;
}
