// struct virtio_net_hdr in front of every TUN frame (linux/virtio_net.h; VIRTIO 1.2 section 5.1.6).
//    0 flags  1 GSO type  2 hdr_len (not to be trusted on the forwarding path)  4 gso_size  6 csum_start  8 csum_offset

import * as Protocol from "../shared/protocol.ts";
import * as Virtio from "../shared/virtio.ts";
import { Packet, PacketKind } from "./packet.ts";
import { TCP_CHECKSUM } from "./tcp.ts";
import { UDP_CHECKSUM, Udp } from "./udp.ts";

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
    return (this.flags & Virtio.F_NEEDS_CSUM) != 0;
  }

  get isGso(): bool {
    return this.gsoType != Virtio.GSO_NONE;
  }

  /** What a header says of a packet of one family, of the same packet in the other, which is given. */
  changeFamily(packet: Packet, checksumStart: u32, gsoSize: u32): void {
    if (this.needsChecksum) this.csumStart = <u16>(checksumStart - packet.at);
    if (!this.isGso) return;
    this.gsoType = <u8>gsoTypeOf(packet, this.gsoType);
    this.gsoSize = <u16>gsoSize;
    this.headerLength = <u16>packet.headerLength;
  }

  /** It says nothing: there is neither a checksum to be finished nor a super-packet. */
  get isEmpty(): bool {
    return load<u16>(changetype<usize>(this)) == 0;
  }

  clear(): void {
    store<u64>(changetype<usize>(this), 0);
    this.csumOffset = 0;
  }

  /** Whether what the header says of a super-packet is true of the packet behind it. */
  agrees(packet: Packet): bool {
    if (!this.isGso) return true;
    return this.isOwnChecksum(packet) && this.gsoSize != 0 && this.gsoType == gsoTypeOf(packet, this.gsoType);
  }

  /** Whether the checksum to be finished is that of the TCP or UDP packet behind the header, over all of it. */
  isOwnChecksum(packet: Packet): bool {
    if (!this.needsChecksum || !packet.isPlain || !this.isAtTransport(packet)) return false;
    return packet.protocol == Protocol.TCP || Udp.at(packet.transportAt).length == packet.transportLength;
  }

  /**
   * Whether it can be another one's, as that of a packet inside (VXLAN, GRE, IP in IP): from any byte behind the
   * headers to the end; or UDP's over options, too. A fragment does not have all that a checksum covers.
   */
  isInnerChecksum(packet: Packet): bool {
    if (packet.isFragment) return false;
    const start: u32 = this.csumStart;
    if (packet.kind == PacketKind.transport && this.isAtTransport(packet)) return true;
    return start >= packet.headerLength && start + this.csumOffset + 2 <= packet.length;
  }

  /** Whether it is where TCP or UDP has it. */
  private isAtTransport(packet: Packet): bool {
    const field: u32 = packet.protocol == Protocol.TCP ? TCP_CHECKSUM : UDP_CHECKSUM;
    return this.csumStart == packet.transportAt - packet.at && this.csumOffset == field;
  }
}

function gsoTypeOf(packet: Packet, claimed: u32): u32 {
  if (packet.protocol == Protocol.UDP) return Virtio.GSO_UDP_L4;
  const type = packet.isIpv4 ? Virtio.GSO_TCPV4 : Virtio.GSO_TCPV6;
  return type | (claimed & Virtio.GSO_ECN);
}
