// Random packets about as large as what a tunnel carries, and SYN segments that promise some size or other.
import * as Virtio from "../../assembly/shared/virtio.ts";
import { FLAG, type PacketBuilder, packet } from "./packet-builder.ts";
import type { Random } from "./random.ts";
import { isV4 } from "./traffic-kinds.ts";

export interface Ports {
  readonly sport: number;
  readonly dport: number;
}

const DONT_FRAGMENT = 0x4000;
/** Some that every fragment repeats and some that it does not (RFC 791 section 3.1). */
const OPTIONS = [
  [],
  [],
  [7, 7, 4, 0, 0, 0, 0, 1, 1, 1, 1, 0],
  [136, 4, 0, 1, 7, 3, 4, 1],
  [68, 12, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 130, 11, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
];
/** MSS alone, behind others at even and odd places, too short, behind the end, behind what ends nowhere. */
const TCP_OPTIONS = [
  [2, 4, 5, 180],
  [2, 4, 2, 24],
  [1, 1, 2, 4, 255, 255, 1, 0],
  [1, 2, 4, 5, 180, 1, 1, 0],
  [3, 3, 7, 2, 4, 5, 172, 1],
  [4, 2, 8, 10, 1, 2, 3, 4, 0, 0, 0, 0, 2, 4, 5, 180],
  [2, 3, 5, 1, 2, 4, 5, 180],
  [0, 0, 0, 0, 2, 4, 5, 180],
  [5, 0, 1, 1, 2, 4, 5, 180],
  [5, 1, 1, 1, 2, 4, 5, 180],
  [8, 30, 1, 1, 2, 4, 5, 180],
];

/** Between the least that every path takes and more than any. */
export function largePacket(random: Random, src: string, dst: string, ports: Ports): Uint8Array {
  const length = random.chance(0.1) ? random.between(1500, 4000) : random.between(1250, 1480);
  return transportOf(random, network(random, src, dst), ports)
    .payload(length - (isV4(src) ? 28 : 48))
    .bytes();
}

export function syn(random: Random, src: string, dst: string, ports: Ports): Uint8Array {
  const options = random.chance(0.9) ? random.pick(TCP_OPTIONS) : [...random.bytes(4 * random.below(11))];
  const flags = random.pick([FLAG.SYN, FLAG.SYN | FLAG.ACK]);
  const segment = network(random, src, dst).tcp({ ...ports, seq: random.u32(), flags, options });
  return random.chance(0.3) ? segment.offloadFrame() : segment.frame();
}

export function superPacket(random: Random, src: string, dst: string, ports: Ports, flags: number): Uint8Array {
  const gsoSize = random.pick([100, 536, 1200, 1252, 1398]);
  const isTcp = random.chance(0.5);
  const network = isV4(src) ? packet().ipv4({ src, dst, fragment: dontFragment(random) }) : packet().ip(src, dst);
  const options = random.chance(0.5) ? [1, 1, 1, 0] : [];
  const transport = isTcp ? network.tcp({ ...ports, seq: random.u32(), flags, options }) : network.udp(ports);
  const gsoType = !isTcp ? Virtio.GSO_UDP_L4 : isV4(src) ? Virtio.GSO_TCPV4 : Virtio.GSO_TCPV6;
  return transport.payload(random.bytes(random.below(gsoSize * 12))).offloadFrame({ gsoType, gsoSize });
}

function network(random: Random, src: string, dst: string): PacketBuilder {
  if (!isV4(src)) return packet().ip(src, dst);
  const id = random.below(0x10000);
  return packet().ipv4({ src, dst, id, fragment: dontFragment(random), options: random.pick(OPTIONS) });
}

function transportOf(random: Random, network: PacketBuilder, ports: Ports): PacketBuilder {
  const roll = random.below(10);
  if (roll < 5) return network.udp(ports);
  return roll < 8 ? network.tcp(ports) : network.protocol(132);
}

function dontFragment(random: Random): number {
  return random.chance(0.5) ? DONT_FRAGMENT : 0;
}
