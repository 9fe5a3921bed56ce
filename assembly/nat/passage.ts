// What the steps of one packet's way from the TUN tell each other, beside the packet itself (wire/packet.ts). One per
// worker, at WorkerLayout.PASSAGE.

@unmanaged
export class Passage {
  /** The frame as it came: the first 8 bytes of its virtio_net_hdr, which a packet that grows overwrites. */
  offload: u64;
  /** The packet's flow (record/flow.ts); of one from the tunnel, 0 = it answers none. */
  flow: u32;
  /** Node that an ICMP error goes to. */
  errorNode: u32;
  /** Payload of the super-packet's segments, which may have become less; 0 = it is none. */
  segmentSize: u32;
  /** Size that the packet is to be fragmented to, 0 = not at all; for DropReason.tooBig what would have fit. */
  fittingMtu: u32;
  /** The rest of the virtio_net_hdr; where the checksum starts is an address. */
  checksumStart: u32;
  checksumOffset: u16;
  /**
   * Whether the packet crosses the families or did not fit the path. Then the other fields are set, else noteFrame()
   * sets them.
   */
  isUnusual: bool;
  wasIpv4: bool;
  /** Whether it may be fragmented on its way. */
  mayCut: bool;
  /** Why the packet of a flow that does not go on is dropped; none = it begins another flow. */
  endedBy: u8;

  static at(address: usize): Passage {
    return changetype<Passage>(address);
  }
}
