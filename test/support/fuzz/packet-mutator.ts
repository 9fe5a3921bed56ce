// Makes mutants of packets in an engine's receive slots: what lies there is changed in place.
import * as KernelLayout from "../../../assembly/shared/layout/kernel.ts";
import * as WorkerLayout from "../../../assembly/shared/layout/worker.ts";
import { SOL_UDP, UDP_GRO } from "../../../assembly/shared/sockets.ts";
import * as Virtio from "../../../assembly/shared/virtio.ts";
import type { Random } from "../random.ts";
import { setHeaderChecksum, setIpLength, setTransport } from "./packet-fields.ts";
import type { SeedPool } from "./seed-pool.ts";

/** Values at which arithmetic goes wrong. */
const EDGES = [0, 1, 4, 5, 7, 8, 19, 20, 39, 40, 127, 128, 255, 256, 1279, 1280, 0x7fff, 0x8000, 0xfffe, 0xffff];
/** Protocol numbers and extension headers that are told apart. */
const PROTOCOLS = [0, 1, 4, 6, 17, 41, 43, 44, 47, 50, 51, 58, 59, 60, 132, 135, 136, 255];
const GSO_TYPES = [0, 1, 4, 5, 0x80, 0x81, 0x84, 2, 3, 255];
const CMSG_HEADER = 16;
const CMSG_SPACE = 24;
/** Most bytes that mean something are in front. */
const FRONT = 80;

export class PacketMutator {
  constructor(
    private readonly memory: DataView,
    private readonly frames: SeedPool,
    private readonly messages: SeedPool,
  ) {}

  /** Puts a mutant of a frame into a slot. */
  frame(slot: number, random: Random): void {
    const { frames, memory } = this;
    let length = frames.put(slot, random);
    const at = frames.packetAt(slot);
    if (!random.chance(0.2)) {
      if (random.chance(0.08)) this.mutateOffload(at, length, random);
      if (length > Virtio.SIZE) {
        const rest = this.mutate(at + Virtio.SIZE, length - Virtio.SIZE, frames, random);
        length = rest + Virtio.SIZE;
      }
      if (random.chance(0.003)) length = random.below(Virtio.SIZE + 1);
    } else if (random.chance(0.02)) memory.setUint8(at, memory.getUint8(at) ^ 1);
    frames.setLength(slot, length);
  }

  /** Puts a mutant of a message into a slot. */
  message(slot: number, random: Random): void {
    const { messages } = this;
    let length = messages.put(slot, random);
    if (!random.chance(0.2)) {
      length = this.mutate(messages.packetAt(slot), length, messages, random);
      if (random.chance(0.05)) messages.putOtherSender(slot, random);
      if (random.chance(0.015)) this.mutateControl(slot, length, random);
    }
    messages.setLength(slot, length);
  }

  /** Returns the length of the mutant. */
  private mutate(at: number, length: number, others: SeedPool, random: Random): number {
    let size = length;
    for (let left = 1 + random.below(3); left > 0; left--) size = this.step(at, size, others, random);
    if (random.chance(0.7)) this.mend(at, size, random);
    return size;
  }

  private step(at: number, length: number, others: SeedPool, random: Random): number {
    const { memory } = this;
    if (length === 0) return random.below(64);
    const reach = random.chance(0.85) ? Math.min(length, FRONT) : length;
    const place = random.below(reach);
    switch (random.below(12)) {
      case 0:
      case 1:
        memory.setUint8(at + place, memory.getUint8(at + place) ^ (1 << random.below(8)));
        return length;
      case 2:
        memory.setUint8(at + place, random.below(256));
        return length;
      case 3:
        memory.setUint16(at + (place & ~1), EDGES[random.below(EDGES.length)] as number);
        return length;
      case 4:
        memory.setUint16(at + (place & ~1), length + random.below(9) - 4);
        return length;
      case 5:
        return random.below(length + 1);
      case 6:
        return Math.min(length + random.below(64), WorkerLayout.FRAME_MAX - Virtio.SIZE);
      case 7:
        others.splice(at, place, Math.min(length, place + 1 + random.below(24)), random);
        return length;
      case 8:
        memory.setUint8(at + random.pick([6, 9]), PROTOCOLS[random.below(PROTOCOLS.length)] as number);
        return length;
      case 9:
        // Of IPv4 the fragment, of IPv6 the payload length and the next header.
        memory.setUint16(at + 6, random.below(2) === 0 ? random.below(0x4000) : 0x2000 | random.below(4));
        return length;
      case 10:
        memory.setUint8(at + random.pick([0, 1, 7, 8, 32, 33, 52, 53]), random.below(256));
        return length;
      default:
        return this.insert(at, length, random);
    }
  }

