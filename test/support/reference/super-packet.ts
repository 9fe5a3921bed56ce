// The slow twin's super-packets: what the virtio_net_hdr of one says, and the packets that it stands for.
import * as Protocol from "../../../assembly/shared/protocol.ts";
import * as Virtio from "../../../assembly/shared/virtio.ts";
import { type Offload, type ParsedPacket, parse } from "./parser.ts";
import { finishChecksum, segment } from "./segmenter.ts";

/** A frame or message with more packets is none that TCP, UDP or the kernel makes: below 33 bytes each. */
export const SEGMENTS_MAX = 2047;
/** Headers that the engine has room to repeat. */
const HEADERS_MAX = 256;

/** The packets that a translated frame becomes on the wire, each complete. */
export function finished(bytes: Uint8Array, offload: Offload): Uint8Array[] {
  const translated = parse(bytes) as ParsedPacket;
  if (offload.segmentSize > 0) return segment(bytes, translated, offload.segmentSize);
  if (!offload.needsChecksum) return [bytes];
  finishChecksum(bytes, translated);
  return [bytes];
}

/** The virtio_net_hdr of a frame, for the packet that its packet was translated to. */
export function virtioAcross(
  frame: Uint8Array,
  packet: ParsedPacket,
  translated: ParsedPacket,
  segmentSize: number,
): Uint8Array {
  const header = frame.slice(0, Virtio.SIZE);
  if (packet.version === translated.version) return header;
  if (packet.kind === "error") return new Uint8Array(Virtio.SIZE); // it says nothing that could be true
  const view = new DataView(header.buffer);
  if ((view.getUint8(Virtio.FLAGS) & Virtio.F_NEEDS_CSUM) !== 0) {
    const grown = translated.headerLength - packet.headerLength;
    view.setUint16(Virtio.CSUM_START, view.getUint16(Virtio.CSUM_START, true) + grown, true);
  }
  if (segmentSize === 0) return header;
  const tcpType = translated.version === 4 ? Virtio.GSO_TCPV4 : Virtio.GSO_TCPV6;
  const ecn = view.getUint8(Virtio.GSO_TYPE) & Virtio.GSO_ECN;
  view.setUint8(Virtio.GSO_TYPE, translated.protocol === Protocol.TCP ? tcpType | ecn : Virtio.GSO_UDP_L4);
  view.setUint16(Virtio.GSO_SIZE, segmentSize, true);
  view.setUint16(Virtio.HDR_LEN, translated.headerLength + translated.transportLength, true);
  return header;
}

/** Whether a super-packet is one that TCP, UDP or the kernel makes. */
export function isSegmentable(packet: ParsedPacket, { segmentSize }: Offload): boolean {
  if (segmentSize === 0) return true;
  return (
    segmentCount(packet, segmentSize) <= SEGMENTS_MAX && packet.headerLength + packet.transportLength <= HEADERS_MAX
  );
}

/** Packets that a super-packet stands for; a segment size of 0 says that it is none. */
export function segmentCount(packet: ParsedPacket, segmentSize: number): number {
  const payload = packet.totalLength - packet.headerLength - packet.transportLength;
  return segmentSize === 0 ? 1 : Math.max(1, Math.ceil(payload / segmentSize));
}
