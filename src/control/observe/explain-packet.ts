// The packet that `sapwood explain` is about: the first one of a connection, a datagram, or a ping.

import {
  IPPROTO_ICMP,
  IPPROTO_ICMPV6,
  IPPROTO_TCP,
  IPPROTO_UDP,
  VIRTIO_NET_HDR_SIZE,
} from "../../../assembly/shared/protocols.ts";
import { SapwoodError } from "../../base/errors.ts";
import { canonicalAddress, familyOf, parseAddress } from "../../net/address.ts";

type ExplainedProtocol = "tcp" | "udp" | "icmp";

interface PacketEnd {
  readonly address: string; // canonical
  readonly port: number | undefined;
}

export interface ExplainedPacket {
  readonly source: PacketEnd;
  readonly destination: PacketEnd;
  readonly protocol: ExplainedProtocol;
}

const PORT_MAX = 65_535;
const HOP_LIMIT = 64;
const ICMP_ECHO = 8;
const ICMPV6_ECHO = 128;
const TCP_SYN = 0x5002; // data offset of 5 words, flag SYN (RFC 9293 section 3.1)
const PROTOCOLS: readonly ExplainedProtocol[] = ["tcp", "udp", "icmp"];

/** "10.30.0.2:80/tcp", "[fdff::1]:53/udp", "fdff::1/icmp". Throws usage. */
export function parseTarget(text: string): { readonly end: PacketEnd; readonly protocol: ExplainedProtocol } {
  const [place = "", protocolText = "tcp"] = text.split("/");
  const protocol = PROTOCOLS.find((known) => known === protocolText);
  const end = parseEnd(place);
  if (end === undefined || protocol === undefined || (end.port === undefined) !== (protocol === "icmp")) {
    const examples = "10.30.0.2:80/tcp, [fdff::1]:53/udp or 10.30.0.2/icmp";
    throw new SapwoodError("usage", `"to" must be an address, port and protocol like ${examples}; found "${text}".`);
  }
  return { end, protocol };
}

/** "10.18.0.2:5000", "[fc00::2]:5000", or without a port. */
export function parseEnd(text: string): PacketEnd | undefined {
  const found = /^(?:\[([0-9a-f:.]+)\](?::(\d{1,5}))?|([\d.]+)(?::(\d{1,5}))?|([0-9a-f:.]+))$/i.exec(text);
  const address = canonicalAddress(found?.[1] ?? found?.[3] ?? found?.[5] ?? "");
  const portText = found?.[2] ?? found?.[4];
  const port = portText === undefined ? undefined : Number(portText);
  if (address === undefined || (port !== undefined && port > PORT_MAX)) return undefined;
  return { address, port };
}

/** As the TUN gives it, with its virtio_net_hdr. */
export function frameOf({ source, destination, protocol }: ExplainedPacket): Uint8Array {
  const isV4 = familyOf(source.address) === 4;
  const transport = transportOf(protocol, source.port ?? 0, destination.port ?? 0, isV4);
  const [from, to] = [addressBytes(source.address), addressBytes(destination.address)];
  const number = { tcp: IPPROTO_TCP, udp: IPPROTO_UDP, icmp: isV4 ? IPPROTO_ICMP : IPPROTO_ICMPV6 }[protocol];
  const checksumAt = { tcp: 16, udp: 6, icmp: 2 }[protocol];
  const hasPseudoHeader = protocol !== "icmp" || !isV4;
  const pseudo = hasPseudoHeader ? sum(from) + sum(to) + number + transport.length : 0;
  new DataView(transport.buffer).setUint16(checksumAt, folded(sum(transport) + pseudo) || 0xffff);
  const header = isV4 ? headerV4(from, to, number, transport.length) : headerV6(from, to, number, transport.length);
  return Buffer.concat([new Uint8Array(VIRTIO_NET_HDR_SIZE), header, transport]);
}

function transportOf(protocol: ExplainedProtocol, sourcePort: number, port: number, isV4: boolean): Uint8Array {
  const view = new DataView(new ArrayBuffer(protocol === "tcp" ? 20 : 8));
  if (protocol === "icmp") {
    view.setUint8(0, isV4 ? ICMP_ECHO : ICMPV6_ECHO);
    view.setUint16(4, sourcePort); // the identifier
  } else {
    view.setUint16(0, sourcePort);
    view.setUint16(2, port);
    if (protocol === "udp") view.setUint16(4, view.byteLength);
    else view.setUint16(12, TCP_SYN);
  }
  return new Uint8Array(view.buffer);
}

function headerV4(from: Uint8Array, to: Uint8Array, protocol: number, length: number): Uint8Array {
  const header = new Uint8Array(20);
  const view = new DataView(header.buffer);
  view.setUint8(0, 0x45);
  view.setUint16(2, header.length + length);
  view.setUint8(8, HOP_LIMIT);
  view.setUint8(9, protocol);
  header.set(from, 12);
  header.set(to, 16);
  view.setUint16(10, folded(sum(header)));
  return header;
}

function headerV6(from: Uint8Array, to: Uint8Array, protocol: number, length: number): Uint8Array {
  const header = new Uint8Array(40);
  const view = new DataView(header.buffer);
  view.setUint8(0, 0x60);
  view.setUint16(4, length);
  view.setUint8(6, protocol);
  view.setUint8(7, HOP_LIMIT);
  header.set(from, 8);
  header.set(to, 24);
  return header;
}

/** 4 or 16 bytes. */
function addressBytes(address: string): Uint8Array {
  const bytes = parseAddress(address);
  if (bytes === undefined) throw new RangeError(`no address: ${address}`);
  return familyOf(address) === 4 ? bytes.subarray(12) : bytes;
}

function sum(bytes: Uint8Array): number {
  let total = 0;
  for (let i = 0; i < bytes.length; i += 2) total += ((bytes[i] ?? 0) << 8) | (bytes[i + 1] ?? 0);
  return total;
}

/** RFC 1071. */
function folded(total: number): number {
  let rest = total;
  while (rest > 0xffff) rest = (rest & 0xffff) + (rest >>> 16);
  return ~rest & 0xffff;
}
