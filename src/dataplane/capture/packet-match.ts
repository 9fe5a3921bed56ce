// Whether a packet is one of those that a capture wants, by the bytes that are there of it.

import {
  IPPROTO_DESTINATION_OPTIONS,
  IPPROTO_FRAGMENT,
  IPPROTO_HOP_BY_HOP,
  IPPROTO_ROUTING,
  IPPROTO_TCP,
  IPPROTO_UDP,
} from "../../../assembly/shared/protocols.ts";
import { addressKey, mappedKey } from "../../net/address-key.ts";
import type { CaptureFilter } from "./capture-contract.ts";

const IPV4_HEADER = 20;
const IPV6_HEADER = 40;
const EXTENSIONS_MAX = 8;
const EXTENSIONS: readonly number[] = [IPPROTO_HOP_BY_HOP, IPPROTO_ROUTING, IPPROTO_DESTINATION_OPTIONS];
const OFFSET_MASK = 0x1fff;

/** What filters look at. */
interface PacketKey {
  source: string;
  destination: string;
  protocol: number;
  /** -1: it has none, or they are not in it. */
  sourcePort: number;
  destinationPort: number;
}

/** Undefined: it is no IP packet. */
export function packetKey(bytes: Uint8Array, length: number): PacketKey | undefined {
  const version = (bytes[0] as number) >>> 4;
  if (version === 4 && length >= IPV4_HEADER) return keyV4(bytes, length);
  if (version === 6 && length >= IPV6_HEADER) return keyV6(bytes, length);
  return undefined;
}

/** `target` is a further address that it belongs to; "" = none. */
export function matches(
  filter: CaptureFilter,
  key: PacketKey | undefined,
  isDropped: boolean,
  target: string,
): boolean {
  if (filter.isDroppedOnly && !isDropped) return false;
  const { parties, address, protocols, port } = filter;
  if (parties === undefined && address === undefined && protocols === undefined && port === undefined) return true;
  if (key === undefined) return false;
  const { source, destination } = key;
  if (protocols !== undefined && !protocols.includes(key.protocol)) return false;
  if (port !== undefined && port !== key.sourcePort && port !== key.destinationPort) return false;
  if (address !== undefined && address !== source && address !== destination && address !== target) return false;
  return parties === undefined || parties.has(destination) || parties.has(source) || parties.has(target);
}

function keyV4(bytes: Uint8Array, length: number): PacketKey {
  const isFirst = (word(bytes, 6) & OFFSET_MASK) === 0;
  const transportAt = isFirst ? 4 * ((bytes[0] as number) & 15) : length;
  return {
    source: mappedKey(bytes, 12),
    destination: mappedKey(bytes, 16),
    ...transportOf(bytes, length, bytes[9] as number, transportAt),
  };
}

function keyV6(bytes: Uint8Array, length: number): PacketKey {
  let protocol = bytes[6] as number;
  let at = IPV6_HEADER;
  for (let i = 0; i < EXTENSIONS_MAX && at + 8 <= length; i++) {
    const next = bytes[at] as number;
    if (EXTENSIONS.includes(protocol)) at += 8 * ((bytes[at + 1] as number) + 1);
    else if (protocol === IPPROTO_FRAGMENT) at = (word(bytes, at + 2) & ~7) === 0 ? at + 8 : length;
    else break;
    protocol = next;
  }
  return {
    source: addressKey(bytes, 8),
    destination: addressKey(bytes, 24),
    ...transportOf(bytes, length, protocol, at),
  };
}

function transportOf(bytes: Uint8Array, length: number, protocol: number, at: number) {
  const hasPorts = (protocol === IPPROTO_TCP || protocol === IPPROTO_UDP) && at + 4 <= length;
  return {
    protocol,
    sourcePort: hasPorts ? word(bytes, at) : -1,
    destinationPort: hasPorts ? word(bytes, at + 2) : -1,
  };
}

function word(bytes: Uint8Array, at: number): number {
  return ((bytes[at] as number) << 8) | (bytes[at + 1] as number);
}
