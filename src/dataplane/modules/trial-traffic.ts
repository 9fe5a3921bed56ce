// Random traffic by which two engines are compared: calls of all sizes and ports over both families, answers, requests
// from outside, super-packets, fragments, pings, other protocols, ICMP errors, and a share of each broken on purpose.
// All of it follows from one seed. Which answer is right is for the engine in force to say (engine-comparison.ts).

import * as Protocol from "../../../assembly/shared/protocol.ts";
import * as Virtio from "../../../assembly/shared/virtio.ts";
import * as Ip from "./ip-packet.ts";

const PAYLOAD_MAX = 16_384;

/** The generator of MurmurHash3's finaliser over a counter: the same numbers in every trial. */
export class Dice {
  #state: number;
  #payload: Uint8Array | undefined; // random bytes, made once

  constructor(seed: number) {
    this.#state = seed;
  }

  u32(): number {
    this.#state = (this.#state + 0x9e3779b9) | 0;
    let h = this.#state;
    h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
    h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
    return (h ^ (h >>> 16)) >>> 0;
  }

  below(limit: number): number {
    return this.u32() % limit;
  }

  chance(probability: number): boolean {
    return this.u32() < probability * 2 ** 32;
  }

  pick<Value>(values: readonly Value[]): Value {
    return values[this.below(values.length)] as Value;
  }

  /** At most PAYLOAD_MAX. */
  bytes(length: number): Uint8Array {
    this.#payload ??= Uint8Array.from({ length: 2 * PAYLOAD_MAX }, () => this.u32() & 0xff);
    return this.#payload.subarray(this.below(PAYLOAD_MAX)).subarray(0, length);
  }
}

/** Addresses as text, of one family. */
export interface Ends {
  readonly source: string;
  readonly destination: string;
}

const PORTS = [1, 53, 80, 123, 443, 1023, 1024, 4433, 5000, 8080, 32768, 40000, 50103, 65534, 65535];
const SIZES = [0, 1, 7, 8, 64, 199, 200, 201, 512, 1200, 1372, 1400, 1452, 1472, 1500, 4000];
const DSCPS = [0, 10, 46];
const TCP_FLAGS = [0x02, 0x10, 0x18, 0x11, 0x14, 0x04, 0x12, 0x29];
const OTHER_PROTOCOLS = [47, 50, 132, 4, 253];
/** Type and code: not reachable, too long, time exceeded. */
type IcmpError = readonly [number, number];
const ERRORS_V4: readonly IcmpError[] = [
  [3, 3],
  [3, 1],
  [3, 4],
  [11, 0],
];
const ERRORS_V6: readonly IcmpError[] = [
  [1, 4],
  [1, 0],
  [2, 0],
  [3, 0],
];
const SEGMENT_MAX = 1400;

export class TrialTraffic {
  readonly #dice: Dice;
  /** By their texts: the few addresses of a trial come again and again. */
  readonly #raw = new Map<string, Uint8Array>();

  constructor(dice: Dice) {
    this.#dice = dice;
  }

  /** A frame from the TUN. */
  frame(ends: Ends): Uint8Array {
    const dice = this.#dice;
    if (dice.chance(0.1)) return this.#broken(this.#superPacket(ends));
    const packet = dice.chance(0.08) ? this.#fragment(ends) : this.packet(ends);
    return this.#broken(concat(new Uint8Array(Virtio.SIZE), packet));
  }

  /** Of an outer header: mostly 0, else any ECN and a few DSCP. */
  trafficClass(): number {
    return this.#dice.chance(0.7) ? 0 : (this.#dice.pick(DSCPS) << 2) | this.#dice.below(4);
  }

  /** A whole IP packet. */
  packet(ends: Ends): Uint8Array {
    const bytes = this.#plainPacket(ends);
    return setTrafficClass(bytes, this.trafficClass());
  }

