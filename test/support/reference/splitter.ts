// The slow twin of the kernel behind the TUN: takes a written frame and cuts it into the packets that the workload
// sees, as software GSO does (net/ipv4/tcp_offload.c, udp_offload.c): headers repeated, checksums finished from the
// partial sum in the frame. Refuses what the kernel refuses, and what it would take and send on broken.
import * as Protocol from "../../../assembly/shared/protocol.ts";
import { UDP_SEGMENTS_MAX } from "../../../assembly/shared/sockets.ts";
import * as Virtio from "../../../assembly/shared/virtio.ts";
import { FLAG } from "../packet-builder.ts";
import { fold, pseudoHeaderSum, sumWords } from "./checksum.ts";

interface Headers {
  readonly isV4: boolean;
  readonly isTcp: boolean;
  readonly transportAt: number;
  readonly payloadAt: number;
}

/** The packets in a frame as it is written to a TUN, virtio_net_hdr first. */
export function splitFrame(frame: Uint8Array): Uint8Array[] {
  const virtio = new DataView(frame.buffer, frame.byteOffset, Virtio.SIZE);
  const packet = frame.subarray(Virtio.SIZE);
  const [flags, gsoType] = [virtio.getUint8(0), virtio.getUint8(1)];
  const words = [2, 4, 6, 8].map((at) => virtio.getUint16(at, true));
  if (gsoType === Virtio.GSO_NONE) {
    require(flags === 0 && words.every((word) => word === 0), `a virtio_net_hdr without GSO says ${flags} ${words}`);
    return [packet];
  }
  const headers = headersOf(packet);
  const [headerLength, gsoSize, csumStart, csumOffset] = words as [number, number, number, number];
  const tcpType = headers.isV4 ? Virtio.GSO_TCPV4 : Virtio.GSO_TCPV6;
  require(gsoType === (headers.isTcp ? tcpType : Virtio.GSO_UDP_L4), `gso_type ${gsoType}`);
  require(flags === Virtio.F_NEEDS_CSUM, `flags ${flags}`);
  require(headerLength === headers.payloadAt, `hdr_len ${headerLength}, expected ${headers.payloadAt}`);
  require(csumStart === headers.transportAt, `csum_start ${csumStart}, expected ${headers.transportAt}`);
  require(csumOffset === (headers.isTcp ? 16 : 6), `csum_offset ${csumOffset}`);
  checkLengths(packet, headers);

  const payload = packet.length - headers.payloadAt;
  require(gsoSize > 0 && gsoSize < payload, `gso_size ${gsoSize} of ${payload} bytes: nothing to cut`);
  const count = Math.ceil(payload / gsoSize);
  require(headers.isTcp || count <= UDP_SEGMENTS_MAX, `${count} datagrams in one frame`);
  return Array.from({ length: count }, (_, i) => cut(packet, headers, gsoSize, i, count));
}

function headersOf(packet: Uint8Array): Headers {
  const isV4 = at(packet, 0) >> 4 === 4;
  const transportAt = isV4 ? (at(packet, 0) & 15) * 4 : 40;
  const isTcp = at(packet, isV4 ? 9 : 6) === Protocol.TCP;
  return { isV4, isTcp, transportAt, payloadAt: transportAt + (isTcp ? (at(packet, transportAt + 12) >> 4) * 4 : 8) };
}

/** Every length and sum of a super-packet speaks of all of it. */
function checkLengths(packet: Uint8Array, { isV4, isTcp, transportAt }: Headers): void {
  const view = viewOf(packet);
  const length = isV4 ? view.getUint16(2) : 40 + view.getUint16(4);
  require(length === packet.length, `length field ${length}, the frame has ${packet.length}`);
  if (isV4) require(sumWords(packet, 0, transportAt) === 0xffff, "IPv4 header checksum");
  const transportLength = packet.length - transportAt;
  if (!isTcp) require(view.getUint16(transportAt + 4) === transportLength, "UDP length");
  const partial = view.getUint16(transportAt + (isTcp ? 16 : 6));
  require(partial === pseudoSum(packet, isV4, transportLength), `partial checksum ${partial}`);
}

function cut(packet: Uint8Array, headers: Headers, gsoSize: number, index: number, count: number): Uint8Array {
  const { isV4, isTcp, transportAt, payloadAt } = headers;
  const from = payloadAt + index * gsoSize;
  const to = Math.min(from + gsoSize, packet.length);
  const bytes = new Uint8Array(payloadAt + to - from);
  bytes.set(packet.subarray(0, payloadAt));
  bytes.set(packet.subarray(from, to), payloadAt);
  const view = viewOf(bytes);
  if (isV4) {
    view.setUint16(2, bytes.length);
    view.setUint16(4, (view.getUint16(4) + index) & 0xffff);
    view.setUint16(10, 0);
    view.setUint16(10, ~sumWords(bytes, 0, transportAt) & 0xffff);
  } else {
    view.setUint16(4, bytes.length - 40);
  }
  if (isTcp) {
    view.setUint32(transportAt + 4, (view.getUint32(transportAt + 4) + index * gsoSize) >>> 0);
    let flags = view.getUint8(transportAt + 13);
    if (index > 0) flags &= ~FLAG.CWR;
    if (index < count - 1) flags &= ~(FLAG.FIN | FLAG.PSH);
    view.setUint8(transportAt + 13, flags);
  } else {
    view.setUint16(transportAt + 4, bytes.length - transportAt);
  }
  // The field still holds the sum over the whole pseudo-header, in which the lengths differ.
  const field = transportAt + (isTcp ? 16 : 6);
  const partial = view.getUint16(field);
  view.setUint16(field, 0);
  const lengths = (~(packet.length - transportAt) & 0xffff) + (bytes.length - transportAt);
  const checksum = ~fold(partial + lengths + sumWords(bytes, transportAt)) & 0xffff;
  // RFC 768: zero would say "no checksum".
  view.setUint16(field, checksum === 0 && !isTcp ? 0xffff : checksum);
  return bytes;
}

function pseudoSum(packet: Uint8Array, isV4: boolean, transportLength: number): number {
  const [source, destination, end] = isV4 ? [12, 16, 20] : [8, 24, 40];
  return pseudoHeaderSum(
    packet.subarray(source, destination),
    packet.subarray(destination, end),
    at(packet, isV4 ? 9 : 6),
    transportLength,
  );
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function at(bytes: Uint8Array, index: number): number {
  return bytes[index] ?? 0;
}

function require(isTrue: boolean, found: string): void {
  if (!isTrue) throw new Error(`the kernel would not take the frame: ${found}`);
}
