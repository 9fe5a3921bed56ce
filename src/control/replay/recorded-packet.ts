// What an engine is to be given for a packet of a capture: what came, as it came. The virtio_net_hdr and the sender's
// sockaddr are not in the file; they are made again from what is.

import {
  IPPROTO_TCP,
  IPPROTO_UDP,
  VIRTIO_CSUM_OFFSET,
  VIRTIO_CSUM_START,
  VIRTIO_F_NEEDS_CSUM,
  VIRTIO_FLAGS,
  VIRTIO_GSO_SIZE,
  VIRTIO_GSO_TCPV4,
  VIRTIO_GSO_TCPV6,
  VIRTIO_GSO_TYPE,
  VIRTIO_GSO_UDP_L4,
  VIRTIO_HDR_LEN,
  VIRTIO_NET_HDR_SIZE,
} from "../../../assembly/shared/protocols.ts";
import type { TestMessage } from "../../dataplane/modules/played-node.ts";
import { formatAddress } from "../../net/address.ts";

const IPV4_HEADER = 20;
const IPV6_HEADER = 40;
const UDP_HEADER = 8;
const TCP_HEADER = 20;
/** More fragments follow, or this one is not the first (RFC 791 section 3.1). */
const FRAGMENT_MASK = 0x3fff;
const CHECKSUM_AT: Readonly<Record<number, number>> = { [IPPROTO_TCP]: 16, [IPPROTO_UDP]: 6 };

/** A datagram of the tunnel with its outer headers. */
export interface Datagram {
  readonly from: TestMessage["from"];
  readonly trafficClass: number;
  readonly payload: Uint8Array;
  /** Of the payload, as the UDP header says; more than is there when the packet was cut. */
  readonly length: number;
}

/** Undefined: its outer headers are not those of a UDP datagram. */
export function datagramOf(packet: Uint8Array): Datagram | undefined {
  const found = transportOf(packet);
  if (found?.protocol !== IPPROTO_UDP) return undefined;
  const { at, isV4 } = found;
  const view = viewOf(packet);
  const length = view.getUint16(at + 4) - UDP_HEADER;
  if (length < 0) return undefined;
  return {
    from: { address: formatAddress(isV4 ? mapped(packet, 12) : packet.subarray(8, 24)), port: view.getUint16(at) },
    trafficClass: isV4 ? view.getUint8(1) : (view.getUint16(0) >>> 4) & 0xff,
    payload: packet.subarray(at + UDP_HEADER, at + UDP_HEADER + length),
    length,
  };
}

/** The packet as the TUN gives it. `mtu` is the TUN's: what is longer is a super-packet of segments that fit it. */
export function frameOf(packet: Uint8Array, mtu: number): Uint8Array {
  const frame = new Uint8Array(VIRTIO_NET_HDR_SIZE + packet.length);
  frame.set(packet, VIRTIO_NET_HDR_SIZE);
  const found = transportOf(packet);
  if (found === undefined || !isChecksumOpen(packet, found)) return frame;
  const { protocol, at, isV4 } = found;
  const view = new DataView(frame.buffer);
  view.setUint8(VIRTIO_FLAGS, VIRTIO_F_NEEDS_CSUM);
  view.setUint16(VIRTIO_CSUM_START, at, true);
  view.setUint16(VIRTIO_CSUM_OFFSET, CHECKSUM_AT[protocol] ?? 0, true);
  const headers = at + (protocol === IPPROTO_TCP ? 4 * ((packet[at + 12] as number) >>> 4) : UDP_HEADER);
  if (packet.length <= mtu || headers >= mtu) return frame;
  const ofTcp = isV4 ? VIRTIO_GSO_TCPV4 : VIRTIO_GSO_TCPV6;
  view.setUint8(VIRTIO_GSO_TYPE, protocol === IPPROTO_TCP ? ofTcp : VIRTIO_GSO_UDP_L4);
  view.setUint16(VIRTIO_HDR_LEN, headers, true);
  view.setUint16(VIRTIO_GSO_SIZE, mtu - headers, true);
  return frame;
}

interface Transport {
  readonly protocol: number;
  readonly at: number;
  readonly isV4: boolean;
}

/** Undefined: no whole TCP or UDP header follows the IP header. */
function transportOf(packet: Uint8Array): Transport | undefined {
  const view = viewOf(packet);
  const version = (packet[0] ?? 0) >>> 4;
  const isV4 = version === 4;
  if ((!isV4 && version !== 6) || packet.length < (isV4 ? IPV4_HEADER : IPV6_HEADER)) return undefined;
  const protocol = view.getUint8(isV4 ? 9 : 6);
  const at = isV4 ? 4 * (view.getUint8(0) & 15) : IPV6_HEADER;
  if (isV4 && (at < IPV4_HEADER || (view.getUint16(6) & FRAGMENT_MASK) !== 0)) return undefined;
  const least = protocol === IPPROTO_TCP ? TCP_HEADER : protocol === IPPROTO_UDP ? UDP_HEADER : undefined;
  return least === undefined || packet.length < at + least ? undefined : { protocol, at, isV4 };
}

/** Whether the field holds the sum of the pseudo-header alone, so that a device was to finish it. */
function isChecksumOpen(packet: Uint8Array, { protocol, at, isV4 }: Transport): boolean {
  const view = viewOf(packet);
  const [from, end] = isV4 ? [12, 20] : [8, 40];
  let sum = protocol + packet.length - at;
  for (let i = from; i < end; i += 2) sum += view.getUint16(i);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16); // RFC 1071
  return view.getUint16(at + (CHECKSUM_AT[protocol] ?? 0)) === sum;
}

function mapped(packet: Uint8Array, at: number): Uint8Array {
  const address = new Uint8Array(16);
  address.set([0xff, 0xff], 10);
  address.set(packet.subarray(at, at + 4), 12);
  return address;
}

function viewOf({ buffer, byteOffset, byteLength }: Uint8Array): DataView {
  return new DataView(buffer, byteOffset, byteLength);
}
