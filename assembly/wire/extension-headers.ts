// IPv6 extension headers (RFC 8200 section 4, RFC 4302 section 2; IANA's registry of their types).
//    0 next header  1 length without the first 8 bytes, in units of 8 (authentication header: of 4)  2 ...
// Fragment header, always 8 bytes:
//    0 next header  1 reserved  2 offset|reserved|more  4 identification

import * as Protocol from "../shared/protocol.ts";

/** Bounds the time that one packet can take. */
const HEADERS_MAX = 8;
const HEADER_MIN: u32 = 8;
export const FRAGMENT_HEADER: u32 = 8;

/** Too many headers, or one that does not fit. */
export const NO_UPPER: u64 = 0;

/** The protocol behind the last header, of what walkExtensions() found. */
export function upperProtocol(found: u64): u8 {
  return <u8>(found >>> 56);
}

/** Where it begins. */
export function upperAt(found: u64): u32 {
  return <u32>found;
}

/** How far the fragment header is in front of it; 0 = there is none on the way. */
export function fragmentHeaderBefore(found: u64): u32 {
  return <u32>(found >>> 32) & 0xffffff;
}

@unmanaged
export class FragmentHeader {
  nextHeader: u8;
  private reserved: u8;
  private offsetAndMoreBe: u16;
  private identificationBe: u32;

  static at(ptr: usize): FragmentHeader {
    return changetype<FragmentHeader>(ptr);
  }

  /** In bytes. */
  get offset(): u32 {
    return bswap<u16>(this.offsetAndMoreBe) & 0xfff8;
  }

  get hasMore(): bool {
    return (bswap<u16>(this.offsetAndMoreBe) & 1) != 0;
  }

  get identification(): u32 {
    return bswap<u32>(this.identificationBe);
  }

  set(nextHeader: u8, offset: u32, hasMore: bool, id: u32): void {
    this.nextHeader = nextHeader;
    this.reserved = 0;
    this.offsetAndMoreBe = bswap<u16>(<u16>(offset | u32(hasMore)));
    this.identificationBe = bswap<u32>(id);
  }
}

export function isExtensionHeader(protocol: u8): bool {
  switch (<u32>protocol) {
    case Protocol.HOP_BY_HOP:
    case Protocol.ROUTING:
    case Protocol.FRAGMENT:
    case Protocol.AH:
    case Protocol.DESTINATION_OPTIONS:
    case Protocol.MOBILITY:
    case Protocol.HIP:
    case Protocol.SHIM6:
      return true;
    default:
      return false;
  }
}

/**
 * Walks the headers from `at`, of type `next`, that must end by `end`. Behind the header of a fragment other than the
 * first are bytes of the middle of a packet, so it stops there. What it found, or NO_UPPER.
 */
export function walkExtensions(next: u8, at: u32, end: u32): u64 {
  let fragmentHeaderAt: u32 = 0;
  for (let i = 0; isExtensionHeader(next); i++) {
    if (i == HEADERS_MAX || at + HEADER_MIN > end) return NO_UPPER;
    const length = headerLength(next, at);
    if (at + length > end) return NO_UPPER;
    const isFragment = next == Protocol.FRAGMENT;
    next = load<u8>(at);
    if (isFragment) {
      if (fragmentHeaderAt != 0) return NO_UPPER;
      fragmentHeaderAt = at;
      at += length;
      if (FragmentHeader.at(fragmentHeaderAt).offset != 0) break;
    } else {
      at += length;
    }
  }
  const before: u64 = fragmentHeaderAt == 0 ? 0 : at - fragmentHeaderAt;
  return ((<u64>next) << 56) | (before << 32) | at;
}

function headerLength(type: u8, at: u32): u32 {
  if (type == Protocol.FRAGMENT) return HEADER_MIN;
  const units: u32 = load<u8>(at, 1);
  return type == Protocol.AH ? (units + 2) << 2 : (units + 1) << 3;
}
