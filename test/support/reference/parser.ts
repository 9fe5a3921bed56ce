// The slow twin's parser: what a packet must look like to be translated, check by check in the order of DropReason.

import * as Protocol from "../../../assembly/shared/protocol.ts";
import { DropReason } from "../../../assembly/shared/verdicts.ts";
import * as Virtio from "../../../assembly/shared/virtio.ts";
import type { TcpFacts } from "./flow-state.ts";

/** A packet that passed every check. Addresses are the raw 4 or 16 bytes as a latin1 string: equal means equal. */
export interface ParsedPacket extends Ends {
  readonly version: 4 | 6;
  readonly kind: PacketKind;
  /** Bytes before the transport header: IPv4 options and IPv6 extension headers are among them. */
  readonly headerLength: number;
  readonly totalLength: number;
  /** The upper layer's number, as on the wire. */
  readonly protocol: number;
  /** Length of the TCP or UDP header, or of the eight bytes that every ICMP message begins with. */
  readonly transportLength: number;
  /** TCP flags; 0 for everything else. */
  readonly flags: number;
  readonly tcp: TcpFacts | undefined;
  /** An echo request: its identifier is the sender's. */
  readonly isRequest: boolean;
  /** Undefined for a whole packet, which one with a fragment header may be too (RFC 6946). */
  readonly fragment: Fragment | undefined;
  /** Of an ICMP error: the packet that it is about, as far as it was quoted. */
  readonly embedded: ParsedPacket | undefined;
}

/**
 * What a packet is translated by: TCP and UDP by ports; ICMP echo by its identifier, which is used as the port of the
 * side that asked; an ICMP error by the packet in it; everything else by addresses alone; a fragment that is not the
 * first as the first was.
 */
type PacketKind = "transport" | "echo" | "error" | "portless" | "laterFragment";

export interface Ends {
  readonly source: string;
  readonly destination: string;
  readonly sourcePort: number;
  readonly destinationPort: number;
}

interface Fragment {
  readonly offset: number;
  readonly hasMore: boolean;
  readonly id: number;
}

/** What a virtio_net_hdr asks for. */
export interface Offload {
  readonly needsChecksum: boolean;
  /**
   * Of a packet inside, whose checksum is to be finished: where its sum begins and where it is, as bytes of the packet.
   */
  readonly inner?: { readonly start: number; readonly field: number };
  /** Payload bytes of a segment; 0 = the packet is no super-packet. */
  readonly segmentSize: number;
}

// Extension headers (RFC 8200 section 4, RFC 4302, RFC 6275, RFC 7401, RFC 5533). ESP and "no next header" end a chain.
const HOP_BY_HOP = 0;
const ROUTING = 43;
const FRAGMENT = 44;
const AUTHENTICATION = 51;
const DESTINATION_OPTIONS = 60;
const MOBILITY = 135;
const HIP = 139;
const SHIM6 = 140;
const EXTENSION_HEADERS = [
  HOP_BY_HOP,
  ROUTING,
  FRAGMENT,
  AUTHENTICATION,
  DESTINATION_OPTIONS,
  MOBILITY,
  HIP,
  SHIM6,
] as readonly number[];
const EXTENSION_HEADERS_MAX = 8;

// RFC 792, RFC 4443
const ECHO_TYPES = { 4: { request: 8, reply: 0 }, 6: { request: 128, reply: 129 } } as const;
const ERROR_TYPES: Readonly<Record<4 | 6, readonly number[]>> = { 4: [3, 11, 12], 6: [1, 2, 3, 4] };
const ICMP_HEADER = 8;
/** What an ICMP error quotes at least of the transport (RFC 792). */
const QUOTED_MIN = 8;

/** The network layer of a packet: everything before the transport. */
interface Network {
  readonly version: 4 | 6;
  readonly headerLength: number;
  readonly totalLength: number;
  readonly protocol: number;
  readonly source: string;
  readonly destination: string;
  readonly fragment: Fragment | undefined;
}

export function parse(packet: Uint8Array): ParsedPacket | DropReason {
  const network = parseNetwork(packet, false);
  return typeof network === "number" ? network : parseTransport(packet, network);
}

