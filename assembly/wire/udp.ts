// UDP header (RFC 768).
//    0 source port  2 destination port  4 length  6 checksum

export const UDP_HEADER: u32 = 8;
export const UDP_CHECKSUM: u32 = 6;

@unmanaged
export class Udp {
  /** In network order, as it is in the packet. */
  sourcePort: u16;
  destinationPort: u16;
  private lengthBe: u16;
  checksum: u16;

  static at(ptr: usize): Udp {
    return changetype<Udp>(ptr);
  }

  /** Header and payload. */
  get length(): u32 {
    return bswap<u16>(this.lengthBe);
  }

  set length(bytes: u32) {
    this.lengthBe = bswap<u16>(<u16>bytes);
  }
}
