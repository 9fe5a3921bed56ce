// Whether a packet is one of those that a capture wants, by the bytes that are there of it.

import * as Protocol from "../../../assembly/shared/protocol.ts";
import { addressKey, mappedKey } from "../../net/address-key.ts";
import type { CaptureFilter } from "./capture-contract.ts";

const IPV4_HEADER = 20;
const IPV6_HEADER = 40;
const EXTENSIONS_MAX = 8;
const EXTENSIONS: readonly number[] = [Protocol.HOP_BY_HOP, Protocol.ROUTING, Protocol.DESTINATION_OPTIONS];
const OFFSET_MASK = 0x1fff;

/** What filters look at, of bytes that stay as long as it is used: a worker does not pay for what nobody asks for. */
class PacketKey {
  readonly #bytes: Uint8Array;
  readonly #isV4: boolean;
  readonly protocol: number;
  /** -1: it has none, or they are not in it. */
  readonly sourcePort: number;
  readonly destinationPort: number;

  /** `transportAt`: behind the IP header and its extensions. */
  constructor(bytes: Uint8Array, length: number, isV4: boolean, protocol: number, transportAt: number) {
    const hasPorts = (protocol === Protocol.TCP || protocol === Protocol.UDP) && transportAt + 4 <= length;
    this.#bytes = bytes;
    this.#isV4 = isV4;
    this.protocol = protocol;
    this.sourcePort = hasPorts ? word(bytes, transportAt) : -1;
    this.destinationPort = hasPorts ? word(bytes, transportAt + 2) : -1;
  }

  get source(): string {
    return this.#isV4 ? mappedKey(this.#bytes, 12) : addressKey(this.#bytes, 8);
  }

  get destination(): string {
    return this.#isV4 ? mappedKey(this.#bytes, 16) : addressKey(this.#bytes, 24);
  }
}

/** Undefined: it is no IP packet. */
export function packetKey(bytes: Uint8Array, length: number): PacketKey | undefined {
  const version = (bytes[0] as number) >>> 4;
  if (version === 4 && length >= IPV4_HEADER) return keyV4(bytes, length);
  if (version === 6 && length >= IPV6_HEADER) return keyV6(bytes, length);
  return undefined;
}

/** Whether it looks at addresses, of a packet or of its target. */
export function hasAddresses({ parties, address }: CaptureFilter): boolean {
  return parties !== undefined || address !== undefined;
}

/** Whether it looks at more than the verdict. */
export function hasKey(filter: CaptureFilter): boolean {
  return hasAddresses(filter) || filter.protocols !== undefined || filter.port !== undefined;
}

/** `key` and `target`, a further address that it belongs to ("" = none), are there if the filter looks at them. */
export function matches(
  filter: CaptureFilter,
  key: PacketKey | undefined,
  isDropped: boolean,
  target: string,
): boolean {
  if (filter.isDroppedOnly && !isDropped) return false;
  if (!hasKey(filter)) return true;
  if (key === undefined) return false;
  const { parties, address, protocols, port } = filter;
  if (protocols !== undefined && !protocols.includes(key.protocol)) return false;
  if (port !== undefined && port !== key.sourcePort && port !== key.destinationPort) return false;
  if (!hasAddresses(filter)) return true;
  const { source, destination } = key;
  if (address !== undefined && address !== source && address !== destination && address !== target) return false;
  return parties === undefined || parties.has(destination) || parties.has(source) || parties.has(target);
}

function keyV4(bytes: Uint8Array, length: number): PacketKey {
  const isFirst = (word(bytes, 6) & OFFSET_MASK) === 0;
  const transportAt = isFirst ? 4 * ((bytes[0] as number) & 15) : length;
  return new PacketKey(bytes, length, true, bytes[9] as number, transportAt);
}

function keyV6(bytes: Uint8Array, length: number): PacketKey {
  let protocol = bytes[6] as number;
  let at = IPV6_HEADER;
  for (let i = 0; i < EXTENSIONS_MAX && at + 8 <= length; i++) {
    const next = bytes[at] as number;
    if (EXTENSIONS.includes(protocol)) at += 8 * ((bytes[at + 1] as number) + 1);
    else if (protocol === Protocol.FRAGMENT) at = (word(bytes, at + 2) & ~7) === 0 ? at + 8 : length;
    else break;
    protocol = next;
  }
  return new PacketKey(bytes, length, false, protocol, at);
}

function word(bytes: Uint8Array, at: number): number {
  return ((bytes[at] as number) << 8) | (bytes[at + 1] as number);
}
