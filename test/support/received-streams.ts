// Seeded random streams as they come out of the tunnel: TCP segments and UDP datagrams of several flows, most in
// order and alike, some with everything that must keep packets apart.
import { FLAG, packet, pad } from "./packet-builder.ts";
import type { Random } from "./random.ts";
import type { Message } from "./reference/translator.ts";

/** Whom the packets are from and to, as they stand on the wire. */
export interface Ends {
  readonly src: string;
  readonly dst: string;
  readonly sport: number;
  readonly dport: number;
  readonly isTcp: boolean;
}

const OPTIONS: readonly (readonly number[])[] = [
  [],
  [1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2],
  [1, 1, 8, 10, 0, 0, 0, 3, 0, 0, 0, 2],
  [1, 1, 5, 10, 0, 0, 0, 3, 0, 0, 0, 9],
  [1, 1, 1, 1],
];
const ODD_FLAGS = [
  FLAG.FIN,
  FLAG.RST,
  FLAG.SYN,
  FLAG.URG,
  FLAG.CWR,
  FLAG.ECE,
  FLAG.CWR | FLAG.ECE,
  FLAG.FIN | FLAG.PSH,
];
/** Bytes that one receive buffer takes, and UDP_GRO joins. */
const MESSAGE_MAX = 65_507;
/** What the builder must not repair: a field that is wrong, or right in the other form of zero. */
const CHECKSUMS = [0, 0xffff, 0x1234];

/** One flow: what its next packet looks like, unless something interferes. */
class Stream {
  private readonly random: Random;
  private size: number;
  private seq: number;
  private ack: number;
  private id: number;
  private window = 64240;
  private options: readonly number[];
  private tos = 0;
  private ttl = 64;
  private fragment = 0x4000;
  private label = 0;

  constructor(
    private readonly ends: Ends,
    random: Random,
  ) {
    this.random = random;
    this.size = random.pick([1, 2, 7, 64, 99, 100, 536, 1000, 1400, 9000]);
    this.seq = random.chance(0.3) ? 0xffffff00 : random.u32();
    this.ack = random.u32();
    this.id = random.chance(0.3) ? 0xfff8 : random.below(0x10000);
    this.options = random.pick(OPTIONS);
  }

  /** The next packet, as one that follows the last or as one that does not quite. */
  next(oddity: number): Uint8Array {
    const { random } = this;
    const isOdd = random.chance(oddity);
    if (isOdd) this.change();
    const length = isOdd && random.chance(0.3) ? random.between(0, this.size + 1) : this.size;
    const flags =
      FLAG.ACK | (random.chance(0.05) ? FLAG.PSH : 0) | (isOdd && random.chance(0.3) ? random.pick(ODD_FLAGS) : 0);
    const checksum = isOdd && random.chance(0.3) ? random.pick(CHECKSUMS) : undefined;
    const bytes = this.build(length, flags, checksum);
    this.seq = (this.seq + length) >>> 0;
    this.id = (this.id + 1) & 0xffff;
    return isOdd ? this.damage(bytes) : bytes;
  }

  /** What stays so from here on. */
  private change(): void {
    const { random } = this;
    const changes = [
      () => (this.seq = (this.seq + random.pick([1, this.size, 2 ** 31])) >>> 0),
      () => (this.seq = (this.seq - this.size) >>> 0),
      () => (this.ack = (this.ack + 1) >>> 0),
      () => (this.id = (this.id + random.pick([1, 0xffff])) & 0xffff),
      () => (this.window = random.below(0x10000)),
      () => (this.options = random.pick(OPTIONS)),
      () => (this.tos = random.pick([0, 1, 2, 3, 0x10])),
      () => (this.ttl = random.between(1, 255)),
      () => (this.fragment = random.pick([0, 0x4000])),
      () => (this.label = random.below(0x100000)),
      () => (this.size = random.pick([1, 2, 7, 100, 1400])),
    ];
    random.pick(changes)();
  }

  private build(length: number, flags: number, checksum: number | undefined): Uint8Array {
    const { src, dst, sport, dport, isTcp } = this.ends;
    const { random, seq, ack, window, options } = this;
    const ip = src.includes(":")
      ? packet().ipv6({ src, dst, trafficClass: this.tos, hopLimit: this.ttl, flowLabel: this.label })
      : packet().ipv4({ src, dst, tos: this.tos, ttl: this.ttl, id: this.id, fragment: this.fragment });
    const given = checksum === undefined ? {} : { checksum };
    const transport = isTcp
      ? ip.tcp({ sport, dport, seq, ack, flags, window, options, ...given })
      : ip.udp({ sport, dport, ...given });
    return transport.payload(random.bytes(length)).bytes();
  }

  private damage(bytes: Uint8Array): Uint8Array {
    const { random } = this;
    if (random.chance(0.1)) return pad(bytes, random.between(1, 9));
    if (!random.chance(0.2)) return bytes;
    const copy = bytes.slice();
    const isV4 = !this.ends.src.includes(":");
    // The IPv4 header checksum, or the last byte, which the transport's checksum covers.
    const at = isV4 && random.chance(0.5) ? 10 : copy.length - 1;
    copy[at] = (copy[at] ?? 0) ^ (1 << random.below(8));
    return copy;
  }
}

/** Packets of the flows in bursts, reordered and repeated now and then. */
export function randomPackets(flows: readonly Ends[], random: Random, count: number): Uint8Array[] {
  const streams = flows.map((ends) => new Stream(ends, random));
  const oddity = random.pick([0, 0.02, 0.1, 0.4]);
  const packets: Uint8Array[] = [];
  while (packets.length < count) {
    const stream = random.pick(streams);
    for (let burst = random.pick([1, 2, 20, 70]); burst > 0; burst--) packets.push(stream.next(oddity));
  }
  for (let i = 1; i < packets.length; i++) {
    const [before, here] = [packets[i - 1], packets[i]];
    if (before === undefined || here === undefined) continue;
    const isRepeated = random.chance(oddity / 10);
    const isSwapped = random.chance(oddity / 10);
    if (isSwapped) packets[i - 1] = here;
    if (isSwapped || isRepeated) packets[i] = before;
  }
  return packets;
}

/** The packets as UDP_GRO hands them over: several of one size in a message, of which the last may be shorter. */
export function asMessages(
  packets: readonly Uint8Array[],
  from: { readonly address: string; readonly port: number },
  most: () => number = () => packets.length,
): Message[] {
  const messages: Message[] = [];
  let parts: Uint8Array[] = [];
  let left = 0;
  let room = 0;
  for (const bytes of packets) {
    const segmentSize = parts[0]?.length ?? 0;
    const isFull = left === 0 || (parts.at(-1)?.length ?? 0) < segmentSize;
    if (isFull || bytes.length > segmentSize || bytes.length > room) {
      if (parts.length > 0) messages.push(asMessage(parts, from));
      parts = [];
      left = most();
      room = MESSAGE_MAX;
    }
    parts.push(bytes);
    left--;
    room -= bytes.length;
  }
  if (parts.length > 0) messages.push(asMessage(parts, from));
  return messages;
}

function asMessage(parts: readonly Uint8Array[], from: { readonly address: string; readonly port: number }): Message {
  const bytes = Buffer.concat(parts);
  return parts.length === 1 ? { ...from, bytes } : { ...from, bytes, segmentSize: parts[0]?.length ?? 0 };
}
