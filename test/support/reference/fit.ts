// How a translated packet fits its way, by the slow twin (RFC 1191, RFC 8201, RFC 7915 sections 4 and 5): as it is, in
// fragments, in smaller segments, or not at all.
import * as Protocol from "../../../assembly/shared/protocol.ts";
import { CARRIED_ALWAYS } from "./nodes.ts";
import type { ParsedPacket } from "./parser.ts";

export interface Fit {
  readonly kind: "whole" | "fragments" | "smallerSegments" | "tooBig";
  /** Payload of a super-packet's segments, 0 = it is none. */
  readonly segmentSize: number;
  /** Size of the largest fragment; of what is too big, the size that the sender is told. */
  readonly mtu: number;
  /** Of the packet on its way, or of a super-packet's segments. */
  readonly length: number;
}

/**
 * `bytes` is the packet before, `translated` after its translation. A super-packet is as long as its segments say that
 * they are.
 */
export function fitToWay(
  bytes: Uint8Array,
  packet: ParsedPacket,
  translated: ParsedPacket,
  segmentSize: number,
  mtu: number,
): Fit {
  const length = lengthOf(translated, segmentSize);
  if (isToBeCut(bytes, packet, translated, segmentSize)) return cutTo(CARRIED_ALWAYS, packet, segmentSize, length);
  if (length <= mtu) return { kind: "whole", segmentSize, mtu, length };
  if (!mayFragment(bytes, packet)) {
    // The sender counts in its own family's headers.
    const told = mtu + lengthOf(packet, segmentSize) - length;
    return { kind: "tooBig", segmentSize, mtu: packet.version === 4 ? told : Math.max(told, CARRIED_ALWAYS), length };
  }
  return cutTo(mtu, packet, segmentSize, length);
}

/**
 * RFC 7915 section 4: whether a packet that became IPv6 gets the size that every link takes, since nobody would tell
 * its sender what the links behind take.
 */
export function isToBeCut(
  bytes: Uint8Array,
  packet: ParsedPacket,
  translated: ParsedPacket,
  segmentSize: number,
): boolean {
  const becameIpv6 = packet.version === 4 && translated.version === 6;
  return becameIpv6 && mayFragment(bytes, packet) && lengthOf(translated, segmentSize) > CARRIED_ALWAYS;
}

/** In fragments or smaller segments of at most `mtu` bytes. */
export function cutTo(mtu: number, { protocol }: ParsedPacket, segmentSize: number, length: number): Fit {
  if (segmentSize === 0 || protocol !== Protocol.TCP) return { kind: "fragments", segmentSize, mtu, length };
  return { kind: "smallerSegments", segmentSize: segmentSize - (length - mtu), mtu, length: mtu };
}

/** IPv6 is fragmented by its sender alone (RFC 8200 section 5). */
export function mayFragment(bytes: Uint8Array, { version }: ParsedPacket): boolean {
  return version === 4 && ((bytes[6] as number) & 0x40) === 0;
}

export function lengthOf({ headerLength, transportLength, totalLength }: ParsedPacket, segmentSize: number): number {
  return segmentSize === 0 ? totalLength : headerLength + transportLength + segmentSize;
}
