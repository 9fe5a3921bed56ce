// IP addresses as text and as the 16 bytes of the tables: network order, IPv4 as v4-mapped IPv6 (RFC 4291 section
// 2.5.5.2). Canonical text is dotted IPv4 or the RFC 5952 form of IPv6; the control plane holds nothing else.
// For addresses in very large numbers there is bulk-address.ts.

import ipaddr from "ipaddr.js";
import { SapwoodError } from "../base/errors.ts";
import { shortText } from "../base/issues.ts";

export const ADDRESS_SIZE = 16;
const V4_AT = 12; // where the IPv4 address is in its v4-mapped form
const TEXT_MAX = "ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255".length;
const BITS = { 4: 32, 6: 128 } as const;

export type Family = 4 | 6;

/** A range of addresses. Bytes and mask have the form of the tables, so an IPv4 prefix is 96 bits longer there. */
export interface Prefix {
  readonly text: string; // canonical
  readonly family: Family;
  readonly length: number; // bits, as in the text
  readonly bytes: Uint8Array;
  readonly mask: Uint8Array;
}

/** The canonical text of an address, or undefined when it is none. A v4-mapped address is the IPv4 address. */
export function canonicalAddress(text: string): string | undefined {
  const bytes = parseAddress(text);
  return bytes === undefined ? undefined : formatAddress(bytes);
}

/** The 16 bytes of an address, or undefined when the text is none. */
export function parseAddress(text: string): Uint8Array | undefined {
  const address = strictAddress(text);
  return address === undefined ? undefined : bytesOf(address);
}

/** Canonical text of the 16 bytes at `at`. */
export function formatAddress(bytes: Uint8Array, at = 0): string {
  const found = Array.from(bytes.subarray(at, at + ADDRESS_SIZE));
  return isV4Mapped(bytes, at)
    ? new ipaddr.IPv4(found.slice(V4_AT)).toString()
    : new ipaddr.IPv6(found).toRFC5952String();
}

/**
 * Reads the four decimal numbers of IPv4 or the text of RFC 4291 section 2.2. ipaddr.js takes much more: octal,
 * hexadecimal and shortened IPv4, also at the end of IPv6, zones, and ::192.0.2.1 as a v4-mapped address.
 */
export function strictAddress(text: string): ipaddr.IPv4 | ipaddr.IPv6 | undefined {
  if (text.length > TEXT_MAX) return undefined;
  if (!text.includes(":")) return ipaddr.IPv4.isValidFourPartDecimal(text) ? ipaddr.IPv4.parse(text) : undefined;
  const native = withoutDottedEnd(text);
  if (native === undefined || /[.%]/.test(native)) return undefined;
  return ipaddr.IPv6.isValid(native) ? ipaddr.IPv6.parse(native) : undefined;
}

/** The last 32 bits as two groups, where IPv6 text has them as IPv4 text; undefined when that is none. */
function withoutDottedEnd(text: string): string | undefined {
  if (!text.includes(".")) return text;
  const endAt = text.lastIndexOf(":") + 1;
  const dotted = text.slice(endAt);
  if (!ipaddr.IPv4.isValidFourPartDecimal(dotted)) return undefined;
  const [a = 0, b = 0, c = 0, d = 0] = ipaddr.IPv4.parse(dotted).toByteArray();
  return `${text.slice(0, endAt)}${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`;
}

/** Family of a canonical address. */
export function familyOf(canonical: string): Family {
  return canonical.includes(":") ? 6 : 4;
}

/** Why no host can have this address ("multicast", "loopback", ...), or undefined when one can. */
export function unusableRange(bytes: Uint8Array, at = 0): string | undefined {
  const isV4 = isV4Mapped(bytes, at);
  const [first = 0, second = 0] = isV4 ? bytes.subarray(at + 12) : bytes.subarray(at);
  if (isV4) {
    if (first === 0) return "unspecified";
    if (first === 127) return "loopback";
    if (first === 169 && second === 254) return "link-local";
    if (first >= 240) return "reserved";
    return first >= 224 ? "multicast" : undefined;
  }
  if (first === 0xff) return "multicast";
  if (first === 0xfe && (second & 0xc0) === 0x80) return "link-local";
  if (bytes.subarray(at, at + 15).some((byte) => byte !== 0)) return undefined;
  if (bytes[at + 15] === 0) return "unspecified";
  return bytes[at + 15] === 1 ? "loopback" : undefined;
}

/** Parses "10.30.0.0/16" or "fdff::/16". Throws a sentence when it is no prefix or has host bits. */
export function parsePrefix(text: string): Prefix {
  const slash = text.indexOf("/");
  const address = slash < 0 ? undefined : strictAddress(text.slice(0, slash));
  const digits = text.slice(slash + 1);
  if (address === undefined || !/^(0|[1-9][0-9]{0,2})$/.test(digits)) {
    throw new SapwoodError(
      "config-invalid",
      `expected a prefix like 10.30.0.0/16 or fdff::/16, found "${shortText(text)}"`,
    );
  }
  const length = Number(digits);
  const family = address instanceof ipaddr.IPv4 ? 4 : 6;
  const bits = BITS[family];
  if (length > bits) {
    throw new SapwoodError("config-invalid", `expected a prefix length of at most ${bits}, found "${shortText(text)}"`);
  }
  const bytes = bytesOf(address);
  const mask = bytesOf(ipaddr.IPv6.subnetMaskFromPrefixLength(length + BITS[6] - bits));
  const canonical = `${networkOf(address.toString(), length)}/${length}`;
  if (bytes.some((byte, i) => (byte & ~(mask[i] ?? 0)) !== 0)) {
    throw new SapwoodError(
      "config-invalid",
      `expected a prefix without host bits (${canonical}), found "${shortText(text)}"`,
    );
  }
  return { text: canonical, family, length, bytes, mask };
}

/** Canonical text of a strict address with zeros after its first `length` bits. */
export function networkOf(address: string, length: number): string {
  if (familyOf(address) === 4) return ipaddr.IPv4.networkAddressFromCIDR(`${address}/${length}`).toString();
  return ipaddr.IPv6.networkAddressFromCIDR(`${address}/${length}`).toRFC5952String();
}

/** Whether the prefix contains the address at `at`. */
export function contains(prefix: Prefix, bytes: Uint8Array, at = 0): boolean {
  for (let i = 0; i < ADDRESS_SIZE; i++) {
    if (((bytes[at + i] ?? 0) & (prefix.mask[i] ?? 0)) !== prefix.bytes[i]) return false;
  }
  return true;
}

/** Whether the 16 bytes at `at` are those of an IPv4 address. */
export function isV4Mapped(bytes: Uint8Array, at: number): boolean {
  for (let i = 0; i < 10; i++) if (bytes[at + i] !== 0) return false;
  return bytes[at + 10] === 0xff && bytes[at + 11] === 0xff;
}

function bytesOf(address: ipaddr.IPv4 | ipaddr.IPv6): Uint8Array {
  const mapped = address instanceof ipaddr.IPv4 ? address.toIPv4MappedAddress() : address;
  return Uint8Array.from(mapped.toByteArray());
}
