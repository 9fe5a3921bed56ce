// The slow twin's parser: what a packet must look like to be translated, check by check in the order of DropReason.

import {
  IPPROTO_TCP,
  IPPROTO_UDP,
  VIRTIO_CSUM_OFFSET,
  VIRTIO_CSUM_START,
  VIRTIO_F_NEEDS_CSUM,
  VIRTIO_FLAGS,
  VIRTIO_GSO_ECN,
  VIRTIO_GSO_NONE,
  VIRTIO_GSO_SIZE,
  VIRTIO_GSO_TCPV4,
  VIRTIO_GSO_TCPV6,
  VIRTIO_GSO_TYPE,
  VIRTIO_GSO_UDP_L4,
} from "../../../assembly/shared/protocols.ts";
import { DropReason } from "../../../assembly/shared/verdicts.ts";

/** IPv6 fragment header, RFC 8200 section 4.5. */
const IPPROTO_FRAGMENT = 44;

/** A packet that passed every check. Addresses are the raw 4 or 16 bytes as a latin1 string: equal means equal. */
export interface ParsedPacket {
  readonly version: 4 | 6;
  readonly headerLength: number;
  readonly totalLength: number;
  readonly protocol: number;
  readonly source: string;
  readonly destination: string;
  readonly sourcePort: number;
  readonly destinationPort: number;
  /** Length of the TCP or UDP header. */
  readonly transportLength: number;
  /** TCP flags; 0 for UDP. */
  readonly flags: number;
}

/** What a virtio_net_hdr asks for. */
export interface Offload {
  readonly needsChecksum: boolean;
  /** Payload bytes of a segment; 0 = the packet is no super-packet. */
  readonly segmentSize: number;
}

export function parse(packet: Uint8Array): ParsedPacket | DropReason {
  const view = new DataView(packet.buffer, packet.byteOffset, packet.byteLength);
  const version = packet.length === 0 ? 0 : view.getUint8(0) >> 4;
  if (version !== 4 && version !== 6) return DropReason.notIp;
  if (packet.length < (version === 4 ? 20 : 40)) return DropReason.truncatedHeader;

  const headerLength = version === 4 ? (view.getUint8(0) & 15) * 4 : 40;
  if (headerLength < 20 || headerLength > packet.length) return DropReason.badHeaderLength;

  const totalLength = version === 4 ? view.getUint16(2) : 40 + view.getUint16(4);
  if (totalLength < headerLength || totalLength > packet.length) return DropReason.badTotalLength;

  const protocol = view.getUint8(version === 4 ? 9 : 6);
  // More fragments, or an offset: RFC 791. The don't-fragment bit is no fragment.
  if (version === 4 && (view.getUint16(6) & 0x3fff) !== 0) return DropReason.fragment;
  if (version === 6 && protocol === IPPROTO_FRAGMENT) return DropReason.fragment;
  if (protocol !== IPPROTO_TCP && protocol !== IPPROTO_UDP) return DropReason.unsupportedProtocol;

  const present = totalLength - headerLength;
  if (present < (protocol === IPPROTO_TCP ? 20 : 8)) return DropReason.truncatedTransport;

  let transportLength = 8;
  if (protocol === IPPROTO_TCP) {
    transportLength = (view.getUint8(headerLength + 12) >> 4) * 4;
    if (transportLength < 20 || transportLength > present) return DropReason.badTransportLength;
  } else {
    const length = view.getUint16(headerLength + 4);
    if (length < 8 || length !== present) return DropReason.badTransportLength;
  }

  const sourcePort = view.getUint16(headerLength);
  const destinationPort = view.getUint16(headerLength + 2);
  if (sourcePort === 0 || destinationPort === 0) return DropReason.portZero;

  return {
    version,
    headerLength,
    totalLength,
    protocol,
    source: version === 4 ? latin1(packet, 12, 16) : latin1(packet, 8, 24),
    destination: version === 4 ? latin1(packet, 16, 20) : latin1(packet, 24, 40),
    sourcePort,
    destinationPort,
    transportLength,
    flags: protocol === IPPROTO_TCP ? view.getUint8(headerLength + 13) : 0,
  };
}

/** Reads the virtio_net_hdr of a frame whose packet is known; undefined when it contradicts the packet. */
export function parseOffload(frame: Uint8Array, packet: ParsedPacket): Offload | undefined {
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
  const needsChecksum = (view.getUint8(VIRTIO_FLAGS) & VIRTIO_F_NEEDS_CSUM) !== 0;
  if (needsChecksum) {
    const field = packet.protocol === IPPROTO_TCP ? 16 : 6;
    if (view.getUint16(VIRTIO_CSUM_START, true) !== packet.headerLength) return undefined;
    if (view.getUint16(VIRTIO_CSUM_OFFSET, true) !== field) return undefined;
  }
  const type = view.getUint8(VIRTIO_GSO_TYPE);
  if (type === VIRTIO_GSO_NONE) return { needsChecksum, segmentSize: 0 };

  const tcpType = packet.version === 4 ? VIRTIO_GSO_TCPV4 : VIRTIO_GSO_TCPV6;
  const allowed = packet.protocol === IPPROTO_TCP ? [tcpType, tcpType | VIRTIO_GSO_ECN] : [VIRTIO_GSO_UDP_L4];
  if (!allowed.includes(type)) return undefined;
  const segmentSize = view.getUint16(VIRTIO_GSO_SIZE, true);
  // A segment needs a checksum of its own, so a super-packet without one cannot be meant.
  if (segmentSize === 0 || !needsChecksum) return undefined;
  return { needsChecksum, segmentSize };
}

/** Bytes as a string that compares and hashes fast. */
export function latin1(bytes: Uint8Array, start = 0, end = bytes.length): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1", start, end);
}