/** The packet in an ICMP error, of which the end may be missing. */
function parseEmbedded(packet: Uint8Array, version: 4 | 6): ParsedPacket | undefined {
  const network = parseNetwork(packet, true);
  if (typeof network === "number" || network.version !== version) return undefined;
  if ((network.fragment?.offset ?? 0) > 0) return undefined;
  if (packet.length < network.headerLength + QUOTED_MIN) return undefined;
  const { protocol, headerLength } = network;
  const view = viewOf(packet);
  if (protocol === Protocol.TCP || protocol === Protocol.UDP) {
    const [sourcePort, destinationPort] = [view.getUint16(headerLength), view.getUint16(headerLength + 2)];
    return packetOf(network, { kind: "transport", transportLength: QUOTED_MIN, sourcePort, destinationPort });
  }
  if (!isIcmp(protocol)) return packetOf(network, { kind: "portless", transportLength: QUOTED_MIN });
  return isOwnIcmp(network) ? echoOf(packet, network) : undefined;
}

/** `isQuoted` says that the bytes may end before the packet does. */
function parseNetwork(packet: Uint8Array, isQuoted: boolean): Network | DropReason {
  const view = viewOf(packet);
  const version = packet.length === 0 ? 0 : view.getUint8(0) >> 4;
  if (version !== 4 && version !== 6) return DropReason.notIp;
  if (packet.length < (version === 4 ? 20 : 40)) return DropReason.truncatedHeader;

  const fixedLength = version === 4 ? (view.getUint8(0) & 15) * 4 : 40;
  if (fixedLength < 20 || fixedLength > packet.length) return DropReason.badHeaderLength;

  const saidLength = version === 4 ? view.getUint16(2) : 40 + view.getUint16(4);
  if (!isQuoted && (saidLength < fixedLength || saidLength > packet.length)) return DropReason.badTotalLength;
  const totalLength = isQuoted ? packet.length : saidLength;

  const source = version === 4 ? latin1(packet, 12, 16) : latin1(packet, 8, 24);
  const destination = version === 4 ? latin1(packet, 16, 20) : latin1(packet, 24, 40);
  if (version === 4) {
    // More fragments, or an offset: RFC 791. The don't-fragment bit is no fragment.
    const word = view.getUint16(6);
    const fragment = fragmentOf((word & 0x1fff) * 8, (word & 0x2000) !== 0, view.getUint16(4));
    const protocol = view.getUint8(9);
    return { version, headerLength: fixedLength, totalLength, protocol, source, destination, fragment };
  }
  const upper = walkExtensions(packet.subarray(0, totalLength));
  if (upper === undefined) return DropReason.badExtensionHeader;
  const { headerLength, protocol, fragment } = upper;
  return { version, headerLength, totalLength, protocol, source, destination, fragment };
}

/** Where the upper layer of an IPv6 packet begins, and which it is; undefined when the chain is broken or too long. */
function walkExtensions(packet: Uint8Array): Pick<Network, "headerLength" | "protocol" | "fragment"> | undefined {
  const view = viewOf(packet);
  let protocol = view.getUint8(6);
  let at = 40;
  let fragment: Fragment | undefined;
  let fragmentHeaders = 0;
  for (let count = 0; isExtensionHeader(protocol); count++) {
    if (count === EXTENSION_HEADERS_MAX || at + 8 > packet.length) return undefined;
    const next = view.getUint8(at);
    let length = (view.getUint8(at + 1) + 1) * 8;
    if (protocol === FRAGMENT) {
      // A fragment of a fragment is nothing that a sender makes.
      if (++fragmentHeaders > 1) return undefined;
      length = 8;
      const word = view.getUint16(at + 2);
      fragment = fragmentOf(word & 0xfff8, (word & 1) !== 0, view.getUint32(at + 4));
    } else if (protocol === AUTHENTICATION) {
      length = (view.getUint8(at + 1) + 2) * 4;
    }
    if (at + length > packet.length) return undefined;
    at += length;
    protocol = next;
    // What follows in a later fragment is the middle of something.
    if ((fragment?.offset ?? 0) > 0) break;
  }
  return { headerLength: at, protocol, fragment };
}

function fragmentOf(offset: number, hasMore: boolean, id: number): Fragment | undefined {
  return offset === 0 && !hasMore ? undefined : { offset, hasMore, id };
}

