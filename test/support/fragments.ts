// Cuts whole packets into fragments, as a sender or an IPv4 router does (RFC 791 section 2.3, RFC 8200 section 4.5).
import { IPPROTO_FRAGMENT, IPPROTO_HOP_BY_HOP, IPPROTO_ROUTING } from "../../assembly/shared/protocols.ts";
import { sumWords } from "./reference/checksum.ts";

/** The fragments of a packet in their order, each with at most `size` bytes of it; `size` is a multiple of eight. */
export function fragmentsOf(packet: Uint8Array, size: number, id: number): Uint8Array[] {
  const isV4 = (packet[0] as number) >> 4 === 4;
  const header = isV4 ? packet.subarray(0, ((packet[0] as number) & 15) * 4) : perFragmentHeaders(packet);
  const content = packet.subarray(header.length);
  const fragments: Uint8Array[] = [];
  for (let offset = 0; offset === 0 || offset < content.length; offset += size) {
    const part = content.subarray(offset, offset + size);
    const hasMore = offset + size < content.length;
    fragments.push(isV4 ? fragment4(header, part, offset, hasMore, id) : fragment6(header, part, offset, hasMore, id));
  }
  return fragments;
}

/** What every fragment repeats: the IPv6 header, and the headers for the routers on the way. */
function perFragmentHeaders(packet: Uint8Array): Uint8Array {
  let at = 40;
  for (let next = packet[6]; next === IPPROTO_HOP_BY_HOP || next === IPPROTO_ROUTING; ) {
    next = packet[at];
    at += ((packet[at + 1] as number) + 1) * 8;
  }
  return packet.subarray(0, at);
}

function fragment4(header: Uint8Array, part: Uint8Array, offset: number, hasMore: boolean, id: number): Uint8Array {
  const bytes = joined(header, part);
  const view = new DataView(bytes.buffer);
  view.setUint16(2, bytes.length);
  view.setUint16(4, id & 0xffff);
  view.setUint16(6, (hasMore ? 0x2000 : 0) | (offset / 8));
  view.setUint16(10, 0);
  view.setUint16(10, ~sumWords(bytes, 0, header.length) & 0xffff);
  return bytes;
}

function fragment6(header: Uint8Array, part: Uint8Array, offset: number, hasMore: boolean, id: number): Uint8Array {
  const bytes = joined(header, new Uint8Array(8), part);
  const view = new DataView(bytes.buffer);
  view.setUint16(4, bytes.length - 40);
  // The type of what is cut up moves into the fragment header.
  const typeAt = header.length === 40 ? 6 : lastHeaderAt(header);
  view.setUint8(header.length, view.getUint8(typeAt));
  view.setUint8(typeAt, IPPROTO_FRAGMENT);
  view.setUint16(header.length + 2, offset | (hasMore ? 1 : 0));
  view.setUint32(header.length + 4, id);
  return bytes;
}

function lastHeaderAt(header: Uint8Array): number {
  let at = 40;
  for (;;) {
    const end = at + ((header[at + 1] as number) + 1) * 8;
    if (end >= header.length) return at;
    at = end;
  }
}

function joined(...parts: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}
