// IPv4 header (RFC 791 section 3.1).
//    0 version|IHL  1 TOS  2 total length  4 identification  6 flags|fragment offset
//    8 TTL  9 protocol  10 checksum  12 source  16 destination  20 options ...

export const IPV4_MIN_HEADER: u32 = 20;
/** Options that stand alone, without a length. */
export const OPTION_END = 0;
export const OPTION_NOTHING = 1;
const DONT_FRAGMENT: u16 = 0x4000;
const MORE_FRAGMENTS: u32 = 0x2000;

@unmanaged
export class Ipv4 {
  private versionIhl: u8;
  tos: u8;
  private totalLengthBe: u16;
  private identificationBe: u16;
  private fragmentBe: u16;
  ttl: u8;
  protocol: u8;
  /** As it is in the packet: checksum arithmetic does not depend on byte order (RFC 1071 section 2(B)). */
  checksum: u16;
  /** In network order, as it is in the packet. */
  source: u32;
  destination: u32;

  static at(ptr: usize): Ipv4 {
    return changetype<Ipv4>(ptr);
  }

  get headerLength(): u32 {
    return (<u32>(this.versionIhl & 15)) << 2;
  }

  get totalLength(): u32 {
    return bswap<u16>(this.totalLengthBe);
  }

  set totalLength(bytes: u32) {
    this.totalLengthBe = bswap<u16>(<u16>bytes);
  }

  get identification(): u32 {
    return bswap<u16>(this.identificationBe);
  }

  set identification(value: u32) {
    this.identificationBe = bswap<u16>(<u16>value);
  }

  /** More fragments follow, or this is not the first one. */
  get isFragment(): bool {
    return (bswap<u16>(this.fragmentBe) & 0x3fff) != 0;
  }

  get hasMore(): bool {
    return (bswap<u16>(this.fragmentBe) & 0x2000) != 0;
  }

  /** In bytes. */
  get fragmentOffset(): u32 {
    return (<u32>(bswap<u16>(this.fragmentBe) & 0x1fff)) << 3;
  }

  get mayFragment(): bool {
    return (bswap<u16>(this.fragmentBe) & DONT_FRAGMENT) == 0;
  }

  setFragment(offset: u32, hasMore: bool): void {
    this.fragmentBe = bswap<u16>(<u16>((offset >>> 3) | (hasMore ? MORE_FRAGMENTS : 0)));
  }

  /** A whole header without options and checksum: that of a packet that is no fragment. */
  start(tos: u8, length: u32, id: u32, mayFragment: bool, ttl: u8, protocol: u8): void {
    this.versionIhl = 0x45;
    this.tos = tos;
    this.totalLength = length;
    this.identification = id;
    this.fragmentBe = mayFragment ? 0 : bswap<u16>(DONT_FRAGMENT);
    this.ttl = ttl;
    this.protocol = protocol;
    this.checksum = 0;
  }
}
