// The slow twin's translation between IPv4 and IPv6, after RFC 7915: headers, ICMP types and codes, checksums.
// What cannot be said in the other family is `undefined`.
import * as Protocol from "../../../assembly/shared/protocol.ts";
import { fold, incremental, sumWords, words } from "./checksum.ts";
import { type Ends, isExtensionHeader, isIcmp, type ParsedPacket } from "./parser.ts";
import { addressWords, type ChecksumState, reversed, rewriteTransport } from "./rewrite.ts";

/** How much longer the header becomes, which MTUs differ by. */
const DIFFERENCE = 20;
/** Section 5.1: up to this size an IPv4 packet that was made of an IPv6 one may be fragmented. */
const FRAGMENTABLE_MAX = 1260;
const IPV4_MTU_MIN = 68;
const IPV6_MTU_MIN = 1280;
/** RFC 1191 section 7.1, for routers that do not say the MTU. */
const PLATEAUS = [32000, 17914, 8166, 4352, 2002, 1492, 1006];
const SOURCE_ROUTES = [131, 137];
/** Section 5.1: the extension headers that IPv4 does without. */
const LEFT_OUT: readonly number[] = [
  Protocol.HOP_BY_HOP,
  Protocol.DESTINATION_OPTIONS,
  Protocol.ROUTING,
  Protocol.FRAGMENT,
];

/** What an IP header says beside addresses. */
interface Header {
  readonly trafficClass: number;
  readonly hopLimit: number;
  readonly protocol: number;
  /** Length of what is behind the headers, as the packet says it. */
  readonly contentLength: number;
  readonly fragment: { readonly offset: number; readonly hasMore: boolean; readonly id: number } | undefined;
}

export interface Across {
  /** Identification for an IPv4 header that gets one of its own, so many bytes behind the start of the new packet. */
  identification(at: number): number;
  /** MTU of the link to the receiver of an error; 0 = not known. */
  readonly linkMtu: number;
  /** Payload of each packet that a super-packet stands for; 0 = it is none. */
  readonly segmentSize: number;
}

/** Where an ICMP error over IPv4 quotes a packet. */
const QUOTED_AT = 20 + 8;

/** Whether the headers of a packet can be said in the other family. */
export function isTranslatable(bytes: Uint8Array, packet: ParsedPacket): boolean {
  // Section 1.2: the ICMPv6 checksum covers the length of the whole, which a fragment does not say.
  if (packet.fragment !== undefined && isIcmp(packet.protocol)) return false;
  return headerOf(bytes, packet) !== undefined;
}

/** Whether the ICMP checksum of an error is right. What is made anew must not come out right otherwise. */
export function isErrorIntact(bytes: Uint8Array, packet: ParsedPacket): boolean {
  const content = bytes.subarray(packet.headerLength, packet.totalLength);
  const pseudo = pseudoHeader(packet, packet.version, content.length).reduce((sum, word) => sum + word, 0);
  return fold(pseudo + sumWords(content)) === 0xffff;
}

/** The packet in the other family, between other ends. */
export function toOtherFamily(
  bytes: Uint8Array,
  packet: ParsedPacket,
  ends: Ends,
  state: ChecksumState,
  across: Across,
): Uint8Array | undefined {
  const header = headerOf(bytes, packet);
  if (header === undefined) return undefined;
  const content = bytes.slice(packet.headerLength, packet.totalLength);
  const translated =
    packet.embedded === undefined
      ? summed(transportAcross(content, packet, ends, header.contentLength, state), packet, ends, state)
      : errorAcross(content, packet, packet.embedded, ends, across);
  if (translated === undefined) return undefined;
  const contentLength = header.contentLength + translated.length - content.length;
  if (contentLength > 65_535 - DIFFERENCE) return undefined;
  return Uint8Array.from([...headerAcross({ ...header, contentLength }, packet, ends, across), ...translated]);
}

/**
 * Offset of a source route that has not come to its end, which sections 4.1 and 5.1 do not let pass. Of several IPv6
 * headers that cannot pass the first one is the reason.
 */
