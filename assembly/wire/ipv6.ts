// IPv6 header (RFC 8200 section 3).
//    0 version|traffic class|flow label  4 payload length  6 next header  7 hop limit  8 source  24 destination

export const IPV6_HEADER: u32 = 40;
/** The least that a link must take in one piece (section 5). */
export const IPV6_MTU_MIN: u32 = 1280;

@unmanaged
export class Ipv6 {
  private versionClassFlow: u32;
  private payloadLengthBe: u16;
  nextHeader: u8;
  hopLimit: u8;

  static at(ptr: usize): Ipv6 {
    return changetype<Ipv6>(ptr);
  }

  get trafficClass(): u8 {
    return <u8>(bswap<u32>(this.versionClassFlow) >>> 20);
  }

  /**
   * Version, traffic class and a flow label of zero, payload length, next header and hop limit: all but the addresses.
   */
  start(trafficClass: u8, payloadLength: u32, nextHeader: u8, hopLimit: u8): void {
    this.versionClassFlow = bswap<u32>(0x60000000 | ((<u32>trafficClass) << 20));
    this.payloadLength = payloadLength;
    this.nextHeader = nextHeader;
    this.hopLimit = hopLimit;
  }

  get payloadLength(): u32 {
    return bswap<u16>(this.payloadLengthBe);
  }

  set payloadLength(bytes: u32) {
    this.payloadLengthBe = bswap<u16>(<u16>bytes);
  }

  get source(): v128 {
    return v128.load(changetype<usize>(this), 8);
  }

  set source(address: v128) {
    v128.store(changetype<usize>(this), address, 8);
  }

  get destination(): v128 {
    return v128.load(changetype<usize>(this), 24);
  }

  set destination(address: v128) {
    v128.store(changetype<usize>(this), address, 24);
  }
}
