// The outer headers of a datagram between two nodes, as they must have been on the wire. The kernel makes and takes them,
// so that a capture at the socket has to make them again. What only the kernel knows is said as "unknown": no
// identification, and no UDP checksum (in IPv6 there must be one, which is made).

import { IPPROTO_UDP } from "../../../assembly/shared/protocols.ts";
import { ADDRESS_SIZE, isV4Mapped } from "../../net/address.ts";

export interface OuterEnd {
  readonly address: Uint8Array; // 16 bytes
  readonly port: number;
}

const IPV4_HEADER = 20;
const IPV6_HEADER = 40;
const UDP_HEADER = 8;
const HOP_LIMIT = 64;
const DONT_FRAGMENT = 0x4000;

/** IP and UDP header of a datagram with a payload of `length` bytes, of which `payload` is the beginning. */
export function outerHeaders(from: OuterEnd, to: OuterEnd, payload: Uint8Array, length: number): Uint8Array {
  const isV4 = isV4Mapped(from.address, 0) && isV4Mapped(to.address, 0);
  const headers = isV4 ? ipv4(from, to, UDP_HEADER + length) : ipv6(from, to, UDP_HEADER + length);
  const udpAt = headers.length - UDP_HEADER;
  const view = new DataView(headers.buffer);
  view.setUint16(udpAt, from.port);
  view.setUint16(udpAt + 2, to.port);
  view.setUint16(udpAt + 4, UDP_HEADER + length);
  if (!isV4) {
    const pseudo = sum(headers.subarray(8)) + IPPROTO_UDP + UDP_HEADER + length;
    view.setUint16(udpAt + 6, complement(pseudo + sum(payload)) || 0xffff);
  }
  return headers;
}

function ipv4(from: OuterEnd, to: OuterEnd, length: number): Uint8Array<ArrayBuffer> {
  const headers = new Uint8Array(IPV4_HEADER + UDP_HEADER);
  const view = new DataView(headers.buffer);
  view.setUint8(0, 0x45);
  view.setUint16(2, IPV4_HEADER + length);
  view.setUint16(6, DONT_FRAGMENT);
  view.setUint8(8, HOP_LIMIT);
  view.setUint8(9, IPPROTO_UDP);
  headers.set(from.address.subarray(12), 12);
  headers.set(to.address.subarray(12), 16);
  view.setUint16(10, complement(sum(headers.subarray(0, IPV4_HEADER))));
  return headers;
}

function ipv6(from: OuterEnd, to: OuterEnd, length: number): Uint8Array<ArrayBuffer> {
  const headers = new Uint8Array(IPV6_HEADER + UDP_HEADER);
  const view = new DataView(headers.buffer);
  view.setUint8(0, 0x60);
  view.setUint16(4, length);
  view.setUint8(6, IPPROTO_UDP);
  view.setUint8(7, HOP_LIMIT);
  headers.set(from.address, 8);
  headers.set(to.address, 8 + ADDRESS_SIZE);
  return headers;
}

function sum(bytes: Uint8Array): number {
  let total = 0;
  for (let i = 0; i < bytes.length; i += 2) total += ((bytes[i] as number) << 8) | (bytes[i + 1] ?? 0);
  return total;
}

/** RFC 1071. */
function complement(total: number): number {
  let rest = total;
  while (rest > 0xffff) rest = (rest & 0xffff) + Math.floor(rest / 0x1_0000);
  return ~rest & 0xffff;
}
