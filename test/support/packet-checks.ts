// Expectations on packets that a test composes: expectPacket(bytes, from("10.30.1.5", 666), validChecksums()).
import { expect } from "vitest";
import * as Protocol from "../../assembly/shared/protocol.ts";
import { addressText } from "./packet-builder.ts";
import { pseudoHeaderSum, sumWords } from "./reference/checksum.ts";

/** A packet taken apart for reading; not the twin's parser, which must cope with broken ones. */
interface PacketView {
  readonly bytes: Uint8Array;
  readonly version: number;
  readonly src: string;
  readonly dst: string;
  readonly protocol: number;
  readonly hopLimit: number;
  readonly trafficClass: number;
  readonly id: number | undefined;
  readonly length: number;
  readonly sport: number;
  readonly dport: number;
  readonly seq: number;
  readonly flags: number;
  readonly headerLength: number;
  readonly transportLength: number;
  readonly payload: Uint8Array;
}

type PacketCheck = (packet: PacketView) => void;

/** Applies every check to the packet. */
export function expectPacket(bytes: Uint8Array | undefined, ...checks: readonly PacketCheck[]): void {
  if (bytes === undefined) throw new Error("expected a packet, there is none");
  const view = viewPacket(bytes);
  for (const check of checks) check(view);
}

export function viewPacket(bytes: Uint8Array): PacketView {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const version = view.getUint8(0) >> 4;
  const isV4 = version === 4;
  const headerLength = isV4 ? (view.getUint8(0) & 15) * 4 : 40;
  const protocol = view.getUint8(isV4 ? 9 : 6);
  const isTcp = protocol === Protocol.TCP;
  const transportLength = isTcp ? (view.getUint8(headerLength + 12) >> 4) * 4 : 8;
  return {
    bytes,
    version,
    src: addressText(isV4 ? bytes.subarray(12, 16) : bytes.subarray(8, 24)),
    dst: addressText(isV4 ? bytes.subarray(16, 20) : bytes.subarray(24, 40)),
    protocol,
    hopLimit: view.getUint8(isV4 ? 8 : 7),
    trafficClass: isV4 ? view.getUint8(1) : (view.getUint16(0) >> 4) & 0xff,
    id: isV4 ? view.getUint16(4) : undefined,
    length: isV4 ? view.getUint16(2) : 40 + view.getUint16(4),
    sport: view.getUint16(headerLength),
    dport: view.getUint16(headerLength + 2),
    seq: isTcp ? view.getUint32(headerLength + 4) : 0,
    flags: isTcp ? view.getUint8(headerLength + 13) : 0,
    headerLength,
    transportLength,
    payload: bytes.subarray(headerLength + transportLength),
  };
}

export function from(address: string, port?: number): PacketCheck {
  return (packet) => {
    expect(packet.src, "source address").toBe(address);
    if (port !== undefined) expect(packet.sport, "source port").toBe(port);
  };
}

export function to(address: string, port?: number): PacketCheck {
  return (packet) => {
    expect(packet.dst, "destination address").toBe(address);
    if (port !== undefined) expect(packet.dport, "destination port").toBe(port);
  };
}

/** Everything that a translation must not touch is as it was in the other packet. */
export function sameBut(original: Uint8Array, ...changed: readonly ("addresses" | "ports")[]): PacketCheck {
  return (packet) => {
    expect(mask(packet.bytes, changed), "untouched bytes").toEqual(mask(original, changed));
  };
}

/** Header and transport checksum hold, the length field says what there is. */
export function validChecksums(): PacketCheck {
  return (packet) => {
    expect(packet.length, "length field").toBe(packet.bytes.length);
    if (packet.version === 4) {
      expect(sumWords(packet.bytes, 0, packet.headerLength), "IPv4 header checksum").toBe(0xffff);
    }
    if (packet.protocol === Protocol.UDP) {
      const at = packet.headerLength;
      expect((packet.bytes[at + 4] as number) * 256 + (packet.bytes[at + 5] as number), "UDP length").toBe(
        packet.bytes.length - at,
      );
      if (transportChecksum(packet.bytes) === 0 && packet.version === 4) return;
    }
    expect(transportSum(packet.bytes), "transport checksum").toBe(0xffff);
  };
}

export function payloadIs(expected: Uint8Array): PacketCheck {
  return (packet) => expect(Buffer.from(packet.payload).equals(Buffer.from(expected)), "payload").toBe(true);
}

export function flagsAre(flags: number): PacketCheck {
  return (packet) => expect(packet.flags, "TCP flags").toBe(flags);
}

export function trafficClassIs(trafficClass: number): PacketCheck {
  return (packet) => expect(packet.trafficClass, "TOS or traffic class").toBe(trafficClass);
}

export function hopLimitIs(hopLimit: number): PacketCheck {
  return (packet) => expect(packet.hopLimit, "TTL or hop limit").toBe(hopLimit);
}

/** One's-complement sum over pseudo-header (ICMP has none) and transport; 0xffff when the checksum is right. */
export function transportSum(bytes: Uint8Array): number {
  const isV4 = (bytes[0] as number) >> 4 === 4;
  const headerLength = isV4 ? ((bytes[0] as number) & 15) * 4 : 40;
  const source = isV4 ? bytes.subarray(12, 16) : bytes.subarray(8, 24);
  const destination = isV4 ? bytes.subarray(16, 20) : bytes.subarray(24, 40);
  const protocol = bytes[isV4 ? 9 : 6] as number;
  const pseudo =
    protocol === Protocol.ICMP ? 0 : pseudoHeaderSum(source, destination, protocol, bytes.length - headerLength);
  const sum = pseudo + sumWords(bytes, headerLength);
  return sum > 0xffff ? sum - 0xffff : sum;
}

/** The transport checksum field. */
export function transportChecksum(bytes: Uint8Array): number {
  const at = checksumAt(bytes);
  return (bytes[at] as number) * 256 + (bytes[at + 1] as number);
}

function checksumAt(bytes: Uint8Array): number {
  const isV4 = (bytes[0] as number) >> 4 === 4;
  const headerLength = isV4 ? ((bytes[0] as number) & 15) * 4 : 40;
  const protocol = bytes[isV4 ? 9 : 6];
  if (protocol === Protocol.ICMP || protocol === Protocol.ICMPV6) return headerLength + 2;
  return headerLength + (protocol === Protocol.TCP ? 16 : 6);
}

/** A copy with the fields that may change, and the checksums that cover them, set to zero. */
function mask(bytes: Uint8Array, changed: readonly string[]): Buffer {
  const copy = Buffer.from(bytes);
  const isV4 = (bytes[0] as number) >> 4 === 4;
  const headerLength = isV4 ? ((bytes[0] as number) & 15) * 4 : 40;
  if (changed.includes("addresses")) {
    if (isV4) copy.fill(0, 10, 20);
    else copy.fill(0, 8, 40);
  }
  if (changed.includes("ports")) copy.fill(0, headerLength, headerLength + 4);
  const at = checksumAt(bytes);
  copy.fill(0, at, at + 2);
  return copy;
}