export function sourceRouteAt(bytes: Uint8Array, { version, headerLength }: ParsedPacket): number | undefined {
  if (version === 6) {
    const hindrance = chainOf(bytes, headerLength).find(
      ({ type, at }) => !LEFT_OUT.includes(type) || (type === Protocol.ROUTING && bytes[at + 3] !== 0),
    );
    return hindrance?.type === Protocol.ROUTING ? hindrance.at + 3 : undefined;
  }
  for (let at = 20; at < headerLength && bytes[at] !== 0; ) {
    const [type = 0, length = 0, pointer = 0] = bytes.subarray(at, Math.min(at + 3, headerLength));
    if (type === 1) {
      at += 1;
      continue;
    }
    if (at + 3 > headerLength) break;
    if (SOURCE_ROUTES.includes(type) && pointer <= length) return at;
    at += Math.max(length, 2);
  }
  return undefined;
}

function headerOf(bytes: Uint8Array, packet: ParsedPacket): Header | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const { version, protocol, headerLength, fragment } = packet;
  // An authentication header covers the addresses; of the others none means anything in IPv4, nor behind IPv4 in IPv6.
  if (isExtensionHeader(protocol)) return undefined;
  if (version === 4) {
    return {
      trafficClass: view.getUint8(1),
      hopLimit: view.getUint8(8),
      protocol: protocol === Protocol.ICMP ? Protocol.ICMPV6 : protocol,
      contentLength: view.getUint16(2) - headerLength,
      fragment,
    };
  }
  const chain = chainOf(bytes, headerLength);
  if (chain.some(({ type }) => !LEFT_OUT.includes(type))) return undefined;
  const fragmentHeader = chain.find(({ type }) => type === Protocol.FRAGMENT);
  const word = fragmentHeader === undefined ? 0 : view.getUint16(fragmentHeader.at + 2);
  return {
    trafficClass: (view.getUint16(0) >> 4) & 0xff,
    hopLimit: view.getUint8(7),
    protocol: protocol === Protocol.ICMPV6 ? Protocol.ICMP : protocol,
    contentLength: 40 + view.getUint16(4) - headerLength,
    fragment: fragmentHeader && {
      offset: word & 0xfff8,
      hasMore: (word & 1) !== 0,
      id: view.getUint32(fragmentHeader.at + 4),
    },
  };
}

/** The extension headers of an IPv6 packet up to its upper layer. */
function chainOf(bytes: Uint8Array, headerLength: number): { readonly type: number; readonly at: number }[] {
  const chain: { type: number; at: number }[] = [];
  let type = bytes[6] as number;
  for (let at = 40; at < headerLength; ) {
    chain.push({ type, at });
    const units = bytes[at + 1] as number;
    at += type === Protocol.FRAGMENT ? 8 : type === 51 ? (units + 2) * 4 : (units + 1) * 8;
    type = bytes[chain.at(-1)?.at as number] as number;
  }
  return chain;
}

/** Sections 4.1 and 5.1. */
function headerAcross(header: Header, packet: ParsedPacket, ends: Ends, across: Across, at = 0): Uint8Array {
  const { trafficClass, hopLimit, protocol, contentLength, fragment } = header;
  const addresses = Buffer.from(ends.source + ends.destination, "latin1");
  if (packet.version === 6) {
    const bytes = new Uint8Array(20);
    const view = new DataView(bytes.buffer);
    const length = 20 + contentLength;
    view.setUint8(0, 0x45);
    view.setUint8(1, trafficClass);
    view.setUint16(2, length);
    view.setUint16(4, fragment === undefined ? across.identification(at) : fragment.id & 0xffff);
    const longest = across.segmentSize === 0 ? length : 20 + packet.transportLength + across.segmentSize;
    const dontFragment = fragment === undefined && longest > FRAGMENTABLE_MAX ? 0x4000 : 0;
    view.setUint16(6, dontFragment | (fragment?.hasMore ? 0x2000 : 0) | ((fragment?.offset ?? 0) / 8));
    view.setUint8(8, hopLimit);
    view.setUint8(9, protocol);
    bytes.set(addresses, 12);
    view.setUint16(10, ~sumWords(bytes) & 0xffff);
    return bytes;
  }
  const bytes = new Uint8Array(fragment === undefined ? 40 : 48);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, ((6 << 28) | (trafficClass << 20)) >>> 0);
  view.setUint16(4, bytes.length - 40 + contentLength);
  view.setUint8(6, fragment === undefined ? protocol : Protocol.FRAGMENT);
  view.setUint8(7, hopLimit);
  bytes.set(addresses, 8);
  if (fragment !== undefined) {
    view.setUint8(40, protocol);
    view.setUint16(42, fragment.offset | (fragment.hasMore ? 1 : 0));
    view.setUint32(44, fragment.id);
  }
  return bytes;
}

