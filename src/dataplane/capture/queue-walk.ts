// What the engine queued in a call, packet by packet, as the pieces of memory that each consists of.

import * as KernelLayout from "../../../assembly/shared/layout/kernel.ts";
import * as NodeLayout from "../../../assembly/shared/layout/node.ts";
import * as WorkerLayout from "../../../assembly/shared/layout/worker.ts";
import * as Virtio from "../../../assembly/shared/virtio.ts";
import type { WorkerArea } from "../io/device.ts";

/** Where a message's control messages say the size of its datagrams: behind the class. */
const SEGMENT_SIZE_AT = KernelLayout.CMSG_SIZE + KernelLayout.CMSG_DATA;

export class QueueWalk {
  readonly #area: WorkerArea;
  readonly #memory: Uint8Array;
  readonly #base: number;

  constructor(area: WorkerArea) {
    this.#area = area;
    this.#memory = new Uint8Array(area.words.buffer);
    this.#base = Number(area.memoryBase);
  }

  /** Address of the sockaddr_in6 that the message of a slot came from. */
  senderOf(slot: number): number {
    return this.#area.at + WorkerLayout.UDP_RX_NAMES + slot * NodeLayout.ENDPOINT_SIZE;
  }

  /** Each datagram of the UDP transmit queue; `peer` is the address of the sockaddr_in6 that it goes to. */
  datagrams(take: (parts: readonly Uint8Array[], length: number, peer: number) => void): void {
    const count = this.#area.word(WorkerLayout.UDP_TX_COUNT);
    for (let message = 0; message < count; message++) {
      const at = WorkerLayout.UDP_TX + message * KernelLayout.MMSGHDR_SIZE;
      const peer = this.#pointer(at + KernelLayout.MMSGHDR_NAME);
      const control = WorkerLayout.UDP_TX_CONTROLS + message * WorkerLayout.UDP_TX_CONTROL_SIZE;
      const isOne = this.#area.word(at + KernelLayout.MMSGHDR_LENGTH) < 2;
      const size = isOne ? Number.POSITIVE_INFINITY : this.#area.word(control + SEGMENT_SIZE_AT);
      let parts: Uint8Array[] = [];
      let length = 0;
      for (const part of this.#parts(
        at + KernelLayout.MMSGHDR_IOV,
        this.#area.word(at + KernelLayout.MMSGHDR_IOV_COUNT),
      )) {
        parts.push(part);
        length += part.length;
        if (length < size) continue;
        take(parts, length, peer);
        [parts, length] = [[], 0];
      }
      if (length > 0) take(parts, length, peer);
    }
  }

  /** Each packet of the TUN transmit queue, without its virtio_net_hdr; a super-packet is one. */
  frames(take: (parts: readonly Uint8Array[], length: number) => void): void {
    const count = this.#area.word(WorkerLayout.TUN_TX_COUNT);
    for (let frame = 0; frame < count; frame++) {
      const at = WorkerLayout.TUN_TX + frame * WorkerLayout.TUN_TX_SIZE;
      const parts = this.#parts(at + WorkerLayout.TUN_TX_IOV, this.#area.word(at + WorkerLayout.TUN_TX_IOV_COUNT));
      parts[0] = (parts[0] as Uint8Array).subarray(Virtio.SIZE); // is whole in the first piece
      take(
        parts,
        parts.reduce((sum, part) => sum + part.length, 0),
      );
    }
  }

  /** The iovecs that the native address at `offset` leads to. */
  #parts(offset: number, count: number): Uint8Array[] {
    const first = this.#pointer(offset) - this.#area.at;
    const parts: Uint8Array[] = [];
    for (let iovec = first; parts.length < count; iovec += KernelLayout.IOVEC_SIZE) {
      const at = this.#pointer(iovec);
      parts.push(this.#memory.subarray(at, at + this.#area.word(iovec + KernelLayout.IOVEC_LENGTH)));
    }
    return parts;
  }

  /** The address in this memory of a native one. */
  #pointer(offset: number): number {
    return this.#area.word(offset) + this.#area.word(offset + 4) * 2 ** 32 - this.#base;
  }
}
