// Packets that mutants are made of, as they lie in an engine's receive slots: in one array, copied word by word, so that
// a mutant costs no garbage.
import * as KernelLayout from "../../../assembly/shared/layout/kernel.ts";
import * as NodeLayout from "../../../assembly/shared/layout/node.ts";
import * as WorkerLayout from "../../../assembly/shared/layout/worker.ts";
import { UDP_GRO } from "../../../assembly/shared/sockets.ts";
import { addressText } from "../packet-builder.ts";
import type { Random } from "../random.ts";
import type { Message } from "../reference/translator.ts";

/** Bytes of a seed in front of its packet: sockaddr, control messages, then length, control length and flags. */
const NAME_AT = 0;
const CONTROL_AT = NodeLayout.ENDPOINT_SIZE;
const LENGTH_AT = CONTROL_AT + KernelLayout.CONTROL_SIZE;
const CONTROL_LENGTH_AT = LENGTH_AT + 4;
const FLAGS_AT = LENGTH_AT + 8;
const HEAD = 128;
// struct cmsghdr
const CMSG_TYPE = 12;
const CMSG_DATA = 16;
const CMSG_SPACE = 24;
/** recvmsg() cut the message: linux/socket.h. */
const MSG_TRUNC = 0x20;
const { SOCKADDR_ADDRESS } = KernelLayout;
const V4_MAPPED = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff];
const SMALL = 1536;
const LARGE = WorkerLayout.FRAME_MAX;
const LARGE_COUNT = 16;
/** Part of the mutants that is made of a large seed. */
const LARGE_SHARE = 0.001;

export class SeedPool {
  private readonly view: DataView;
  private readonly words: Uint32Array;
  private readonly memoryWords: Uint32Array;
  private readonly largeAt: number;
  private small = 0;
  private large = 0;

  /** Of frames or messages of the worker whose area is at `workerAt`; at most `capacity` small ones are kept. */
  constructor(
    private readonly memory: DataView,
    private readonly workerAt: number,
    private readonly isMessages: boolean,
    private readonly capacity: number,
  ) {
    this.largeAt = capacity * (HEAD + SMALL);
    const bytes = new ArrayBuffer(this.largeAt + LARGE_COUNT * (HEAD + LARGE));
    this.view = new DataView(bytes);
    this.words = new Uint32Array(bytes);
    this.memoryWords = new Uint32Array(memory.buffer);
  }

  /** Keeps what is in a receive slot; when there is no room, in the place of one of the oldest. */
  keep(slot: number): void {
    const length = this.lengthOf(slot);
    const isLarge = length > SMALL;
    const at = isLarge
      ? this.largeAt + (this.large++ % LARGE_COUNT) * (HEAD + LARGE)
      : (this.small++ % this.capacity) * (HEAD + SMALL);
    if (this.isMessages) {
      copy(this.memoryWords, this.nameAt(slot), this.words, at + NAME_AT, NodeLayout.ENDPOINT_SIZE);
      copy(this.memoryWords, this.controlAt(slot), this.words, at + CONTROL_AT, KernelLayout.CONTROL_SIZE);
      const header = this.headerAt(slot);
      const controls = this.memory.getUint32(header + KernelLayout.MMSGHDR_CONTROL_LENGTH, true);
      this.view.setUint32(at + CONTROL_LENGTH_AT, controls, true);
      this.view.setUint32(at + FLAGS_AT, this.memory.getUint32(header + KernelLayout.MMSGHDR_FLAGS, true), true);
    }
    this.view.setUint32(at + LENGTH_AT, length, true);
    copy(this.memoryWords, this.packetAt(slot), this.words, at + HEAD, length);
  }

  /** Puts one of the seeds into a receive slot; returns its length. */
  put(slot: number, random: Random): number {
    const at = this.any(random);
    const length = this.view.getUint32(at + LENGTH_AT, true);
    copy(this.words, at + HEAD, this.memoryWords, this.packetAt(slot), length);
    if (this.isMessages) {
      copy(this.words, at + CONTROL_AT, this.memoryWords, this.controlAt(slot), KernelLayout.CONTROL_SIZE);
      const header = this.headerAt(slot);
      const controls = this.view.getUint32(at + CONTROL_LENGTH_AT, true);
      this.memory.setUint32(header + KernelLayout.MMSGHDR_CONTROL_LENGTH, controls, true);
      this.memory.setUint32(header + KernelLayout.MMSGHDR_FLAGS, this.view.getUint32(at + FLAGS_AT, true), true);
      this.putName(slot, at);
    }
    return length;
  }

  /** Lets a message come from where another one came from. */
  putOtherSender(slot: number, random: Random): void {
    this.putName(slot, this.any(random));
  }

