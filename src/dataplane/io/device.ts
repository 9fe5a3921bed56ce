// What the loop needs of its two devices, and what their implementations share: a worker's area of the memory.
// A device fills receive slots and empties transmit queues, whose structures the engine prepared. Neither method
// throws for a packet; what the kernel does not take is counted by reason.

import type { Counter } from "../../../assembly/shared/counters.ts";
import * as HeaderLayout from "../../../assembly/shared/layout/header.ts";
import { Region } from "../../../assembly/shared/layout/header.ts";
import * as WorkerLayout from "../../../assembly/shared/layout/worker.ts";
import type { DropReason } from "../../../assembly/shared/verdicts.ts";
import { addressOf } from "../../sys/libc.ts";

/**
 * A batch of large frames ends here: what was read must still be in the processor's cache when it is sent, and a
 * small packet behind it should not wait for more.
 */
export const BATCH_BYTES = 131_072;

/** The TUN: frames with a virtio_net_hdr in front. */
export interface FrameDevice {
  /**
   * Fills TUN slots from the first on, at most `most` (BATCH_SIZE unless given), and stores their lengths in
   * WorkerLayout.TUN_LENGTHS; returns how many.
   */
  readBatch(most?: number): number;
  /** Writes out the TUN transmit queue and leaves it empty. */
  writeQueue(): void;
}

/** The tunnel's socket: messages of one or, with GRO or GSO, several datagrams. */
export interface DatagramDevice {
  /** Fills WorkerLayout.UDP_RX from the first on; returns how many messages came. */
  receiveBatch(): number;
  /** Sends the UDP transmit queue and leaves it empty. */
  sendQueue(): void;
}

/** What a wait found, or-ed. */
export const READY_TUN = 1;
export const READY_UDP = 2;

export interface Waiter {
  /** Sleeps until a device has something, somebody wakes it, or `timeoutMs` are over; 0 only looks. */
  wait(timeoutMs: number): number;
}

/** What a worker's loop reads from, writes to and waits for. */
export interface WorkerDevices {
  readonly tun: FrameDevice;
  readonly udp: DatagramDevice;
  readonly waiter: Waiter;
}

/** One worker's area: 32-bit words by byte offset, counters, native addresses. */
export class WorkerArea {
  readonly worker: number;
  /** Byte address within the memory. */
  readonly at: number;
  /** The area as u32; the word of byte offset n is words[n >> 2]. */
  readonly words: Uint32Array;
  /** Native address of the memory, for attach(). */
  readonly memoryBase: bigint;
  readonly #nativeAt: number;

  /** `memoryBase`: 0 where the engine is attached so, because no kernel reads the structures that it fills in. */
  constructor(memory: WebAssembly.Memory, worker: number, memoryBase = addressOf(memory.buffer)) {
    const regions = new Uint32Array(memory.buffer, HeaderLayout.AT + HeaderLayout.REGIONS, Region.count);
    this.worker = worker;
    this.at = (regions[Region.workers] ?? 0) + worker * WorkerLayout.SIZE;
    this.words = new Uint32Array(memory.buffer, this.at, WorkerLayout.SIZE >> 2);
    this.memoryBase = memoryBase;
    this.#nativeAt = Number(this.memoryBase) + this.at;
  }

  /** Native address of a byte of this area. */
  nativeAt(offset: number): number {
    return this.#nativeAt + offset;
  }

  /** The u32 at a byte offset. */
  word(offset: number): number {
    return this.words[offset >> 2] as number;
  }

  setWord(offset: number, value: number): void {
    this.words[offset >> 2] = value;
  }

  count(counter: Counter, amount: number): void {
    this.#add(WorkerLayout.COUNTERS + 8 * counter, amount);
  }

  /** A batch of frames or messages, by its size; `classesAt` is TUN_BATCHES or UDP_BATCHES. */
  countBatch(classesAt: number, size: number): void {
    this.#add(classesAt + 8 * (32 - Math.clz32(size - 1)), 1);
  }

  countEgressDrops(reason: DropReason, packets: number): void {
    this.#add(WorkerLayout.EGRESS_DROPS + 8 * reason, packets);
  }

  countIngressDrops(reason: DropReason, packets: number): void {
    this.#add(WorkerLayout.INGRESS_DROPS + 8 * reason, packets);
  }

  /** Adds to a u64 by halves: a BigInt would be allocated for each batch. Only this thread writes here. */
  #add(offset: number, amount: number): void {
    const low = this.word(offset) + amount;
    this.setWord(offset, low); // kept modulo 2^32
    if (low > 0xffffffff) this.setWord(offset + 4, this.word(offset + 4) + 1);
  }
}
