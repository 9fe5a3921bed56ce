// struct virtio_net_hdr in front of every TUN frame (linux/virtio_net.h; VIRTIO 1.2 section 5.1.6).
//    0 flags  1 GSO type  2 hdr_len (not to be trusted on the forwarding path)  4 gso_size  6 csum_start  8 csum_offset

import {
  IPPROTO_DCCP,
  IPPROTO_TCP,
  IPPROTO_UDP,
  IPPROTO_UDPLITE,
  VIRTIO_F_NEEDS_CSUM,
  VIRTIO_GSO_ECN,
  VIRTIO_GSO_NONE,
  VIRTIO_GSO_TCPV4,
  VIRTIO_GSO_TCPV6,
  VIRTIO_GSO_UDP_L4,
} from "../shared/protocols.ts";
import { Packet, PacketKind } from "./packet.ts";
import { TCP_CHECKSUM } from "./tcp.ts";
import { UDP_CHECKSUM } from "./udp.ts";

@unmanaged
export class VirtioNet {
  flags: u8;
  gsoType: u8;
  headerLength: u16;
  gsoSize: u16;
  csumStart: u16;
  csumOffset: u16;

  static at(ptr: usize): VirtioNet {
    return changetype<VirtioNet>(ptr);
  }

  /** The checksum field holds the pseudo-header sum only, and finishing it is up to the receiver of the frame. */
  get needsChecksum(): bool {
    return (this.flags & VIRTIO_F_NEEDS_CSUM) != 0;
  }

  get isGso(): bool {
    return this.gsoType != VIRTIO_GSO_NONE;
  }

  /** What a header says of a packet of one family, of the same packet in the other, which is given. */
  changeFamily(packet: Packet, checksumStart: u32, gsoSize: u32): void {
    if (this.needsChecksum) this.csumStart = <u16>(checksumStart - packet.at);
    if (!this.isGso) return;
    this.gsoType = <u8>gsoTypeOf(packet, this.gsoType);
    this.gsoSize = <u16>gsoSize;
    this.headerLength = <u16>packet.headerLength;
  }

  /** Whether the header says only what is true of the packet behind it. */
  agrees(packet: Packet): bool {
    if (load<u16>(changetype<usize>(this)) == 0) return true; // neither flags nor a GSO type: it says nothing
    if (!packet.isPlain) {
      return !this.isGso && (!this.needsChecksum || this.isInnerChecksum(packet));
    }
    if (this.needsChecksum) {
      const field: u32 = packet.protocol == IPPROTO_TCP ? TCP_CHECKSUM : UDP_CHECKSUM;
      if (this.csumStart != packet.transportAt - packet.at || this.csumOffset != field) return false;
    }
    if (!this.isGso) return true;
    return this.needsChecksum && this.gsoSize != 0 && this.gsoType == gsoTypeOf(packet, this.gsoType);
  }

  /**
   * Whether the checksum to be finished can be that of a packet inside this one (GRE, IP in IP), on which a
   * translation has no bearing. UDP-Lite and DCCP have one of their own, which nobody offloads.
   */
  private isInnerChecksum(packet: Packet): bool {
    if (packet.kind != PacketKind.portless || packet.isFragment) return false;
    if (packet.protocol == IPPROTO_UDPLITE || packet.protocol == IPPROTO_DCCP) return false;
    const start: u32 = this.csumStart;
    return start >= packet.transportAt - packet.at && start + this.csumOffset + 2 <= packet.length;
  }
}

function gsoTypeOf(packet: Packet, claimed: u32): u32 {
  if (packet.protocol == IPPROTO_UDP) return VIRTIO_GSO_UDP_L4;
  const type = packet.isIpv4 ? VIRTIO_GSO_TCPV4 : VIRTIO_GSO_TCPV6;
  return type | (claimed & VIRTIO_GSO_ECN);
}
