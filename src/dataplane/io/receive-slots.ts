// What a device has received, taken out of its slots and put back: the frames of a TUN, the messages of a socket with
// where they came from and their control messages.

import * as KernelLayout from "../../../assembly/shared/layout/kernel.ts";
import * as NodeLayout from "../../../assembly/shared/layout/node.ts";
import * as WorkerLayout from "../../../assembly/shared/layout/worker.ts";
import type { WorkerArea } from "./device.ts";
import { renewMessage } from "./udp-device.ts";

/** A copy of what was received. */
export interface Received {
  readonly bytes: Uint8Array;
  /** Of a message: sockaddr, control messages, and the words of the mmsghdr that describe them. */
  readonly about: readonly Uint8Array[];
}

export interface ReceiveSlots {
  take(index: number): Received;
  put(index: number, received: Received): void;
  /** Prepares the first slots, into which something was put, for the next call. */
  renew(count: number): void;
}

export class FrameSlots implements ReceiveSlots {
  readonly #area: WorkerArea;

  constructor(area: WorkerArea) {
    this.#area = area;
  }

  take(index: number): Received {
    const length = this.#area.word(WorkerLayout.TUN_LENGTHS + 4 * index);
    return { bytes: this.#frame(index, length).slice(), about: [] };
  }

  put(index: number, { bytes }: Received): void {
    this.#frame(index, bytes.length).set(bytes);
    this.#area.setWord(WorkerLayout.TUN_LENGTHS + 4 * index, bytes.length);
  }

  renew(): void {}

  #frame(index: number, length: number): Uint8Array {
    return bytesAt(
      this.#area,
      WorkerLayout.TUN_SLOTS + index * WorkerLayout.SLOT_SIZE + WorkerLayout.SLOT_HEADROOM,
      length,
    );
  }
}

/** Words of an mmsghdr that recvmmsg() writes. */
const WRITTEN = [KernelLayout.MMSGHDR_NAME_LENGTH, KernelLayout.MMSGHDR_CONTROL_LENGTH, KernelLayout.MMSGHDR_FLAGS];

export class MessageSlots implements ReceiveSlots {
  readonly #area: WorkerArea;

  constructor(area: WorkerArea) {
    this.#area = area;
  }

  take(index: number): Received {
    const length = this.#area.word(
      WorkerLayout.UDP_RX + index * KernelLayout.MMSGHDR_SIZE + KernelLayout.MMSGHDR_LENGTH,
    );
    return { bytes: this.#payload(index, length).slice(), about: this.#about(index).map((part) => part.slice()) };
  }

  put(index: number, { bytes, about }: Received): void {
    this.#payload(index, bytes.length).set(bytes);
    for (const [i, part] of this.#about(index).entries()) part.set(about[i] as Uint8Array);
    this.#area.setWord(
      WorkerLayout.UDP_RX + index * KernelLayout.MMSGHDR_SIZE + KernelLayout.MMSGHDR_LENGTH,
      bytes.length,
    );
  }

  renew(count: number): void {
    for (let index = 0; index < count; index++) renewMessage(this.#area, index);
  }

  #payload(index: number, length: number): Uint8Array {
    return bytesAt(
      this.#area,
      WorkerLayout.UDP_SLOTS + index * WorkerLayout.SLOT_SIZE + WorkerLayout.SLOT_HEADROOM,
      length,
    );
  }

  #about(index: number): Uint8Array[] {
    const header = WorkerLayout.UDP_RX + index * KernelLayout.MMSGHDR_SIZE;
    return [
      bytesAt(this.#area, WorkerLayout.UDP_RX_NAMES + index * NodeLayout.ENDPOINT_SIZE, NodeLayout.ENDPOINT_SIZE),
      bytesAt(this.#area, WorkerLayout.UDP_RX_CONTROLS + index * KernelLayout.CONTROL_SIZE, KernelLayout.CONTROL_SIZE),
      ...WRITTEN.map((field) => bytesAt(this.#area, header + field, 4)),
    ];
  }
}

function bytesAt({ words }: WorkerArea, offset: number, length: number): Uint8Array {
  return new Uint8Array(words.buffer, words.byteOffset + offset, length);
}
