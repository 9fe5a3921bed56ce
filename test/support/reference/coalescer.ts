// The slow twin's coalescing: joins packets that the kernel's segmentation makes of one super-packet, and only those.
// A packet joins the frame before it if cutting both up again gives back both: that is tried, byte for byte.
import * as Protocol from "../../../assembly/shared/protocol.ts";
import { UDP_SEGMENTS_MAX } from "../../../assembly/shared/sockets.ts";
import * as Virtio from "../../../assembly/shared/virtio.ts";
import { FLAG, virtioFrame } from "../packet-builder.ts";
import { pseudoHeaderSum, sumWords } from "./checksum.ts";
import { type ParsedPacket, parse } from "./parser.ts";
import { segment } from "./segmenter.ts";

const LENGTH_MAX = 65_535;
/** writev takes 1,024 iovecs, one of which holds the virtio_net_hdr. */
const TCP_SEGMENTS_MAX = 1023;

/** Packets of one super-packet in the making; all of one size but the last. */
interface Group {
  readonly first: Uint8Array;
  readonly parsed: ParsedPacket;
  readonly segmentSize: number;
  readonly payloads: Uint8Array[];
  lastFlags: number;
  isOpen: boolean;
}

/** The frames that the packets of one batch are written as. */
export function coalesce(packets: readonly Uint8Array[]): Uint8Array[] {
  const groups: Group[] = [];
  for (const bytes of packets) {
    const parsed = parse(bytes);
    if (typeof parsed === "number") throw new Error("a packet that would not have been delivered");
    const whole = bytes.subarray(0, parsed.totalLength);
    const payload = whole.subarray(parsed.headerLength + parsed.transportLength);
    const group = groups.at(-1);
    if (group?.isOpen && follows(group, whole, parsed, payload)) {
      group.payloads.push(payload);
      group.lastFlags = parsed.flags;
      group.isOpen = payload.length === group.segmentSize && (parsed.flags & FLAG.PSH) === 0;
    } else {
      const isOpen =
        payload.length > 0 && isPlain(parsed) && isRestored(whole, parsed) && (parsed.flags & FLAG.PSH) === 0;
      const segmentSize = payload.length;
      groups.push({ first: whole, parsed, segmentSize, payloads: [payload], lastFlags: parsed.flags, isOpen });
    }
  }
  return groups.map(frameOf);
}

function isPlain({ kind, fragment, version, headerLength, protocol, flags }: ParsedPacket): boolean {
  if (kind !== "transport" || fragment !== undefined || headerLength > (version === 4 ? 20 : 40)) return false;
  return protocol !== Protocol.TCP || (flags & ~FLAG.PSH) === FLAG.ACK;
}

/** Whether segmentation gives a packet the checksums that it has. */
function isRestored(whole: Uint8Array, parsed: ParsedPacket): boolean {
  const [again] = segment(whole, parsed, Math.max(1, whole.length));
  return again !== undefined && Buffer.compare(again, whole) === 0;
}

function follows(group: Group, whole: Uint8Array, parsed: ParsedPacket, payload: Uint8Array): boolean {
  const { first, segmentSize, payloads } = group;
  const isTcp = parsed.protocol === Protocol.TCP;
  if (payload.length === 0 || payload.length > segmentSize || !isPlain(parsed)) return false;
  if (payloads.length === (isTcp ? TCP_SEGMENTS_MAX : UDP_SEGMENTS_MAX)) return false;
  const headers = group.parsed.headerLength + group.parsed.transportLength;
  const joined = headers + payloads.length * segmentSize + payload.length;
  if (joined > LENGTH_MAX || parsed.protocol !== group.parsed.protocol || parsed.version !== group.parsed.version)
    return false;
  // What segmentation would make of this payload behind the group's headers.
  const expected = new Uint8Array(headers + payload.length);
  expected.set(first.subarray(0, headers));
  expected.set(payload, headers);
  const view = new DataView(expected.buffer);
  if (parsed.version === 4) view.setUint16(4, (view.getUint16(4) + payloads.length) & 0xffff);
  const at = group.parsed.headerLength;
  if (isTcp) {
    view.setUint32(at + 4, (view.getUint32(at + 4) + payloads.length * segmentSize) >>> 0);
    view.setUint8(at + 13, parsed.flags);
  }
  const [again] = segment(expected, { ...group.parsed, totalLength: expected.length }, expected.length);
  return again !== undefined && Buffer.compare(again, whole) === 0;
}

function frameOf({ first, parsed, segmentSize, payloads, lastFlags }: Group): Uint8Array {
  if (payloads.length === 1) return virtioFrame(first, {});
  const isTcp = parsed.protocol === Protocol.TCP;
  const headers = parsed.headerLength + parsed.transportLength;
  const bytes = Buffer.concat([first.subarray(0, headers), ...payloads]);
  const transportLength = bytes.length - parsed.headerLength;
  const csumOffset = isTcp ? 16 : 6;
  if (parsed.version === 4) {
    bytes.writeUInt16BE(bytes.length, 2);
    bytes.writeUInt16BE(0, 10);
    bytes.writeUInt16BE(~sumWords(bytes, 0, parsed.headerLength) & 0xffff, 10);
  } else {
    bytes.writeUInt16BE(bytes.length - 40, 4);
  }
  if (isTcp) bytes.writeUInt8(lastFlags, parsed.headerLength + 13);
  else bytes.writeUInt16BE(transportLength, parsed.headerLength + 4);
  const [source, destination, end] = parsed.version === 4 ? [12, 16, 20] : [8, 24, 40];
  const addresses = [bytes.subarray(source, destination), bytes.subarray(destination, end)] as const;
  bytes.writeUInt16BE(
    pseudoHeaderSum(...addresses, parsed.protocol, transportLength),
    parsed.headerLength + csumOffset,
  );
  return virtioFrame(bytes, {
    flags: 1,
    gsoType: isTcp ? (parsed.version === 4 ? Virtio.GSO_TCPV4 : Virtio.GSO_TCPV6) : Virtio.GSO_UDP_L4,
    headerLength: headers,
    gsoSize: segmentSize,
    csumStart: parsed.headerLength,
    csumOffset,
  });
}
