// The slow twin's segmentation: what the kernel's software GSO makes of a super-packet (RFC 9293 section 3.7.1 for
// sequence numbers, RFC 3168 section 6.1.2 for CWR). The input's addresses and ports are already translated.
import * as Protocol from "../../../assembly/shared/protocol.ts";
import { FLAG } from "../packet-builder.ts";
import { fold, pseudoHeaderSum, sumWords } from "./checksum.ts";
import type { Offload, ParsedPacket } from "./parser.ts";

/** Cuts a super-packet into packets of at most `segmentSize` payload bytes, each complete. */
export function segment(superPacket: Uint8Array, parsed: ParsedPacket, segmentSize: number): Uint8Array[] {
  const headers = parsed.headerLength + parsed.transportLength;
  const payloadLength = parsed.totalLength - headers;
  const count = Math.max(1, Math.ceil(payloadLength / segmentSize));
  const segments: Uint8Array[] = [];
  for (let i = 0; i < count; i++) {
    const start = headers + i * segmentSize;
    const end = Math.min(start + segmentSize, parsed.totalLength);
    const bytes = new Uint8Array(headers + end - start);
    bytes.set(superPacket.subarray(0, headers));
    bytes.set(superPacket.subarray(start, end), headers);
    finishNetwork(bytes, parsed, i);
    if (parsed.protocol === Protocol.TCP) finishTcp(bytes, parsed, i * segmentSize, i === 0, i === count - 1);
    else new DataView(bytes.buffer).setUint16(parsed.headerLength + 4, bytes.length - parsed.headerLength);
    finishChecksum(bytes, parsed);
    segments.push(bytes);
  }
  return segments;
}

/** Computes the transport checksum from nothing and stores it. */
export function finishChecksum(packet: Uint8Array, parsed: ParsedPacket): void {
  const isTcp = parsed.protocol === Protocol.TCP;
  const view = new DataView(packet.buffer, packet.byteOffset, packet.byteLength);
  const at = parsed.headerLength + (isTcp ? 16 : 6);
  view.setUint16(at, 0);
  const source = parsed.version === 4 ? packet.subarray(12, 16) : packet.subarray(8, 24);
  const destination = parsed.version === 4 ? packet.subarray(16, 20) : packet.subarray(24, 40);
  const pseudo = pseudoHeaderSum(source, destination, parsed.protocol, packet.length - parsed.headerLength);
  const checksum = ~fold(pseudo + sumWords(packet, parsed.headerLength)) & 0xffff;
  // RFC 768: zero would say "no checksum".
  view.setUint16(at, checksum === 0 && !isTcp ? 0xffff : checksum);
}

/** The same for a checksum that is anywhere in the packet and holds the sum of its pseudo-header. */
export function finishInnerChecksum(packet: Uint8Array, { start, field }: NonNullable<Offload["inner"]>): void {
  const checksum = ~sumWords(packet, start) & 0xffff;
  new DataView(packet.buffer, packet.byteOffset, packet.byteLength).setUint16(
    field,
    checksum === 0 ? 0xffff : checksum,
  );
}

function finishNetwork(bytes: Uint8Array, parsed: ParsedPacket, index: number): void {
  const view = new DataView(bytes.buffer);
  if (parsed.version === 6) {
    view.setUint16(4, bytes.length - 40);
    return;
  }
  view.setUint16(2, bytes.length);
  view.setUint16(4, (view.getUint16(4) + index) & 0xffff);
  view.setUint16(10, 0);
  view.setUint16(10, ~sumWords(bytes, 0, parsed.headerLength) & 0xffff);
}

function finishTcp(bytes: Uint8Array, parsed: ParsedPacket, offset: number, isFirst: boolean, isLast: boolean): void {
  const view = new DataView(bytes.buffer);
  const at = parsed.headerLength;
  view.setUint32(at + 4, (view.getUint32(at + 4) + offset) >>> 0);
  let flags = view.getUint8(at + 13);
  if (!isLast) flags &= ~(FLAG.FIN | FLAG.PSH);
  if (!isFirst) flags &= ~FLAG.CWR;
  view.setUint8(at + 13, flags);
}
