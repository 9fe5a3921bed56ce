// The slow twin's rewriting: other addresses and ports in place, and by difference every checksum that covers them.
import {
  IPPROTO_DCCP,
  IPPROTO_ICMPV6,
  IPPROTO_TCP,
  IPPROTO_UDP,
  IPPROTO_UDPLITE,
} from "../../../assembly/shared/protocols.ts";
import { incremental, incrementalSum, words } from "./checksum.ts";
import { type Ends, isIcmp, type ParsedPacket } from "./parser.ts";

/** What the checksum field holds: the checksum, or the sum of the pseudo-header for the device to go on from. */
type ChecksumState = "whole" | "partial";

/** Rewrites a packet; of an ICMP error the embedded packet too, which goes the other way round. */
export function rewrite(bytes: Uint8Array, packet: ParsedPacket, ends: Ends, state: ChecksumState = "whole"): void {
  if (packet.embedded !== undefined) rewriteEmbedded(bytes, packet, packet.embedded, ends);
  const view = viewOf(bytes);
  const addressesBefore = [...latin1Words(packet.source), ...latin1Words(packet.destination)];
  const addressesAfter = [...latin1Words(ends.source), ...latin1Words(ends.destination)];
  const addressesAt = packet.version === 4 ? 12 : 8;
  addressesAfter.forEach((word, i) => view.setUint16(addressesAt + 2 * i, word));
  if (packet.version === 4) view.setUint16(10, incremental(view.getUint16(10), addressesBefore, addressesAfter));

  const portsBefore = portWords(bytes, packet);
  if (packet.kind === "transport") {
    view.setUint16(packet.headerLength, ends.sourcePort);
    view.setUint16(packet.headerLength + 2, ends.destinationPort);
  } else if (packet.kind === "echo") {
    view.setUint16(packet.headerLength + 4, packet.isRequest ? ends.sourcePort : ends.destinationPort);
  }
  const portsAfter = portWords(bytes, packet);

  const field = checksumField(packet);
  if (field === undefined || field.at + 2 > bytes.length) return;
  const checksum = view.getUint16(field.at);
  if (state === "partial") {
    // Only the pseudo-header is in the field, and that has no ports.
    view.setUint16(field.at, incrementalSum(checksum, addressesBefore, addressesAfter));
    return;
  }
  // RFC 768: zero means that the sender computed none. In IPv6 too, where RFC 6935 allows it for tunnels.
  if (packet.protocol === IPPROTO_UDP && checksum === 0) return;
  const updated = field.coversAddresses
    ? incremental(checksum, [...addressesBefore, ...portsBefore], [...addressesAfter, ...portsAfter])
    : incremental(checksum, portsBefore, portsAfter);
  view.setUint16(field.at, field.neverZero && updated === 0 ? 0xffff : updated);
}

/** The packet in an error was on its way from the error's receiver. */
function rewriteEmbedded(bytes: Uint8Array, packet: ParsedPacket, embedded: ParsedPacket, ends: Ends): void {
  const quoted = bytes.subarray(packet.headerLength + packet.transportLength, packet.totalLength);
  const before = words(quoted);
  rewrite(quoted, embedded, {
    source: ends.destination,
    destination: ends.source,
    sourcePort: ends.destinationPort,
    destinationPort: ends.sourcePort,
  });
  const view = viewOf(bytes);
  const at = packet.headerLength + 2;
  view.setUint16(at, incremental(view.getUint16(at), before, words(quoted)));
}

/** Where the checksum is that a change of addresses or ports concerns, if the packet has one. */
function checksumField(
  packet: ParsedPacket,
): { readonly at: number; readonly coversAddresses: boolean; readonly neverZero: boolean } | undefined {
  const { kind, protocol, headerLength, fragment } = packet;
  if (kind === "laterFragment" || (fragment?.offset ?? 0) > 0) return undefined;
  if (isIcmp(protocol)) {
    return { at: headerLength + 2, coversAddresses: protocol === IPPROTO_ICMPV6, neverZero: false };
  }
  // SCTP's checksum and those of tunnels do not cover addresses: RFC 3828 section 3.1 and RFC 4340 section 9.1 do.
  switch (protocol) {
    case IPPROTO_TCP:
      return { at: headerLength + 16, coversAddresses: true, neverZero: false };
    case IPPROTO_UDP:
    case IPPROTO_UDPLITE:
      return { at: headerLength + 6, coversAddresses: true, neverZero: true };
    case IPPROTO_DCCP:
      return { at: headerLength + 6, coversAddresses: true, neverZero: false };
    default:
      return undefined;
  }
}

/** What of the transport is rewritten: both ports, or the identifier of an echo. */
function portWords(bytes: Uint8Array, { kind, headerLength }: ParsedPacket): number[] {
  if (kind === "transport") return words(bytes.subarray(headerLength, headerLength + 4));
  return kind === "echo" ? words(bytes.subarray(headerLength + 4, headerLength + 6)) : [];
}

function latin1Words(address: string): number[] {
  const result: number[] = [];
  for (let i = 0; i < address.length; i += 2) result.push(address.charCodeAt(i) * 256 + address.charCodeAt(i + 1));
  return result;
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
