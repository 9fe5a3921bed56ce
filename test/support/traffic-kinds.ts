// Random packets of every kind but plain TCP and UDP: ICMP echo, other protocols, extension headers in front of
// anything, ICMP that is not translated, ICMP errors with any quote.
import { type ExtensionHeader, type PacketBuilder, packet } from "./packet-builder.ts";
import type { Random } from "./random.ts";

// GRE, ESP, SCTP, DCCP, UDP-Lite, IP in IP (twice), none, AH, VRRP, experiments, and the ICMP of the other family.
const PROTOCOLS = [47, 50, 132, 33, 33, 136, 136, 4, 41, 59, 51, 112, 253, 255, 1, 58];
const IDENTIFIERS = [0, 1, 77, 78, 1024, 0xffff];
/** Types that are errors, and some of those that are neither error nor echo. */
const ERROR_TYPES = { v4: [3, 3, 11, 12], v6: [1, 2, 3, 4] };
const OTHER_TYPES = { v4: [4, 5, 9, 13, 17], v6: [0, 5, 127, 130, 133, 134, 135, 136, 137, 143] };
const ROUTING = 43;
const EXTENSIONS = [0, ROUTING, ROUTING, 60, 135, 139, 140, 51];
/** No operation, and source routes of which the first has not come to its end. */
const OPTIONS = [[1, 1, 1, 0], Array<number>(40).fill(1), [131, 7, 4, 10, 0, 0, 1, 0], [137, 7, 8, 10, 0, 0, 1, 0]];
const MORE_EXTENSIONS_THAN_WALKED = 9;

export function isV4(address: string): boolean {
  return !address.includes(":");
}

/** A whole packet of a random kind, mostly with so many bytes. */
export function otherPacket(random: Random, src: string, dst: string, length = random.below(80)): Uint8Array {
  const roll = random.below(100);
  if (roll < 50) return echo(random, src, dst, random.pick(IDENTIFIERS), random.chance(0.7), length);
  if (roll < 80) return portless(random, src, dst, random.pick(PROTOCOLS), length);
  if (roll < 85) return otherIcmp(random, src, dst);
  return behindExtensions(random, src, dst)
    .tcp({ sport: random.between(5000, 5002), dport: 80 })
    .payload(length)
    .bytes();
}

export function echo(
  random: Random,
  src: string,
  dst: string,
  identifier: number,
  isRequest: boolean,
  length = random.below(80),
): Uint8Array {
  const [request, reply] = isV4(src) ? [8, 0] : [128, 129];
  const words = [identifier, random.below(0x10000)] as const;
  return network(random, src, dst)
    .icmp({ type: isRequest ? request : reply, words })
    .payload(random.bytes(length))
    .bytes();
}

/** UDP-Lite and DCCP come with any checksum, and sometimes too short for one. */
export function portless(
  random: Random,
  src: string,
  dst: string,
  protocol: number,
  length = random.below(80),
): Uint8Array {
  return network(random, src, dst)
    .protocol(protocol)
    .payload(random.bytes(random.chance(0.1) ? random.below(9) : length))
    .bytes();
}

/** An error about `quoted`, of which the end may be missing. */
export function icmpError(random: Random, src: string, dst: string, quoted: Uint8Array): Uint8Array {
  const types = ERROR_TYPES[isV4(src) ? "v4" : "v6"];
  const kept = random.chance(0.4) ? quoted.length : random.below(quoted.length + 1);
  // Extensions behind the quote (RFC 4884) are bytes like any.
  const content = random.chance(0.1) ? [...quoted, ...random.bytes(random.below(20))] : quoted.subarray(0, kept);
  return network(random, src, dst)
    .icmp({ type: random.pick(types), code: random.below(6), words: [random.below(0x10000), random.below(1500)] })
    .payload(Uint8Array.from(content))
    .bytes();
}

function otherIcmp(random: Random, src: string, dst: string): Uint8Array {
  const types = OTHER_TYPES[isV4(src) ? "v4" : "v6"];
  return network(random, src, dst)
    .icmp({ type: random.pick(types) })
    .payload(random.below(60))
    .bytes();
}

/** Mostly a plain header, sometimes IPv4 options or IPv6 extension headers. */
function network(random: Random, src: string, dst: string): PacketBuilder {
  return random.chance(0.8) ? packet().ip(src, dst) : behindExtensions(random, src, dst);
}

function behindExtensions(random: Random, src: string, dst: string): PacketBuilder {
  if (isV4(src)) return packet().ipv4({ src, dst, options: random.pick(OPTIONS) });
  const count = random.chance(0.05) ? MORE_EXTENSIONS_THAN_WALKED : random.between(1, 3);
  const extensions = Array.from({ length: count }, () => extension(random, random.pick(EXTENSIONS)));
  return packet().ipv6({ src, dst, extensions });
}

/** Filled with padding options, which is right for options, and as good as anything for the others. */
function extension(random: Random, type: number): ExtensionHeader {
  const isAuthentication = type === 51;
  const units = random.chance(0.9) ? random.below(3) : random.below(40);
  // RFC 4302: in units of four bytes, without the first two of them; a multiple of eight in IPv6.
  const length = isAuthentication ? (2 * units + 4) * 4 : (units + 1) * 8;
  const bytes = new Array<number>(length).fill(0);
  bytes[1] = isAuthentication ? length / 4 - 2 : units;
  // RFC 8200 section 4.4: segments left.
  if (type === ROUTING) bytes[3] = random.below(3);
  return { type, bytes };
}