  #plainPacket(ends: Ends): Uint8Array {
    const dice = this.#dice;
    const kind = dice.below(20);
    const [isV4, size] = [isIpv4(ends.source), dice.pick(SIZES)];
    if (kind < 8) return this.transport(ends, Protocol.UDP, dice.pick(PORTS), dice.pick(PORTS), size);
    if (kind < 16) return this.transport(ends, Protocol.TCP, dice.pick(PORTS), dice.pick(PORTS), size);
    if (kind < 18) {
      const echo = Uint8Array.of(isV4 ? 8 : 128, 0, 0, 0, 0, dice.below(4), 0, dice.below(256));
      return this.#ipPacket(ends, isV4 ? Protocol.ICMP : Protocol.ICMPV6, concat(echo, dice.bytes(size % 100)));
    }
    return this.#ipPacket(ends, dice.pick(OTHER_PROTOCOLS), dice.bytes(size % 600));
  }

  transport(ends: Ends, protocol: number, sourcePort: number, port: number, size: number): Uint8Array {
    const header = new DataView(new ArrayBuffer(protocol === Protocol.TCP ? Ip.TCP_HEADER : Ip.UDP_HEADER));
    header.setUint16(0, sourcePort);
    header.setUint16(2, port);
    if (protocol === Protocol.TCP) {
      header.setUint32(4, this.#dice.u32());
      header.setUint32(8, this.#dice.u32());
      header.setUint16(12, 0x5000 | this.#dice.pick(TCP_FLAGS));
      header.setUint16(14, 0xfaf0);
    } else header.setUint16(4, Ip.UDP_HEADER + size);
    return this.#ipPacket(ends, protocol, concat(new Uint8Array(header.buffer), this.#dice.bytes(size)));
  }

  /** An answer to a packet that was sent to `from`'s workload; undefined for what has no ports. */
  answer(sent: Uint8Array, from: string): Uint8Array | undefined {
    const view = new DataView(sent.buffer, sent.byteOffset, sent.byteLength);
    const isV4 = sent[0] === 0x45;
    const protocol = sent[isV4 ? 9 : 6];
    const at = isV4 ? 20 : 40;
    if ((protocol !== Protocol.TCP && protocol !== Protocol.UDP) || sent.length < at + Ip.UDP_HEADER) return undefined;
    const ends = { source: from, destination: addressAt(sent, isV4 ? 12 : 8, isV4 ? 4 : 16) };
    if (this.#dice.chance(0.1)) return this.#error(sent, ends);
    return this.transport(ends, protocol, view.getUint16(at + 2), view.getUint16(at), this.#dice.pick(SIZES));
  }

  /** Some bits of it turned over, or its end cut off, once in a while. */
  #broken(bytes: Uint8Array): Uint8Array {
    if (!this.#dice.chance(0.06)) return bytes;
    if (this.#dice.chance(0.3)) return bytes.subarray(0, this.#dice.below(bytes.length + 1));
    const at = this.#dice.below(Math.min(bytes.length, 80));
    bytes[at] = (bytes[at] as number) ^ (1 << this.#dice.below(8));
    return bytes;
  }

  /** That the destination, or a port of it, cannot be reached, or that a packet was too long. */
  #error(quoted: Uint8Array, ends: Ends): Uint8Array {
    const isV4 = isIpv4(ends.source);
    const [type, code] = this.#dice.pick(isV4 ? ERRORS_V4 : ERRORS_V6);
    const header = Uint8Array.of(type, code, 0, 0, 0, 0, 0x05, 0x14);
    const body = concat(header, quoted.subarray(0, this.#dice.pick([28, 48, 200, 500])));
    return this.#ipPacket(ends, isV4 ? Protocol.ICMP : Protocol.ICMPV6, body);
  }

  #fragment(ends: Ends): Uint8Array {
    const whole = this.transport(ends, Protocol.UDP, 5000, 53, 1472);
    if (!isIpv4(ends.source)) return whole;
    const isFirst = this.#dice.chance(0.5);
    const length = 20 + 800;
    const fragment = concat(whole.subarray(0, 20), isFirst ? whole.subarray(20, length) : whole.subarray(length));
    const view = new DataView(fragment.buffer);
    view.setUint16(2, fragment.length);
    view.setUint16(4, this.#dice.below(8));
    view.setUint16(6, isFirst ? 0x2000 : 800 / 8);
    view.setUint16(10, 0);
    view.setUint16(10, Ip.checksumOf(Ip.wordSum(fragment.subarray(0, Ip.IPV4_HEADER))));
    return fragment;
  }

  /** Several segments in one, the checksum of each still to be finished. */
  #superPacket(ends: Ends): Uint8Array {
    const dice = this.#dice;
    const isTcp = dice.chance(0.6);
    const isV4 = isIpv4(ends.source);
    const size = SEGMENT_MAX * (2 + dice.below(6)) + dice.below(SEGMENT_MAX);
    const protocol = isTcp ? Protocol.TCP : Protocol.UDP;
    const packet = this.transport(ends, protocol, dice.pick(PORTS), dice.pick(PORTS), size);
    const ip = isV4 ? Ip.IPV4_HEADER : Ip.IPV6_HEADER;
    const view = new DataView(packet.buffer);
    if (isTcp) view.setUint8(ip + 13, 0x18);
    const { source, destination } = this.#rawEnds(ends, protocol);
    const checksumAt = Ip.CHECKSUM_AT[protocol] ?? 0;
    view.setUint16(ip + checksumAt, Ip.foldedSum(Ip.pseudoSum(source, destination, protocol, packet.length - ip)));
    const header = new DataView(new ArrayBuffer(Virtio.SIZE));
    header.setUint8(0, Virtio.F_NEEDS_CSUM);
    header.setUint8(Virtio.GSO_TYPE, isTcp ? (isV4 ? Virtio.GSO_TCPV4 : Virtio.GSO_TCPV6) : Virtio.GSO_UDP_L4);
    header.setUint16(Virtio.HDR_LEN, ip + (isTcp ? Ip.TCP_HEADER : Ip.UDP_HEADER), true);
    header.setUint16(Virtio.GSO_SIZE, dice.pick([500, 1200, SEGMENT_MAX]), true);
    header.setUint16(Virtio.CSUM_START, ip, true);
    header.setUint16(Virtio.CSUM_OFFSET, checksumAt, true);
    return concat(new Uint8Array(header.buffer), packet);
  }

  /** With every checksum in its place. */
  #ipPacket(ends: Ends, protocol: number, payload: Uint8Array): Uint8Array {
    const raw = this.#rawEnds(ends, protocol);
    Ip.finishChecksum(payload, raw);
    return concat(Ip.ipHeader({ ...raw, length: payload.length, isWhole: payload.length % 3 === 0 }), payload);
  }

  #rawEnds({ source, destination }: Ends, protocol: number) {
    return { source: this.#rawOf(source), destination: this.#rawOf(destination), protocol };
  }

  #rawOf(address: string): Uint8Array {
    const raw = this.#raw.get(address) ?? Ip.rawAddress(address);
    this.#raw.set(address, raw);
    return raw;
  }
}

function isIpv4(address: string): boolean {
  return !address.includes(":");
}

/** In place, with the IPv4 header's checksum. */
function setTrafficClass(packet: Uint8Array, trafficClass: number): Uint8Array {
  const view = new DataView(packet.buffer, packet.byteOffset);
  if (packet[0] === 0x45) {
    view.setUint8(1, trafficClass);
    view.setUint16(10, 0);
    view.setUint16(10, Ip.checksumOf(Ip.wordSum(packet.subarray(0, Ip.IPV4_HEADER))));
  } else view.setUint32(0, 0x60000000 | (trafficClass << 20));
  return packet;
}

function addressAt(bytes: Uint8Array, at: number, length: number): string {
  if (length === 4) return bytes.subarray(at, at + 4).join(".");
  const groups = Array.from(
    { length: 8 },
    (_, i) => ((bytes[at + 2 * i] as number) << 8) | (bytes[at + 2 * i + 1] as number),
  );
  return groups.map((group) => group.toString(16)).join(":");
}

function concat(...parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