function parseTransport(packet: Uint8Array, network: Network): ParsedPacket | DropReason {
  const { protocol, headerLength, fragment, version, totalLength } = network;
  const hasTransport = protocol === Protocol.TCP || protocol === Protocol.UDP;
  if (fragment !== undefined && fragment.offset > 0) {
    // Only what has neither ports nor an identifier says all that is needed in every fragment.
    const isComplete = !hasTransport && !isIcmp(protocol) && !(version === 6 && isExtensionHeader(protocol));
    return packetOf(network, { kind: isComplete ? "portless" : "laterFragment" });
  }
  if (isIcmp(protocol)) return parseIcmp(packet, network);
  if (!hasTransport) return packetOf(network, { kind: "portless" });

  const view = viewOf(packet);
  const present = totalLength - headerLength;
  if (present < (protocol === Protocol.TCP ? 20 : 8)) return DropReason.truncatedTransport;

  let transportLength = 8;
  if (protocol === Protocol.TCP) {
    transportLength = (view.getUint8(headerLength + 12) >> 4) * 4;
    if (transportLength < 20 || transportLength > present) return DropReason.badTransportLength;
  } else {
    const length = view.getUint16(headerLength + 4);
    // A first fragment has only the beginning of the datagram; behind a datagram may be options (RFC 9868).
    if (length < 8 || (fragment === undefined && length > present)) {
      return DropReason.badTransportLength;
    }
  }

  const [sourcePort, destinationPort] = [view.getUint16(headerLength), view.getUint16(headerLength + 2)];
  if (sourcePort === 0 || destinationPort === 0) return DropReason.portZero;
  const isTcp = protocol === Protocol.TCP;
  const flags = isTcp ? view.getUint8(headerLength + 13) : 0;
  const tcp = isTcp ? tcpFacts(packet.subarray(headerLength, headerLength + transportLength)) : undefined;
  return packetOf(network, { kind: "transport", transportLength, sourcePort, destinationPort, flags, tcp });
}

function tcpFacts(header: Uint8Array): TcpFacts {
  const view = viewOf(header);
  return {
    sequence: view.getUint32(4),
    acknowledgment: view.getUint32(8),
    window: view.getUint16(14),
    windowScale: windowScale(header.subarray(20)),
  };
}

/** RFC 7323 section 2.2: kind 3, length 3; RFC 9293 section 3.2: 0 ends the options, 1 is a byte of its own. */
function windowScale(options: Uint8Array): number | undefined {
  for (let at = 0; at + 3 <= options.length; ) {
    const [kind, length] = [options[at], options[at + 1] ?? 0];
    if (kind === 0) return undefined;
    if (kind === 3) return length === 3 ? options[at + 2] : undefined;
    if (kind !== 1 && length < 2) return undefined;
    at += kind === 1 ? 1 : length;
  }
  return undefined;
}

function parseIcmp(packet: Uint8Array, network: Network): ParsedPacket | DropReason {
  const { version, headerLength, totalLength } = network;
  if (!isOwnIcmp(network)) return DropReason.unsupportedIcmp;
  if (totalLength - headerLength < ICMP_HEADER) return DropReason.truncatedTransport;
  const echo = echoOf(packet, network);
  if (echo !== undefined) return echo;
  if (!ERROR_TYPES[version].includes(packet[headerLength] as number)) return DropReason.unsupportedIcmp;
  const embedded = parseEmbedded(packet.subarray(headerLength + ICMP_HEADER, totalLength), version);
  if (embedded === undefined) return DropReason.badIcmpError;
  return packetOf(network, { kind: "error", transportLength: ICMP_HEADER, embedded });
}

/** An echo, whose identifier is the port of the side that asks; undefined for everything else. */
function echoOf(packet: Uint8Array, network: Network): ParsedPacket | undefined {
  const { version, headerLength } = network;
  const view = viewOf(packet);
  const identifier = view.getUint16(headerLength + 4);
  const { request, reply } = ECHO_TYPES[version];
  const type = view.getUint8(headerLength);
  const common = { kind: "echo", transportLength: ICMP_HEADER } as const;
  if (type === request) return packetOf(network, { ...common, sourcePort: identifier, isRequest: true });
  return type === reply ? packetOf(network, { ...common, destinationPort: identifier }) : undefined;
}