  /** Behind the IP header: as options, an extension header or a nested header might be. */
  private insert(at: number, length: number, random: Random): number {
    const { memory } = this;
    const place = memory.getUint8(at) >>> 4 === 6 ? 40 : 20;
    const size = 8 * (1 + random.below(3));
    if (length < place || length > 256) return length;
    for (let i = length - 1; i >= place; i--) memory.setUint8(at + i + size, memory.getUint8(at + i));
    if (place === 20) {
      if (random.chance(0.5)) memory.setUint8(at, 0x45 + (size >>> 2));
      for (let i = 0; i < size; i++) memory.setUint8(at + place + i, random.chance(0.5) ? 1 : random.below(256));
      return length + size;
    }
    memory.setUint8(at + place, memory.getUint8(at + 6));
    memory.setUint8(at + place + 1, (size >>> 3) - 1);
    for (let i = 2; i < size; i++) memory.setUint8(at + place + i, random.chance(0.6) ? 0 : random.below(256));
    memory.setUint8(at + 6, random.pick([0, 43, 44, 51, 60, 135]));
    return length + size;
  }

  /** So that what was changed is not refused for its lengths and checksums alone. */
  private mend(at: number, length: number, random: Random): void {
    if (random.chance(0.8)) setIpLength(this.memory, at, length);
    if (random.chance(0.4)) setTransport(this.memory, at, length);
    setHeaderChecksum(this.memory, at, length);
  }

  /** The virtio_net_hdr in front of a frame. */
  private mutateOffload(at: number, length: number, random: Random): void {
    const { memory } = this;
    switch (random.below(4)) {
      case 0:
        return memory.setUint8(at + random.below(Virtio.SIZE), random.below(256));
      case 1:
        return memory.setUint16(at + 2 * random.below(5), EDGES[random.below(EDGES.length)] as number, true);
      case 2:
        memory.setUint8(at, random.below(4));
        memory.setUint16(at + 6, random.pick([20, 24, 40, 48, length, random.below(256)]), true);
        return memory.setUint16(at + 8, random.pick([2, 6, 16, 0, random.below(64)]), true);
      default:
        memory.setUint8(at, random.below(2));
        memory.setUint8(at + 1, GSO_TYPES[random.below(GSO_TYPES.length)] as number);
        memory.setUint16(at + 2, random.pick([20, 28, 40, 52, 60, length]), true);
        return memory.setUint16(at + 4, random.pick([0, 1, 7, 8, 100, 536, 1400, length]), true);
    }
  }

  /** What the kernel says of a message: the size of its datagrams, and whether it was cut. */
  private mutateControl(slot: number, length: number, random: Random): void {
    const { memory, messages } = this;
    const header = messages.headerAt(slot);
    if (random.chance(0.1)) return memory.setUint32(header + KernelLayout.MMSGHDR_FLAGS, 0x20, true);
    const at = messages.controlAt(slot);
    memory.setBigUint64(at, BigInt(CMSG_HEADER + 4), true);
    memory.setUint32(at + 8, SOL_UDP, true);
    memory.setUint32(at + 12, UDP_GRO, true);
    const size = random.pick([0, 20, 28, 40, 60, 100, length, length + 1, 1 + random.below(length + 1)]);
    memory.setUint32(at + CMSG_HEADER, size, true);
    memory.setUint32(header + KernelLayout.MMSGHDR_CONTROL_LENGTH, CMSG_SPACE, true);
  }
}
