// Sets the lengths and checksums of an IP packet in memory right, as far as it has some, so that a mutant gets past the
// first checks.
import * as Protocol from "../../../assembly/shared/protocol.ts";

const IPV4_HEADER = 20;
const IPV6_HEADER = 40;

/** Total length or payload length: what came. */
export function setIpLength(view: DataView, at: number, length: number): void {
  if (isIpv4(view, at, length)) view.setUint16(at + 2, length);
  else if (isIpv6(view, at, length)) view.setUint16(at + 4, length - IPV6_HEADER);
}

/** What the header of a whole IP packet says how long it is. */
export function ipLength(view: DataView, at: number): number {
  return view.getUint8(at) >>> 4 === 4 ? view.getUint16(at + 2) : IPV6_HEADER + view.getUint16(at + 4);
}

export function setHeaderChecksum(view: DataView, at: number, length: number): void {
  if (!isIpv4(view, at, length)) return;
  view.setUint16(at + 10, 0);
  view.setUint16(at + 10, ~sumOf(view, at, Math.min(length, ipv4HeaderLength(view, at)), 0) & 0xffff);
}

/** The UDP length and the checksum of what follows the IP header; extension headers are not walked. */
export function setTransport(view: DataView, at: number, length: number): void {
  const field = checksumAt(view, at, length);
  if (field === 0) return;
  const isV4 = isIpv4(view, at, length);
  const transport = at + (isV4 ? ipv4HeaderLength(view, at) : IPV6_HEADER);
  const size = at + length - transport;
  const protocol = view.getUint8(at + (isV4 ? 9 : 6));
  if (protocol === Protocol.UDP) view.setUint16(transport + 4, size);
  view.setUint16(field, 0);
  const pseudo = protocol === Protocol.ICMP ? 0 : protocol + size + addressSum(view, at, isV4);
  const checksum = ~sumOf(view, transport, size, pseudo) & 0xffff;
  view.setUint16(field, checksum === 0 && protocol === Protocol.UDP ? 0xffff : checksum);
}

/** Address of the checksum of the transport header; 0 = there is none that counts for the packet alone. */
export function checksumAt(view: DataView, at: number, length: number): number {
  const isV4 = isIpv4(view, at, length);
  if (!isV4 && !isIpv6(view, at, length)) return 0;
  if (isV4 && (view.getUint16(at + 6) & 0x3fff) !== 0) return 0;
  const transport = at + (isV4 ? ipv4HeaderLength(view, at) : IPV6_HEADER);
  const protocol = view.getUint8(at + (isV4 ? 9 : 6));
  const offset =
    protocol === Protocol.TCP
      ? 16
      : protocol === Protocol.UDP
        ? 6
        : protocol === (isV4 ? Protocol.ICMP : Protocol.ICMPV6)
          ? 2
          : 0;
  return offset !== 0 && transport + offset + 2 <= at + length ? transport + offset : 0;
}

/** One's-complement sum of the addresses, in words of the packet's byte order. */
export function addressSum(view: DataView, at: number, isV4: boolean): number {
  return isV4 ? sumOf(view, at + 12, 8, 0) : sumOf(view, at + 8, 32, 0);
}

/** One's-complement sum of big-endian words; an odd last byte is a high byte. */
export function sumOf(view: DataView, at: number, length: number, start: number): number {
  let sum = start;
  const end = at + length - 1;
  let i = at;
  for (; i < end; i += 2) sum += view.getUint16(i);
  if (i === end) sum += view.getUint8(i) << 8;
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return sum;
}

function isIpv4(view: DataView, at: number, length: number): boolean {
  return length >= IPV4_HEADER && view.getUint8(at) >>> 4 === 4;
}

function isIpv6(view: DataView, at: number, length: number): boolean {
  return length >= IPV6_HEADER && view.getUint8(at) >>> 4 === 6;
}

function ipv4HeaderLength(view: DataView, at: number): number {
  return (view.getUint8(at) & 15) * 4;
}