/** Field by field, since this runs for every packet. */
function packetOf(network: Network, upper: Pick<ParsedPacket, "kind"> & Partial<ParsedPacket>): ParsedPacket {
  return {
    version: network.version,
    kind: upper.kind,
    headerLength: network.headerLength,
    totalLength: network.totalLength,
    protocol: network.protocol,
    source: network.source,
    destination: network.destination,
    sourcePort: upper.sourcePort ?? 0,
    destinationPort: upper.destinationPort ?? 0,
    transportLength: upper.transportLength ?? 0,
    flags: upper.flags ?? 0,
    tcp: upper.tcp,
    isRequest: upper.isRequest ?? false,
    fragment: network.fragment,
    embedded: upper.embedded,
  };
}

export function isIcmp(protocol: number): boolean {
  return protocol === Protocol.ICMP || protocol === Protocol.ICMPV6;
}

/** Whether it is the ICMP of its own family. That of the other one means nothing. */
function isOwnIcmp({ version, protocol }: Pick<Network, "version" | "protocol">): boolean {
  return protocol === (version === 4 ? Protocol.ICMP : Protocol.ICMPV6);
}

export function isExtensionHeader(protocol: number): boolean {
  return EXTENSION_HEADERS.includes(protocol);
}

/** Reads the virtio_net_hdr of a frame whose packet is known; undefined when it contradicts the packet. */
export function parseOffload(frame: Uint8Array, packet: ParsedPacket): Offload | undefined {
  const view = viewOf(frame);
  const isWhole = packet.kind === "transport" && packet.fragment === undefined;
  const needsChecksum = (view.getUint8(Virtio.FLAGS) & Virtio.F_NEEDS_CSUM) !== 0;
  const start = view.getUint16(Virtio.CSUM_START, true);
  const offset = view.getUint16(Virtio.CSUM_OFFSET, true);
  const type = view.getUint8(Virtio.GSO_TYPE);
  const isTcp = packet.protocol === Protocol.TCP;
  const covered = isTcp ? packet.totalLength : packet.headerLength + (udpLength(frame, packet) ?? 0);
  const isOwn = isWhole && start === packet.headerLength && offset === (isTcp ? 16 : 6);
  if (needsChecksum && !(isOwn && covered === packet.totalLength)) {
    // A tunnel's packet may leave the checksum of the packet inside to the device.
    if (type !== Virtio.GSO_NONE || packet.fragment !== undefined) return undefined;
    const headers = packet.headerLength + (isOwn || packet.kind === "portless" ? 0 : packet.transportLength);
    if (start < headers || start + offset + 2 > packet.totalLength) return undefined;
    return { needsChecksum: false, inner: { start, field: start + offset }, segmentSize: 0 };
  }
  if (type === Virtio.GSO_NONE) return { needsChecksum, segmentSize: 0 };

  const tcpType = packet.version === 4 ? Virtio.GSO_TCPV4 : Virtio.GSO_TCPV6;
  const allowed = packet.protocol === Protocol.TCP ? [tcpType, tcpType | Virtio.GSO_ECN] : [Virtio.GSO_UDP_L4];
  if (!isWhole || !allowed.includes(type)) return undefined;
  const segmentSize = view.getUint16(Virtio.GSO_SIZE, true);
  // A segment needs a checksum of its own, so a super-packet without one cannot be meant.
  if (segmentSize === 0 || !needsChecksum) return undefined;
  return { needsChecksum, segmentSize };
}

function udpLength(frame: Uint8Array, { kind, protocol, headerLength }: ParsedPacket): number | undefined {
  if (kind !== "transport" || protocol === Protocol.TCP) return undefined;
  return viewOf(frame).getUint16(Virtio.SIZE + headerLength + 4);
}

/** UDP-Lite and DCCP: no ports for a translator, but a checksum over the pseudo-header, where UDP has its own. */
export function isUdpLike(protocol: number): boolean {
  return protocol === Protocol.DCCP || protocol === Protocol.UDPLITE;
}

/** Bytes as a string that compares and hashes fast. */
export function latin1(bytes: Uint8Array, start = 0, end = bytes.length): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1", start, end);
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
