// IPv6 extension headers (RFC 8200 section 4, RFC 4302 section 2; IANA's registry of their types).
//    0 next header  1 length without the first 8 bytes, in units of 8 (authentication header: of 4)  2 ...
// Fragment header, always 8 bytes:
//    0 next header  1 reserved  2 offset|reserved|more  4 identification

import {
  IPPROTO_AH,
  IPPROTO_DESTINATION_OPTIONS,
  IPPROTO_FRAGMENT,
  IPPROTO_HIP,
  IPPROTO_HOP_BY_HOP,
  IPPROTO_MOBILITY,
  IPPROTO_ROUTING,
  IPPROTO_SHIM6,
} from "../shared/protocols.ts";

/** Bounds the time that one packet can take. */
const HEADERS_MAX = 8;
const HEADER_MIN: u32 = 8;
export const FRAGMENT_HEADER: u32 = 8;

/** What walkExtensions() found: the protocol behind the last header, and where it begins. */
export let upperProtocol: u8 = 0;
export let upperAt: u32 = 0;
/** The fragment header on the way, or 0. */
export let fragmentHeaderAt: u32 = 0;

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
    case IPPROTO_HOP_BY_HOP:
    case IPPROTO_ROUTING:
    case IPPROTO_FRAGMENT:
    case IPPROTO_AH:
    case IPPROTO_DESTINATION_OPTIONS:
    case IPPROTO_MOBILITY:
    case IPPROTO_HIP:
    case IPPROTO_SHIM6:
      return true;
    default:
      return false;
  }
}

/**
 * Walks the headers from `at`, of type `next`, that must end by `end`. Behind the header of a fragment other than the
 * first stand bytes of the middle of a packet, so it stops there. False: too many headers, or one that does not fit.
 */
export function walkExtensions(next: u8, at: u32, end: u32): bool {
  fragmentHeaderAt = 0;
  for (let i = 0; isExtensionHeader(next); i++) {
    if (i == HEADERS_MAX || at + HEADER_MIN > end) return false;
    const length = headerLength(next, at);
    if (at + length > end) return false;
    const isFragment = next == IPPROTO_FRAGMENT;
    next = load<u8>(at);
    if (isFragment) {
      if (fragmentHeaderAt != 0) return false;
      fragmentHeaderAt = at;
      at += length;
      if (FragmentHeader.at(fragmentHeaderAt).offset != 0) break;
    } else {
      at += length;
    }
  }
  upperProtocol = next;
  upperAt = at;
  return true;
}

function headerLength(type: u8, at: u32): u32 {
  if (type == IPPROTO_FRAGMENT) return HEADER_MIN;
  const units: u32 = load<u8>(at, 1);
  return type == IPPROTO_AH ? (units + 2) << 2 : (units + 1) << 3;
}
