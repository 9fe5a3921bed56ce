// The outer headers of a datagram between two nodes, as they must have been on the wire. The kernel makes and takes them,
// so that a capture at the socket has to make them again. What only the kernel knows is said as "unknown": no
// identification, and no UDP checksum (in IPv6 there must be one, which is made).

import * as Protocol from "../../../assembly/shared/protocol.ts";
import * as Ip from "../../dataplane/modules/ip-packet.ts";
import { isV4Mapped } from "../../net/address.ts";

export interface OuterEnd {
  readonly address: Uint8Array; // 16 bytes
  readonly port: number;
}

/** IP and UDP header of a datagram with a payload of `length` bytes, of which `payload` is the beginning. */
export function outerHeaders(from: OuterEnd, to: OuterEnd, payload: Uint8Array, length: number): Uint8Array {
  const isV4 = isV4Mapped(from.address, 0) && isV4Mapped(to.address, 0);
  const raw = ({ address }: OuterEnd): Uint8Array => (isV4 ? address.subarray(12) : address);
  const [source, destination] = [raw(from), raw(to)];
  const udpLength = Ip.UDP_HEADER + length;
  const ip = Ip.ipHeader({ source, destination, protocol: Protocol.UDP, length: udpLength, isWhole: true });
  const headers = new Uint8Array(ip.length + Ip.UDP_HEADER);
  headers.set(ip);
  const view = new DataView(headers.buffer, ip.length);
  view.setUint16(0, from.port);
  view.setUint16(2, to.port);
  view.setUint16(4, udpLength);
  if (!isV4) {
    const pseudo = Ip.pseudoSum(source, destination, Protocol.UDP, udpLength);
    const udp = headers.subarray(ip.length);
    view.setUint16(6, Ip.checksumOf(pseudo + Ip.wordSum(udp) + Ip.wordSum(payload)) || 0xffff);
  }
  return headers;
}