/** `length` is what the packet says of its content, of which the end may be missing. */
function transportAcross(
  content: Uint8Array,
  packet: ParsedPacket,
  ends: Ends,
  length: number,
  state: ChecksumState = "whole",
): Uint8Array {
  if (packet.kind !== "echo") {
    // What comes behind a packet that ends before its checksum is none of it.
    if (packet.kind === "portless" && length < 8) return content;
    rewriteTransport(content, packet, ends, addressWords(packet), addressWords(ends), state);
    return content;
  }
  const before = [...pseudoHeader(packet, packet.version, length), ...words(content.subarray(0, 2))];
  const types = packet.version === 4 ? [129, 128] : [0, 8];
  content[0] = types[packet.isRequest ? 1 : 0] as number;
  const after = [...pseudoHeader(ends, other(packet.version), length), ...words(content.subarray(0, 2))];
  rewriteTransport(content, packet, ends, before, after);
  return content;
}

/** Section 4.5: IPv6 has no UDP without a checksum, and a fragment does not have all that it covers. */
function summed(
  content: Uint8Array,
  { version, kind, protocol, fragment }: ParsedPacket,
  ends: Ends,
  state: ChecksumState,
): Uint8Array | undefined {
  const isUdp = kind === "transport" && protocol === Protocol.UDP;
  if (version === 6 || !isUdp || state === "partial" || content[6] !== 0 || content[7] !== 0) return content;
  if (fragment !== undefined) return undefined;
  const length = (content[4] as number) * 256 + (content[5] as number); // without the options behind it (RFC 9868)
  const pseudo = [...addressWords(ends), length, Protocol.UDP].reduce((sum, word) => sum + word, 0);
  const checksum = ~fold(pseudo + sumWords(content, 0, length)) & 0xffff;
  new DataView(content.buffer, content.byteOffset).setUint16(6, checksum === 0 ? 0xffff : checksum);
  return content;
}

/** An ICMP error, with the packet that it quotes in the other family too (sections 4.2, 4.3, 5.2 and 5.3). */
function errorAcross(
  content: Uint8Array,
  packet: ParsedPacket,
  embedded: ParsedPacket,
  ends: Ends,
  across: Across,
): Uint8Array | undefined {
  const quoted = quotedPart(content, packet, embedded);
  const counterpart =
    packet.version === 4 ? toIcmpv6(content, quoted, across.linkMtu) : toIcmpv4(content, across.linkMtu);
  const header = headerOf(quoted, embedded);
  if (counterpart === undefined || header === undefined) return undefined;
  // Section 5.1 holds for the quoted packet too.
  if (packet.version === 6 && sourceRouteAt(quoted, embedded) !== undefined) return undefined;
  const inner = reversed(ends);
  const quotedContent = quoted.slice(embedded.headerLength);
  const innerContent = transportAcross(quotedContent, embedded, inner, header.contentLength);
  // A quoted first fragment is quoted in IPv6 as if it were the whole: there is no room for a fragment header.
  const quotedHeader = packet.version === 4 ? { ...header, fragment: undefined } : header;
  const innerHeader = headerAcross(quotedHeader, embedded, inner, { ...across, segmentSize: 0 }, QUOTED_AT);
  const whole = Uint8Array.from([...counterpart, ...innerHeader, ...innerContent]);
  // RFC 4443 section 2.4 (c): an ICMPv6 error is no longer than the least MTU.
  const message = packet.version === 4 ? whole.slice(0, IPV6_MTU_MIN - 40) : whole;
  const before = [...pseudoHeader(packet, packet.version, content.length), ...allWords(withoutChecksum(content))];
  const after = [...pseudoHeader(ends, other(packet.version), message.length), ...allWords(message)];
  const checksum = new DataView(content.buffer, content.byteOffset).getUint16(2);
  new DataView(message.buffer).setUint16(2, incremental(checksum, before, after));
  return message;
}

/** RFC 4884: what comes behind the quoted packet is left out, since its place changes. */
function quotedPart(content: Uint8Array, { version }: ParsedPacket, embedded: ParsedPacket): Uint8Array {
  const hasLength = (version === 4 ? [3, 11, 12] : [1, 3]).includes(content[0] as number);
  const said = version === 4 ? (content[5] as number) * 4 : (content[4] as number) * 8;
  const quoted = content.subarray(8);
  return hasLength && said > 0 ? quoted.subarray(0, Math.max(said, embedded.headerLength + 8)) : quoted;
}

