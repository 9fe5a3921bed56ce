// What an engine is to be given for a packet of a capture: what came, as it came. The virtio_net_hdr and the sender's
// sockaddr are not in the file; they are made again from what is.

import * as Protocol from "../../../assembly/shared/protocol.ts";
import * as Virtio from "../../../assembly/shared/virtio.ts";
import * as Ip from "../../dataplane/modules/ip-packet.ts";
import type { TestMessage } from "../../dataplane/modules/played-node.ts";
import { formatAddress } from "../../net/address.ts";

/** More fragments follow, or this one is not the first (RFC 791 section 3.1). */
const FRAGMENT_MASK = 0x3fff;
/** Source and destination. */
const ADDRESSES_V4 = [
  [12, 16],
  [16, 20],
] as const;
const ADDRESSES_V6 = [
  [8, 24],
  [24, 40],
] as const;

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
  if (found?.protocol !== Protocol.UDP) return undefined;
  const { at, isV4 } = found;
  const view = viewOf(packet);
  const length = view.getUint16(at + 4) - Ip.UDP_HEADER;
  if (length < 0) return undefined;
  return {
    from: { address: formatAddress(isV4 ? mapped(packet, 12) : packet.subarray(8, 24)), port: view.getUint16(at) },
    trafficClass: isV4 ? view.getUint8(1) : (view.getUint16(0) >>> 4) & 0xff,
    payload: packet.subarray(at + Ip.UDP_HEADER, at + Ip.UDP_HEADER + length),
    length,
  };
}

/** The packet as the TUN gives it. `mtu` is the TUN's: what is longer is a super-packet of segments that fit it. */
export function frameOf(packet: Uint8Array, mtu: number): Uint8Array {
  const frame = new Uint8Array(Virtio.SIZE + packet.length);
  frame.set(packet, Virtio.SIZE);
  const found = transportOf(packet);
  if (found === undefined || !isChecksumOpen(packet, found)) return frame;
  const { protocol, at, isV4 } = found;
  const view = new DataView(frame.buffer);
  view.setUint8(Virtio.FLAGS, Virtio.F_NEEDS_CSUM);
  view.setUint16(Virtio.CSUM_START, at, true);
  view.setUint16(Virtio.CSUM_OFFSET, Ip.CHECKSUM_AT[protocol] ?? 0, true);
  const headers = at + (protocol === Protocol.TCP ? 4 * ((packet[at + 12] as number) >>> 4) : Ip.UDP_HEADER);
  if (packet.length <= mtu || headers >= mtu) return frame;
  const ofTcp = isV4 ? Virtio.GSO_TCPV4 : Virtio.GSO_TCPV6;
  view.setUint8(Virtio.GSO_TYPE, protocol === Protocol.TCP ? ofTcp : Virtio.GSO_UDP_L4);
  view.setUint16(Virtio.HDR_LEN, headers, true);
  view.setUint16(Virtio.GSO_SIZE, mtu - headers, true);
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
  if ((!isV4 && version !== 6) || packet.length < (isV4 ? Ip.IPV4_HEADER : Ip.IPV6_HEADER)) return undefined;
  const protocol = view.getUint8(isV4 ? 9 : 6);
  const at = isV4 ? 4 * (view.getUint8(0) & 15) : Ip.IPV6_HEADER;
  if (isV4 && (at < Ip.IPV4_HEADER || (view.getUint16(6) & FRAGMENT_MASK) !== 0)) return undefined;
  const least = protocol === Protocol.TCP ? Ip.TCP_HEADER : protocol === Protocol.UDP ? Ip.UDP_HEADER : undefined;
  return least === undefined || packet.length < at + least ? undefined : { protocol, at, isV4 };
}

/** Whether the field holds the sum of the pseudo-header alone, so that a device was to finish it. */
function isChecksumOpen(packet: Uint8Array, { protocol, at, isV4 }: Transport): boolean {
  const [source, destination] = isV4 ? ADDRESSES_V4 : ADDRESSES_V6;
  const sum = Ip.pseudoSum(packet.subarray(...source), packet.subarray(...destination), protocol, packet.length - at);
  return viewOf(packet).getUint16(at + (Ip.CHECKSUM_AT[protocol] ?? 0)) === Ip.foldedSum(sum);
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
