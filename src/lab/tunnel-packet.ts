// What a datagram of the tunnel carries: the inner packets' addresses and ports, read from the bytes on the underlay.
import * as Protocol from "../../assembly/shared/protocol.ts";
import { formatAddress } from "../net/address.ts";

/** An inner packet as it stood on the underlay. */
export interface InnerPacket {
  readonly protocol: number;
  readonly src: string;
  readonly dst: string;
  readonly srcPort: number;
  readonly dstPort: number;
}

const UDP_HEADER_SIZE = 8;

interface IpHeader {
  readonly protocol: number;
  readonly src: string;
  readonly dst: string;
  readonly headerSize: number;
  readonly totalSize: number;
}

/**
 * The inner packets of an outer IP packet (from its IP header on), in their order; none if it is no datagram to
 * `tunnelPort`. A datagram that the sender's kernel has yet to segment (UDP_SEGMENT) carries several.
 */
export function innerPackets(outer: Uint8Array, tunnelPort: number): InnerPacket[] {
  const header = readIpHeader(outer);
  if (header?.protocol !== Protocol.UDP) return [];
  const udp = viewOf(outer.subarray(header.headerSize, header.totalSize));
  if (udp.byteLength < UDP_HEADER_SIZE || udp.getUint16(2) !== tunnelPort) return [];

  const found: InnerPacket[] = [];
  let rest = outer.subarray(header.headerSize + UDP_HEADER_SIZE, header.totalSize);
  for (let inner = readIpHeader(rest); inner !== undefined; inner = readIpHeader(rest)) {
    const { protocol, src, dst, headerSize, totalSize } = inner;
    // A length that ends before the ports would also keep the loop in its place.
    if (Math.min(rest.byteLength, totalSize) < headerSize + 4) break;
    const ports = viewOf(rest.subarray(headerSize));
    found.push({ protocol, src, dst, srcPort: ports.getUint16(0), dstPort: ports.getUint16(2) });
    rest = rest.subarray(totalSize);
  }
  return found;
}

function readIpHeader(bytes: Uint8Array): IpHeader | undefined {
  const view = viewOf(bytes);
  const version = bytes.byteLength > 0 ? view.getUint8(0) >> 4 : 0;
  if (version === 4 && bytes.byteLength >= 20) {
    return {
      protocol: view.getUint8(9),
      src: bytes.subarray(12, 16).join("."),
      dst: bytes.subarray(16, 20).join("."),
      headerSize: (view.getUint8(0) & 15) * 4,
      totalSize: view.getUint16(2),
    };
  }
  if (version === 6 && bytes.byteLength >= 40) {
    return {
      protocol: view.getUint8(6),
      src: formatAddress(bytes, 8),
      dst: formatAddress(bytes, 24),
      headerSize: 40,
      totalSize: 40 + view.getUint16(4),
    };
  }
  return undefined;
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
