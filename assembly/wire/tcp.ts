// TCP header (RFC 9293 section 3.1).
//    0 source port  2 destination port  4 sequence  8 acknowledgment  12 data offset  13 flags
//   14 window  16 checksum  18 urgent pointer  20 options ...

export const TCP_MIN_HEADER: u32 = 20;
export const TCP_ACKNOWLEDGMENT: u32 = 8;
export const TCP_CHECKSUM: u32 = 16;
export const TCP_FIN = 0x01;
export const TCP_SYN = 0x02;
export const TCP_RST = 0x04;
export const TCP_PSH = 0x08;
export const TCP_ACK = 0x10;
export const TCP_CWR = 0x80;

// Options (RFC 9293 section 3.2)
export const TCP_OPTION_MSS: u32 = 2;
export const TCP_OPTION_MSS_LENGTH: u32 = 4;
/** RFC 7323 section 2.2 */
export const TCP_OPTION_WINDOW_SCALE: u32 = 3;
export const TCP_OPTION_WINDOW_SCALE_LENGTH: u32 = 3;
const OPTION_END: u32 = 0;
const OPTION_NOTHING: u32 = 1;
/** Kind and length, which a length counts (section 3.1): behind a smaller one receivers read no further. */
const OPTION_MIN: u32 = 2;

/** The option of a kind and length between `at` and `end`, or 0. */
export function findOption(at: u32, end: u32, wanted: u32, wantedLength: u32): u32 {
  while (at + wantedLength <= end) {
    const kind: u32 = load<u8>(at);
    if (kind == OPTION_END) return 0;
    const length: u32 = kind == OPTION_NOTHING ? 1 : load<u8>(at, 1);
    if (kind == wanted) return length == wantedLength ? at : 0;
    if (kind != OPTION_NOTHING && length < OPTION_MIN) return 0;
    at += length;
  }
  return 0;
}

@unmanaged
export class Tcp {
  /** In network order, as it is in the packet. */
  sourcePort: u16;
  destinationPort: u16;
  private sequenceBe: u32;
  acknowledgment: u32;
  /** And the reserved bits beside it. */
  dataOffset: u8;
  flags: u8;
  window: u16;
  checksum: u16;
  urgent: u16;

  static at(ptr: usize): Tcp {
    return changetype<Tcp>(ptr);
  }

  get headerLength(): u32 {
    return (<u32>(this.dataOffset >>> 4)) << 2;
  }

  /** In one access: acknowledgment, data offset, flags and window. */
  get acknowledgmentToWindow(): u64 {
    return load<u64>(changetype<usize>(this), TCP_ACKNOWLEDGMENT);
  }

  /** A whole header without options and checksum. */
  start(sourcePort: u16, destinationPort: u16, sequence: u32, flags: u8): void {
    memory.fill(changetype<usize>(this), 0, TCP_MIN_HEADER);
    this.sourcePort = sourcePort;
    this.destinationPort = destinationPort;
    this.sequence = sequence;
    this.dataOffset = <u8>(TCP_MIN_HEADER << 2);
    this.flags = flags;
  }

  get sequence(): u32 {
    return bswap<u32>(this.sequenceBe);
  }

  set sequence(value: u32) {
    this.sequenceBe = bswap<u32>(value);
  }
}
