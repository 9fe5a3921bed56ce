// The packet that `sapwood explain` is about: the first one of a connection, a datagram, or a ping.

import * as Protocol from "../../../assembly/shared/protocol.ts";
import * as Virtio from "../../../assembly/shared/virtio.ts";
import { SapwoodError } from "../../base/errors.ts";
import * as Ip from "../../dataplane/modules/ip-packet.ts";
import { canonicalAddress, familyOf } from "../../net/address.ts";

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
export function frameOf({ source, destination, protocol: name }: ExplainedPacket): Uint8Array {
  const isV4 = familyOf(source.address) === 4;
  const transport = transportOf(name, source.port ?? 0, destination.port ?? 0, isV4);
  const protocol = {
    tcp: Protocol.TCP,
    udp: Protocol.UDP,
    icmp: isV4 ? Protocol.ICMP : Protocol.ICMPV6,
  }[name];
  const ends = { source: Ip.rawAddress(source.address), destination: Ip.rawAddress(destination.address), protocol };
  Ip.finishChecksum(transport, ends);
  return Buffer.concat([new Uint8Array(Virtio.SIZE), Ip.ipHeader({ ...ends, length: transport.length }), transport]);
}

function transportOf(protocol: ExplainedProtocol, sourcePort: number, port: number, isV4: boolean): Uint8Array {
  const view = new DataView(new ArrayBuffer(protocol === "tcp" ? Ip.TCP_HEADER : Ip.UDP_HEADER));
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
