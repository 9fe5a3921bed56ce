// The slow twin's rewriting: other addresses and ports in place, and by difference every checksum that covers them.
import * as Protocol from "../../../assembly/shared/protocol.ts";
import { incremental, incrementalSum, words } from "./checksum.ts";
import { type Ends, isIcmp, isUdpLike, type ParsedPacket } from "./parser.ts";

/** What the checksum field holds: the checksum, or the sum of the pseudo-header for the device to go on from. */
export type ChecksumState = "whole" | "partial";

/** Rewrites a packet; of an ICMP error the embedded packet too, which goes the other way round. */
export function rewrite(bytes: Uint8Array, packet: ParsedPacket, ends: Ends, state: ChecksumState = "whole"): void {
  if (packet.embedded !== undefined) rewriteEmbedded(bytes, packet, packet.embedded, ends);
  const view = viewOf(bytes);
  const before = addressWords(packet);
  const after = addressWords(ends);
  const addressesAt = packet.version === 4 ? 12 : 8;
  after.forEach((word, i) => view.setUint16(addressesAt + 2 * i, word));
  if (packet.version === 4) view.setUint16(10, incremental(view.getUint16(10), before, after));
  const transport = bytes.subarray(packet.headerLength);
  const isIcmpv4 = packet.version === 4 && isIcmp(packet.protocol);
  rewriteTransport(transport, packet, ends, isIcmpv4 ? [] : before, isIcmpv4 ? [] : after, state);
}

/** New ports, and the checksum that covers them and the words of a pseudo-header, which were and are these. */
export function rewriteTransport(
  transport: Uint8Array,
  packet: ParsedPacket,
  ends: Ends,
  before: readonly number[],
  after: readonly number[],
  state: ChecksumState = "whole",
): void {
  const view = viewOf(transport);
  const portsBefore = portWords(transport, packet);
  if (packet.kind === "transport") {
    view.setUint16(0, ends.sourcePort);
    view.setUint16(2, ends.destinationPort);
  } else if (packet.kind === "echo") {
    view.setUint16(4, packet.isRequest ? ends.sourcePort : ends.destinationPort);
  }
  const portsAfter = portWords(transport, packet);

  const at = checksumField(packet);
  if (at === undefined || at + 2 > transport.length) return;
  const checksum = view.getUint16(at);
  if (state === "partial") {
    // Only the pseudo-header is in the field, and that has no ports.
    view.setUint16(at, incrementalSum(checksum, before, after));
    return;
  }
  // RFC 768: zero means that the sender computed none. In IPv6 too, where RFC 6935 allows it for tunnels.
  if (packet.protocol === Protocol.UDP && checksum === 0) return;
  const [coveredBefore, coveredAfter] = [
    [...before, ...portsBefore],
    [...after, ...portsAfter],
  ];
  // Of a reply that is nothing but zeros the sum is zero, and its checksum ones: a difference does not tell it from zero.
  const isIcmpv4 = packet.kind === "echo" && (transport[0] as number) < 128;
  if (isIcmpv4 && coveredBefore.every((word, i) => word === coveredAfter[i])) return;
  const updated = incremental(checksum, coveredBefore, coveredAfter);
  const isNeverZero = packet.protocol === Protocol.UDP || packet.protocol === Protocol.UDPLITE || isIcmpv4;
  view.setUint16(at, isNeverZero && updated === 0 ? 0xffff : updated);
}

/** The packet in an error was on its way from the error's receiver. */
function rewriteEmbedded(bytes: Uint8Array, packet: ParsedPacket, embedded: ParsedPacket, ends: Ends): void {
  const quoted = bytes.subarray(packet.headerLength + packet.transportLength, packet.totalLength);
  const before = words(quoted);
  // What comes behind a packet that ends before its checksum is none of it.
  const told = viewOf(quoted).getUint16(embedded.version === 4 ? 2 : 4) + (embedded.version === 4 ? 0 : 40);
  const end = embedded.kind === "portless" ? Math.max(told, embedded.headerLength) : quoted.length;
  rewrite(quoted.subarray(0, end), embedded, reversed(ends));
  const view = viewOf(bytes);
  const at = packet.headerLength + 2;
  view.setUint16(at, incremental(view.getUint16(at), before, words(quoted)));
}

/** Where in the transport the checksum is that covers ports or addresses, if the packet has one. */
function checksumField({ kind, protocol, fragment }: ParsedPacket): number | undefined {
  if (kind === "laterFragment" || (fragment?.offset ?? 0) > 0) return undefined;
  if (isIcmp(protocol)) return 2;
  // SCTP's checksum and those of tunnels do not cover addresses; those of RFC 3828 section 3.1 and RFC 4340 section 9.1
  // do.
  if (protocol === Protocol.UDP || isUdpLike(protocol)) return 6;
  return protocol === Protocol.TCP ? 16 : undefined;
}

/** The ends of what goes the other way. */
export function reversed({ source, destination, sourcePort, destinationPort }: Ends): Ends {
  return {
    source: destination,
    destination: source,
    sourcePort: destinationPort,
    destinationPort: sourcePort,
  };
}

/** What of the transport is rewritten: both ports, or the identifier of an echo. */
function portWords(transport: Uint8Array, { kind }: ParsedPacket): number[] {
  if (kind === "transport") return words(transport.subarray(0, 4));
  return kind === "echo" ? words(transport.subarray(4, 6)) : [];
}

/** Both addresses, word by word. */
export function addressWords({ source, destination }: Ends): number[] {
  return words(Buffer.from(source + destination, "latin1"));
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