/** An odd last byte is a high byte. */
function allWords(bytes: Uint8Array): number[] {
  return words(bytes.length % 2 === 0 ? bytes : Uint8Array.from([...bytes, 0]));
}

function withoutChecksum(message: Uint8Array): Uint8Array {
  const copy = message.slice();
  copy.fill(0, 2, 4);
  return copy;
}

/** The words that ICMPv6 sums beside the message (RFC 4443 section 2.3); ICMP sums none. */
/** A quoted packet may say a length that is less than its header; the new one says it in 16 bits. */
function pseudoHeader(ends: Ends, version: 4 | 6, length: number): number[] {
  return version === 4 ? [] : [...addressWords(ends), length & 0xffff, Protocol.ICMPV6];
}

function other(version: 4 | 6): 4 | 6 {
  return version === 4 ? 6 : 4;
}

/** Type, code, no checksum, and the word behind it; section 4.2. */
function toIcmpv6(message: Uint8Array, quoted: Uint8Array, linkMtu: number): number[] | undefined {
  const [type, code] = message as unknown as readonly [number, number];
  if (type === 11) return icmp(3, code, 0);
  if (type === 12) {
    const pointer = code === 0 || code === 2 ? POINTERS_4_TO_6[message[4] as number] : undefined;
    return pointer === undefined ? undefined : icmp(4, 0, pointer);
  }
  if (code === 4) {
    const said = (message[6] as number) * 256 + (message[7] as number);
    const length = (quoted[2] as number) * 256 + (quoted[3] as number);
    const mtu = (said || (PLATEAUS.find((plateau) => plateau < length) ?? 0)) + DIFFERENCE;
    return icmp(2, 0, Math.max(IPV6_MTU_MIN, linkMtu === 0 ? mtu : Math.min(mtu, linkMtu)));
  }
  if (code === 2) return icmp(4, 1, 6);
  if (code === 3) return icmp(1, 4, 0);
  if ([9, 10, 13, 15].includes(code)) return icmp(1, 1, 0);
  return [0, 1, 5, 6, 7, 8, 11, 12].includes(code) ? icmp(1, 0, 0) : undefined;
}

/** Section 5.2. */
function toIcmpv4(message: Uint8Array, linkMtu: number): number[] | undefined {
  const [type, code] = message as unknown as readonly [number, number];
  const word = new DataView(message.buffer, message.byteOffset).getUint32(4);
  if (type === 3) return icmp(11, code, 0);
  if (type === 2) {
    const mtu = Math.max(IPV4_MTU_MIN, word - DIFFERENCE);
    return icmp(3, 4, Math.min(0xffff, linkMtu === 0 ? mtu : Math.min(mtu, linkMtu)));
  }
  if (type === 4) {
    if (code === 1) return icmp(3, 2, 0);
    const pointer = code === 0 ? pointer6to4(word) : undefined;
    return pointer === undefined ? undefined : icmp(12, 0, pointer * 0x100_0000);
  }
  const codes: Readonly<Record<number, number>> = { 0: 1, 1: 10, 2: 1, 3: 1, 4: 3 };
  const counterpart = codes[code];
  return counterpart === undefined ? undefined : icmp(3, counterpart, 0);
}

/** Figure 3: from a byte of the IPv4 header to the field of the IPv6 header. */
const POINTERS_4_TO_6: Readonly<Record<number, number>> = {
  ...{ 0: 0, 1: 1, 2: 4, 3: 4, 8: 7, 9: 6 },
  ...{ 12: 8, 13: 8, 14: 8, 15: 8, 16: 24, 17: 24, 18: 24, 19: 24 },
};

/** Figure 6, the other way round. */
function pointer6to4(pointer: number): number | undefined {
  const fields: Readonly<Record<number, number>> = { 0: 0, 1: 1, 4: 2, 5: 2, 6: 9, 7: 8 };
  if (pointer >= 8 && pointer < 24) return 12;
  if (pointer >= 24 && pointer < 40) return 16;
  return fields[pointer];
}

function icmp(type: number, code: number, word: number): number[] {
  return [type, code, 0, 0, (word >>> 24) & 0xff, (word >>> 16) & 0xff, (word >>> 8) & 0xff, word & 0xff];
}
