// IP headers and checksums as the host makes them: for packets that are rehearsed, tried or captured. Those that pass are
// the engine's alone.

import * as Protocol from "../../../assembly/shared/protocol.ts";
import { familyOf, parseAddress } from "../../net/address.ts";

export const IPV4_HEADER = 20;
export const IPV6_HEADER = 40;
export const TCP_HEADER = 20;
export const UDP_HEADER = 8;
const HOP_LIMIT = 64;

/** Where the checksum is in the header of a protocol. */
export const CHECKSUM_AT: Readonly<Record<number, number>> = {
  [Protocol.ICMP]: 2,
  [Protocol.TCP]: 16,
  [Protocol.UDP]: 6,
  [Protocol.ICMPV6]: 2,
};

interface IpHeader {
  readonly source: Uint8Array; // 4 or 16 bytes
  readonly destination: Uint8Array;
  readonly protocol: number;
  /** Of what follows. */
  readonly length: number;
  /** Of IPv4: don't fragment. */
  readonly isWhole?: boolean;
}

/** With the checksum that IPv4 has. */
export function ipHeader({
  source,
  destination,
  protocol,
  length,
  isWhole = false,
}: IpHeader): Uint8Array<ArrayBuffer> {
  const isV4 = source.length === 4;
  const header = new Uint8Array(isV4 ? IPV4_HEADER : IPV6_HEADER);
  const view = new DataView(header.buffer);
  view.setUint8(0, isV4 ? 0x45 : 0x60);
  view.setUint16(isV4 ? 2 : 4, isV4 ? IPV4_HEADER + length : length);
  view.setUint8(isV4 ? 9 : 6, protocol);
  view.setUint8(isV4 ? 8 : 7, HOP_LIMIT);
  header.set(source, isV4 ? 12 : 8);
  header.set(destination, isV4 ? 16 : 24);
  if (!isV4) return header;
  view.setUint16(6, isWhole ? 0x4000 : 0);
  view.setUint16(10, checksumOf(wordSum(header)));
  return header;
}

/** Puts the checksum of a transport header with its payload into its field; ICMP over IPv4 has no pseudo-header. */
export function finishChecksum(
  transport: Uint8Array,
  { source, destination, protocol }: Omit<IpHeader, "length">,
): void {
  const at = CHECKSUM_AT[protocol];
  if (at === undefined) return;
  const pseudo = protocol === Protocol.ICMP ? 0 : pseudoSum(source, destination, protocol, transport.length);
  const { buffer, byteOffset } = transport;
  new DataView(buffer, byteOffset).setUint16(at, checksumOf(wordSum(transport) + pseudo) || 0xffff);
}

/** Of the pseudo-header (RFC 9293 section 3.1, RFC 8200 section 8.1). */
export function pseudoSum(source: Uint8Array, destination: Uint8Array, protocol: number, length: number): number {
  return wordSum(source) + wordSum(destination) + protocol + length;
}

/** Of 16-bit words in network order; an odd byte at the end is the upper one of a word. */
export function wordSum(bytes: Uint8Array): number {
  let total = 0;
  for (let i = 0; i < bytes.length; i += 2) total += ((bytes[i] as number) << 8) | (bytes[i + 1] ?? 0);
  return total;
}

/** RFC 1071. */
export function checksumOf(total: number): number {
  return ~foldedSum(total) & 0xffff;
}

/** In 16 bits, each carry added again. */
export function foldedSum(total: number): number {
  let rest = total;
  while (rest > 0xffff) rest = (rest & 0xffff) + Math.floor(rest / 0x1_0000);
  return rest;
}

/** The 4 or 16 bytes of an address. Throws a RangeError for any other text. */
export function rawAddress(text: string): Uint8Array {
  const bytes = parseAddress(text);
  if (bytes === undefined) throw new RangeError(`no address: ${text}`);
  return familyOf(text) === 4 ? bytes.subarray(12) : bytes;
}
