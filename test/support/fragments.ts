// Cuts packets into fragments, as a sender or an IPv4 router does (RFC 791 section 2.3, RFC 8200 section 4.5). A packet
// that is a fragment itself is cut into smaller ones.
import * as Protocol from "../../assembly/shared/protocol.ts";
import { sumWords } from "./reference/checksum.ts";

/** What a fragment says of itself. */
interface Part {
  readonly offset: number;
  readonly hasMore: boolean;
  readonly id: number;
}

const WHOLE: Part = { offset: 0, hasMore: false, id: 0 };
const MORE_FRAGMENTS = 0x2000;
const FRAGMENT_HEADER = 8;
// RFC 791 section 3.1: options of the first fragment alone do not have the bit.
const COPIED = 0x80;
const END = 0;
const NO_OPERATION = 1;

/**
 * The fragments of a packet in their order, each with at most `size` bytes of it; `size` is a multiple of eight.
 * Without `id` they have the packet's own identification.
 */
export function fragmentsOf(packet: Uint8Array, size: number, id?: number): Uint8Array[] {
  const isV4 = (packet[0] as number) >> 4 === 4;
  const header = isV4 ? packet.subarray(0, ((packet[0] as number) & 15) * 4) : perFragmentHeaders(packet);
  const hasRoom = packet.length >= header.length + FRAGMENT_HEADER; // a damaged packet may end before
  const isCutAgain = !isV4 && packet[nextHeaderAt(header)] === Protocol.FRAGMENT && hasRoom;
  const own = isV4 ? part4(packet) : isCutAgain ? part6(packet.subarray(header.length)) : WHOLE;
  const content = packet.subarray(header.length + (isCutAgain ? FRAGMENT_HEADER : 0));
  const protocol = packet[isCutAgain ? header.length : nextHeaderAt(header)] as number;
  const fragments: Uint8Array[] = [];
  for (let at = 0; at === 0 || at < content.length; at += size) {
    const bytes = content.subarray(at, at + size);
    const isLast = at + size >= content.length;
    const part = { offset: own.offset + at, hasMore: own.hasMore || !isLast, id: id ?? own.id };
    fragments.push(isV4 ? fragment4(header, bytes, part, at === 0) : fragment6(header, bytes, part, protocol));
  }
  return fragments;
}

function part4(packet: Uint8Array): Part {
  const view = new DataView(packet.buffer, packet.byteOffset);
  const word = view.getUint16(6);
  return { offset: (word & 0x1fff) * 8, hasMore: (word & MORE_FRAGMENTS) !== 0, id: view.getUint16(4) };
}

function part6(fragmentHeader: Uint8Array): Part {
  const view = new DataView(fragmentHeader.buffer, fragmentHeader.byteOffset);
  const word = view.getUint16(2);
  return { offset: word & 0xfff8, hasMore: (word & 1) !== 0, id: view.getUint32(4) };
}

/** What every fragment repeats: the IPv6 header, and the headers for the routers on the way. */
function perFragmentHeaders(packet: Uint8Array): Uint8Array {
  let at = 40;
  for (let next = packet[6]; next === Protocol.HOP_BY_HOP || next === Protocol.ROUTING; ) {
    next = packet[at];
    at += ((packet[at + 1] as number) + 1) * 8;
  }
  return packet.subarray(0, at);
}

function fragment4(header: Uint8Array, content: Uint8Array, part: Part, isFirst: boolean): Uint8Array {
  const bytes = Uint8Array.from(Buffer.concat([header, content]));
  const view = new DataView(bytes.buffer);
  view.setUint16(2, bytes.length);
  view.setUint16(4, part.id & 0xffff);
  view.setUint16(6, (part.hasMore ? MORE_FRAGMENTS : 0) | (part.offset / 8));
  if (!isFirst) dropUncopiedOptions(bytes.subarray(20, header.length));
  view.setUint16(10, 0);
  view.setUint16(10, ~sumWords(bytes, 0, header.length) & 0xffff);
  return bytes;
}

/** The header keeps its length. */
function dropUncopiedOptions(options: Uint8Array): void {
  for (let at = 0; at < options.length && options[at] !== END; ) {
    const type = options[at] as number;
    const length = type === NO_OPERATION ? 1 : Math.max(options[at + 1] ?? 1, 1);
    if ((type & COPIED) === 0) options.fill(NO_OPERATION, at, at + length);
    at += length;
  }
}

function fragment6(header: Uint8Array, content: Uint8Array, part: Part, protocol: number): Uint8Array {
  const bytes = Uint8Array.from(Buffer.concat([header, new Uint8Array(FRAGMENT_HEADER), content]));
  const view = new DataView(bytes.buffer);
  view.setUint16(4, bytes.length - 40);
  // The type of what is cut up moves into the fragment header.
  view.setUint8(nextHeaderAt(header), Protocol.FRAGMENT);
  view.setUint8(header.length, protocol);
  view.setUint16(header.length + 2, part.offset | (part.hasMore ? 1 : 0));
  view.setUint32(header.length + 4, part.id);
  return bytes;
}

/** Where the headers that every fragment repeats say what follows them. */
function nextHeaderAt(header: Uint8Array): number {
  if (header.length <= 40) return 6;
  let at = 40;
  for (;;) {
    const end = at + ((header[at + 1] as number) + 1) * 8;
    if (end >= header.length) return at;
    at = end;
  }
}