  /** Overwrites bytes of a packet by those at the same place of another one. */
  splice(packetAt: number, from: number, end: number, random: Random): void {
    const at = this.any(random) + HEAD;
    for (let i = from; i < end; i++) this.memory.setUint8(packetAt + i, this.view.getUint8(at + (i % SMALL)));
  }

  /** A copy of the bytes in a slot. */
  bytesOf(slot: number): Uint8Array {
    const at = this.packetAt(slot);
    return new Uint8Array(this.memory.buffer).slice(at, at + this.lengthOf(slot));
  }

  /** A copy of the message in a slot. */
  messageOf(slot: number): Message {
    const at = this.nameAt(slot);
    const address = new Uint8Array(this.memory.buffer).slice(at + SOCKADDR_ADDRESS, at + SOCKADDR_ADDRESS + 16);
    const isV4 = V4_MAPPED.every((byte, i) => address[i] === byte);
    const header = this.headerAt(slot);
    const control = this.controlAt(slot);
    const controls = this.memory.getUint32(header + KernelLayout.MMSGHDR_CONTROL_LENGTH, true);
    const isJoined = controls > 0 && this.memory.getUint32(control + CMSG_TYPE, true) === UDP_GRO;
    const last = control + controls - CMSG_SPACE;
    const hasClass = controls > (isJoined ? CMSG_SPACE : 0);
    return {
      address: addressText(isV4 ? address.subarray(12) : address),
      port: this.memory.getUint16(at + KernelLayout.SOCKADDR_PORT),
      bytes: this.bytesOf(slot),
      segmentSize: (isJoined && this.memory.getUint32(control + CMSG_DATA, true)) || undefined, // the kernel gives no 0
      trafficClass: hasClass ? this.memory.getUint8(last + CMSG_DATA) : undefined,
      isTruncated: (this.memory.getUint32(header + KernelLayout.MMSGHDR_FLAGS, true) & MSG_TRUNC) !== 0,
    };
  }

  setLength(slot: number, length: number): void {
    const at = this.isMessages
      ? this.headerAt(slot) + KernelLayout.MMSGHDR_LENGTH
      : this.workerAt + WorkerLayout.TUN_LENGTHS + 4 * slot;
    this.memory.setUint32(at, length, true);
  }

  lengthOf(slot: number): number {
    const at = this.isMessages
      ? this.headerAt(slot) + KernelLayout.MMSGHDR_LENGTH
      : this.workerAt + WorkerLayout.TUN_LENGTHS + 4 * slot;
    return this.memory.getUint32(at, true);
  }

  /** Size of the datagrams of a message, as the engine reads it; one is as long as the message. */
  datagramSize(slot: number): number {
    const at = this.controlAt(slot);
    const controls = this.memory.getUint32(this.headerAt(slot) + KernelLayout.MMSGHDR_CONTROL_LENGTH, true);
    const isJoined = controls > 0 && this.memory.getUint32(at + CMSG_TYPE, true) === UDP_GRO;
    return (isJoined && this.memory.getUint32(at + CMSG_DATA, true)) || this.lengthOf(slot);
  }

  /** First byte of what lies in a slot. */
  packetAt(slot: number): number {
    const slots = this.isMessages ? WorkerLayout.UDP_SLOTS : WorkerLayout.TUN_SLOTS;
    return this.workerAt + slots + slot * WorkerLayout.SLOT_SIZE + WorkerLayout.SLOT_HEADROOM;
  }

  headerAt(slot: number): number {
    return this.workerAt + WorkerLayout.UDP_RX + slot * KernelLayout.MMSGHDR_SIZE;
  }

  controlAt(slot: number): number {
    return this.workerAt + WorkerLayout.UDP_RX_CONTROLS + slot * KernelLayout.CONTROL_SIZE;
  }

  nameAt(slot: number): number {
    return this.workerAt + WorkerLayout.UDP_RX_NAMES + slot * NodeLayout.ENDPOINT_SIZE;
  }

  private putName(slot: number, at: number): void {
    copy(this.words, at + NAME_AT, this.memoryWords, this.nameAt(slot), KernelLayout.SOCKADDR_SIZE);
  }

  private any(random: Random): number {
    if (this.large > 0 && random.chance(LARGE_SHARE)) {
      return this.largeAt + random.below(Math.min(this.large, LARGE_COUNT)) * (HEAD + LARGE);
    }
    return random.below(Math.min(this.small, this.capacity)) * (HEAD + SMALL);
  }
}

/** Whole words: up to three bytes more than `length`, which are nobody's. */
function copy(from: Uint32Array, fromAt: number, to: Uint32Array, toAt: number, length: number): void {
  const end = (length + 3) >>> 2;
  for (let i = 0; i < end; i++) to[(toAt >>> 2) + i] = from[(fromAt >>> 2) + i] as number;
}
