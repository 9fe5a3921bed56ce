// Takes a worker's packets, keeps those that a capture wants, and puts copies of them into the ring.

import { Counter } from "../../../assembly/shared/counters.ts";
import * as FlowLayout from "../../../assembly/shared/layout/flow.ts";
import * as KernelLayout from "../../../assembly/shared/layout/kernel.ts";
import { Verdict } from "../../../assembly/shared/verdicts.ts";
import { ADDRESS_SIZE } from "../../net/address.ts";
import { addressKey } from "../../net/address-key.ts";
import type { WorkerArea } from "../io/device.ts";
import type { CaptureFilter, CapturePoint } from "./capture-contract.ts";
import * as CaptureRecord from "./capture-record.ts";
import { RingWriter } from "./capture-ring.ts";
import { hasAddresses, hasKey, matches, packetKey } from "./packet-match.ts";

/** What a packet's head may have that filters look at: IP header with extensions, and ports. */
const HEAD_MAX = 512;
const NOTHING = new Uint8Array(0);

/** What happened to a packet. Addresses are of the memory, 0 = none. */
interface PacketVerdict {
  readonly verdict: number; // Verdict
  readonly reason: number; // DropReason
  readonly flow: number;
  readonly peer: number; // sockaddr_in6
}

export class CaptureTap {
  readonly #area: WorkerArea;
  readonly #memory: Uint8Array;
  readonly #ring: RingWriter;
  readonly #filters: readonly CaptureFilter[];
  /** Whether any of them looks at it. */
  readonly #hasKey: boolean;
  readonly #hasAddresses: boolean;
  readonly #clock: () => number;

  /** `clock`: microseconds since 1970. */
  constructor(area: WorkerArea, ring: SharedArrayBuffer, filters: readonly CaptureFilter[], clock: () => number) {
    this.#area = area;
    this.#memory = new Uint8Array(area.words.buffer);
    this.#ring = new RingWriter(ring);
    this.#filters = filters;
    this.#hasKey = filters.some(hasKey);
    this.#hasAddresses = filters.some(hasAddresses);
    this.#clock = clock;
  }

  /** Packets that could not be captured. */
  lose(packets: number): void {
    if (packets === 0) return;
    this.#area.count(Counter.packetsNotCaptured, packets);
    this.#ring.lose(packets);
  }

  /** A packet in pieces, `length` bytes together. */
  take(point: CapturePoint, parts: readonly Uint8Array[], length: number, said: PacketVerdict): void {
    const target = said.flow === 0 ? 0 : said.flow + FlowLayout.TARGET;
    const head = this.#hasKey ? headOf(parts) : NOTHING;
    const key = packetKey(head, head.length);
    const targetKey = target === 0 || !this.#hasAddresses ? "" : addressKey(this.#memory, target);
    let captures = 0;
    let captured = 0;
    for (const filter of this.#filters) {
      if (!matches(filter, key, said.verdict === Verdict.dropped, targetKey)) continue;
      captures |= 1 << filter.bit;
      captured = Math.max(captured, Math.min(length, filter.snapLength));
    }
    if (captures === 0) return;
    const at = this.#ring.reserve(captured);
    if (at < 0) return this.#area.count(Counter.packetsNotCaptured, 1);
    const { record, content } = this.#ring;
    record.setUint8(at + CaptureRecord.CAPTURES_AT, captures);
    record.setUint8(at + CaptureRecord.POINT_AT, point);
    record.setUint8(at + CaptureRecord.VERDICT_AT, said.verdict);
    record.setUint8(at + CaptureRecord.REASON_AT, said.reason);
    record.setUint32(at + CaptureRecord.LENGTH_AT, length, true);
    record.setUint32(at + CaptureRecord.CAPTURED_AT, captured, true);
    record.setFloat64(at + CaptureRecord.TIME_AT, this.#clock(), true);
    this.#copyAddress(
      content,
      at + CaptureRecord.PEER_AT,
      said.peer === 0 ? 0 : said.peer + KernelLayout.SOCKADDR_ADDRESS,
    );
    if (said.peer !== 0)
      record.setUint16(
        at + CaptureRecord.PEER_PORT_AT,
        portAt(this.#memory, said.peer + KernelLayout.SOCKADDR_PORT),
        true,
      );
    this.#copyAddress(content, at + CaptureRecord.TARGET_AT, target);
    copyParts(parts, captured, content, at + CaptureRecord.HEADER_SIZE);
    this.#ring.commit(at, captured);
  }

  #copyAddress(to: Uint8Array, at: number, from: number): void {
    if (from === 0) to.fill(0, at, at + ADDRESS_SIZE);
    else to.set(this.#memory.subarray(from, from + ADDRESS_SIZE), at);
  }
}

/** The beginning of a packet in one piece, as far as filters look. */
function headOf(parts: readonly Uint8Array[]): Uint8Array {
  const [first = NOTHING] = parts;
  if (first.length >= HEAD_MAX || parts.length < 2) return first;
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  const head = new Uint8Array(Math.min(HEAD_MAX, length));
  copyParts(parts, head.length, head, 0);
  return head;
}

/** The first `length` bytes of what is in pieces. */
function copyParts(parts: readonly Uint8Array[], length: number, to: Uint8Array, at: number): void {
  let done = 0;
  for (const part of parts) {
    if (done === length) return;
    const piece = part.subarray(0, length - done);
    to.set(piece, at + done);
    done += piece.length;
  }
}

function portAt(bytes: Uint8Array, at: number): number {
  return ((bytes[at] as number) << 8) | (bytes[at + 1] as number);
}
