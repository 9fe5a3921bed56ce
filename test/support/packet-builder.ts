// Builds packets for tests, valid unless told otherwise: packet().ipv4({..}).tcp({..}).payload(..).bytes().
// Lengths and checksums are filled in; a field that the caller names is taken as given.
import ipaddr from "ipaddr.js";
import * as Protocol from "../../assembly/shared/protocol.ts";
import * as Virtio from "../../assembly/shared/virtio.ts";
import { pseudoHeaderSum, sumWords } from "./reference/checksum.ts";

/** Of TCP. */
export const FLAG = { FIN: 0x01, SYN: 0x02, RST: 0x04, PSH: 0x08, ACK: 0x10, URG: 0x20, ECE: 0x40, CWR: 0x80 };

export interface Ipv4Fields {
  readonly src: string;
  readonly dst: string;
  readonly tos?: number;
  readonly id?: number;
  /** The three flag bits and the fragment offset as they are in the header; default: don't fragment. */
  readonly fragment?: number;
  readonly ttl?: number;
  readonly protocol?: number;
  readonly headerWords?: number;
  readonly totalLength?: number;
  readonly checksum?: number;
  /** A multiple of four bytes. */
  readonly options?: readonly number[];
}

export interface Ipv6Fields {
  readonly src: string;
  readonly dst: string;
  readonly trafficClass?: number;
  readonly flowLabel?: number;
  readonly hopLimit?: number;
  readonly nextHeader?: number;
  readonly payloadLength?: number;
  /** In their order; where a header's first byte is, the type of what follows is put. */
  readonly extensions?: readonly ExtensionHeader[];
}

export interface ExtensionHeader {
  readonly type: number;
  /** The whole header. */
  readonly bytes: readonly number[];
}

export interface TcpFields {
  readonly sport: number;
  readonly dport: number;
  readonly seq?: number;
  readonly ack?: number;
  readonly flags?: number;
  readonly window?: number;
  readonly urgent?: number;
  readonly dataOffset?: number;
  readonly checksum?: number;
  /** A multiple of four bytes. */
  readonly options?: readonly number[];
}

export interface UdpFields {
  readonly sport: number;
  readonly dport: number;
  readonly length?: number;
  readonly checksum?: number;
}

interface IcmpFields {
  readonly type: number;
  readonly code?: number;
  readonly checksum?: number;
  /** The two words behind the checksum: of an echo its identifier and sequence number. */
  readonly words?: readonly [number, number];
}

export interface VirtioFields {
  readonly flags?: number;
  readonly gsoType?: number;
  readonly headerLength?: number;
  readonly gsoSize?: number;
  readonly csumStart?: number;
  readonly csumOffset?: number;
}

/** Text, bytes, or a count of bytes with a recognisable pattern. */
type Content = string | Uint8Array | number;
type Network =
  | { readonly version: 4; readonly fields: Ipv4Fields }
  | { readonly version: 6; readonly fields: Ipv6Fields };
type Transport =
  | { readonly kind: "tcp"; readonly fields: TcpFields }
  | { readonly kind: "udp"; readonly fields: UdpFields }
  | { readonly kind: "icmp"; readonly fields: IcmpFields }
  | { readonly kind: "other"; readonly protocol: number }
  | { readonly kind: "none" };

/** Repeats itself after 64 KiB, the most that a packet holds. */
const PATTERN = Uint8Array.from({ length: 2 ** 16 }, (_, i) => (i * 7 + (i >> 8)) & 0xff);

const knownAddresses = new Map<string, Uint8Array>();

/** Four or sixteen bytes in network order. */
export function addressBytes(text: string): Uint8Array {
  let bytes = knownAddresses.get(text);
  if (bytes === undefined) {
    bytes = Uint8Array.from(ipaddr.parse(text).toByteArray());
    knownAddresses.set(text, bytes);
  }
  return bytes.slice();
}

/** The canonical text of 4 or 16 bytes. */
export function addressText(bytes: Uint8Array): string {
  return ipaddr.fromByteArray(Array.from(bytes)).toString();
}

/** A frame of UDP over IPv4 with source port 0, with another one in its place: to build many thousand takes seconds. */
export function withSourcePort(frame: Uint8Array, sport: number): Uint8Array {
  const copy = frame.slice();
  const view = new DataView(copy.buffer);
  const udpAt = Virtio.SIZE + 20;
  view.setUint16(udpAt, sport);
  const sum = (~view.getUint16(udpAt + 6) & 0xffff) + sport; // RFC 1624
  view.setUint16(udpAt + 6, ~(sum + (sum >>> 16)) & 0xffff || 0xffff);
  return copy;
}

function patternOf(length: number): Uint8Array {
  if (length <= PATTERN.length) return PATTERN.slice(0, length);
  return Uint8Array.from({ length }, (_, i) => PATTERN[i % PATTERN.length] as number);
}

/** A packet in the making. Each call returns a new builder, so that a common start can be shared. */
export class PacketBuilder {
  constructor(
    private readonly network?: Network,
    private readonly transport: Transport = { kind: "none" },
    private readonly data: Uint8Array = new Uint8Array(0),
  ) {}

  ipv4(fields: Ipv4Fields): PacketBuilder {
    return new PacketBuilder({ version: 4, fields }, this.transport, this.data);
  }

  ipv6(fields: Ipv6Fields): PacketBuilder {
    return new PacketBuilder({ version: 6, fields }, this.transport, this.data);
  }

  /** v4 or v6, as the addresses are. */
  ip(src: string, dst: string): PacketBuilder {
    return src.includes(":") ? this.ipv6({ src, dst }) : this.ipv4({ src, dst });
  }

  tcp(fields: TcpFields): PacketBuilder {
    return new PacketBuilder(this.network, { kind: "tcp", fields }, this.data);
  }

  udp(fields: UdpFields): PacketBuilder {
    return new PacketBuilder(this.network, { kind: "udp", fields }, this.data);
  }

  /** ICMP over IPv4, ICMPv6 over IPv6. */
  icmp(fields: IcmpFields): PacketBuilder {
    return new PacketBuilder(this.network, { kind: "icmp", fields }, this.data);
  }

  /** Any protocol; all of it is payload. */
  protocol(protocol: number): PacketBuilder {
    return new PacketBuilder(this.network, { kind: "other", protocol }, this.data);
  }

  payload(content: Content): PacketBuilder {
    const data =
      typeof content === "string"
        ? new TextEncoder().encode(content)
        : typeof content === "number"
          ? patternOf(content)
          : content;
    return new PacketBuilder(this.network, this.transport, data);
  }

  /** The IP packet. */
  bytes(): Uint8Array {
    return this.assemble(false);
  }

  /** The packet as a TUN hands it over: a virtio_net_hdr that says nothing, and the packet. */
  frame(): Uint8Array {
    return virtioFrame(this.bytes(), {});
  }

  /** The packet with an unfinished checksum, as a local sender or a segmentation offload leaves it. */
  offloadFrame(gso: { readonly gsoType: number; readonly gsoSize: number } | undefined = undefined): Uint8Array {
    const bytes = this.assemble(true);
    const csumStart = bytes.length - this.transportBytes().length - this.data.length;
    return virtioFrame(bytes, {
      flags: Virtio.F_NEEDS_CSUM,
      gsoType: gso?.gsoType ?? Virtio.GSO_NONE,
      gsoSize: gso?.gsoSize ?? 0,
      headerLength: gso === undefined ? 0 : csumStart + this.transportBytes().length,
      csumStart,
      csumOffset: this.transport.kind === "tcp" ? 16 : 6,
    });
  }

  private assemble(partialChecksum: boolean): Uint8Array {
    const transport = this.transportBytes();
    const body = new Uint8Array(transport.length + this.data.length);
    body.set(transport);
    body.set(this.data, transport.length);
    this.finishTransport(body, partialChecksum);
    const header = this.networkBytes(body.length);
    const bytes = new Uint8Array(header.length + body.length);
    bytes.set(header);
    bytes.set(body, header.length);
    return bytes;
  }

  private protocolNumber(): number {
    switch (this.transport.kind) {
      case "udp":
        return Protocol.UDP;
      case "icmp":
        return this.network?.version === 6 ? Protocol.ICMPV6 : Protocol.ICMP;
      case "other":
        return this.transport.protocol;
      default:
        return Protocol.TCP;
    }
  }

  private transportBytes(): Uint8Array {
    if (this.transport.kind === "tcp") return tcpHeader(this.transport.fields);
    if (this.transport.kind === "udp") return udpHeader(this.transport.fields, this.data.length);
    if (this.transport.kind === "icmp") return icmpHeader(this.transport.fields);
    return new Uint8Array(0);
  }

  private finishTransport(body: Uint8Array, partialChecksum: boolean): void {
    const { transport, network } = this;
    if (transport.kind === "none" || transport.kind === "other" || network === undefined) return;
    if (transport.fields.checksum !== undefined) return;
    const { src, dst } = network.fields;
    // RFC 792: ICMP's checksum covers the message alone.
    const isMessageAlone = transport.kind === "icmp" && network.version === 4;
    const addresses = [addressBytes(src), addressBytes(dst)] as const;
    const pseudo = isMessageAlone ? 0 : pseudoHeaderSum(...addresses, this.protocolNumber(), body.length);
    const view = new DataView(body.buffer);
    const at = { tcp: 16, udp: 6, icmp: 2 }[transport.kind];
    if (partialChecksum) {
      view.setUint16(at, pseudo);
      return;
    }
    let sum = pseudo + sumWords(body);
    if (sum > 0xffff) sum -= 0xffff;
    const checksum = ~sum & 0xffff;
    // RFC 768: a sum that comes out as zero is sent as all ones.
    view.setUint16(at, checksum === 0 && transport.kind === "udp" ? 0xffff : checksum);
  }

  private networkBytes(bodyLength: number): Uint8Array {
    if (this.network === undefined) return new Uint8Array(0);
    return this.network.version === 4
      ? ipv4Header(this.network.fields, bodyLength, this.protocolNumber())
      : ipv6Header(this.network.fields, bodyLength, this.protocolNumber());
  }
}

export function packet(): PacketBuilder {
  return new PacketBuilder();
}

export function udpPacket(
  src: string,
  dst: string,
  sport: number,
  dport: number,
  content: Content = "",
): PacketBuilder {
  return packet().ip(src, dst).udp({ sport, dport }).payload(content);
}

export function tcpPacket(src: string, dst: string, fields: TcpFields, content: Content = ""): PacketBuilder {
  return packet().ip(src, dst).tcp(fields).payload(content);
}

/** A virtio_net_hdr (little-endian) in front of a packet. */
export function virtioFrame(bytes: Uint8Array, fields: VirtioFields): Uint8Array {
  const frame = new Uint8Array(Virtio.SIZE + bytes.length);
  const view = new DataView(frame.buffer);
  view.setUint8(0, fields.flags ?? 0);
  view.setUint8(1, fields.gsoType ?? Virtio.GSO_NONE);
  view.setUint16(2, fields.headerLength ?? 0, true);
  view.setUint16(4, fields.gsoSize ?? 0, true);
  view.setUint16(6, fields.csumStart ?? 0, true);
  view.setUint16(8, fields.csumOffset ?? 0, true);
  frame.set(bytes, Virtio.SIZE);
  return frame;
}

/** A copy with some bytes replaced: corrupt(packet, 0, 0x50). */
export function corrupt(bytes: Uint8Array, at: number, ...values: readonly number[]): Uint8Array {
  const copy = bytes.slice();
  copy.set(values, at);
  return copy;
}

/** A copy that ends early. */
export function truncate(bytes: Uint8Array, length: number): Uint8Array {
  return bytes.slice(0, length);
}

/** A copy with bytes behind the packet, as Ethernet padding leaves them. */
export function pad(bytes: Uint8Array, count: number, value = 0xaa): Uint8Array {
  const copy = new Uint8Array(bytes.length + count).fill(value);
  copy.set(bytes);
  return copy;
}

function ipv4Header(fields: Ipv4Fields, bodyLength: number, protocol: number): Uint8Array {
  const options = fields.options ?? [];
  const length = 20 + options.length;
  const bytes = new Uint8Array(length);
  const view = new DataView(bytes.buffer);
  view.setUint8(0, 0x40 | (fields.headerWords ?? length / 4));
  view.setUint8(1, fields.tos ?? 0);
  view.setUint16(2, fields.totalLength ?? length + bodyLength);
  view.setUint16(4, fields.id ?? 0x1234);
  view.setUint16(6, fields.fragment ?? 0x4000);
  view.setUint8(8, fields.ttl ?? 64);
  view.setUint8(9, fields.protocol ?? protocol);
  bytes.set(addressBytes(fields.src), 12);
  bytes.set(addressBytes(fields.dst), 16);
  bytes.set(options, 20);
  view.setUint16(10, fields.checksum ?? ~sumWords(bytes) & 0xffff);
  return bytes;
}

function ipv6Header(fields: Ipv6Fields, bodyLength: number, protocol: number): Uint8Array {
  const extensions = fields.extensions ?? [];
  const extensionBytes = extensions.flatMap(({ bytes }, i) => [extensions[i + 1]?.type ?? protocol, ...bytes.slice(1)]);
  const bytes = new Uint8Array(40 + extensionBytes.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, ((6 << 28) | ((fields.trafficClass ?? 0) << 20) | (fields.flowLabel ?? 0)) >>> 0);
  view.setUint16(4, fields.payloadLength ?? extensionBytes.length + bodyLength);
  view.setUint8(6, fields.nextHeader ?? extensions[0]?.type ?? protocol);
  view.setUint8(7, fields.hopLimit ?? 64);
  bytes.set(addressBytes(fields.src), 8);
  bytes.set(addressBytes(fields.dst), 24);
  bytes.set(extensionBytes, 40);
  return bytes;
}

function tcpHeader(fields: TcpFields): Uint8Array {
  const options = fields.options ?? [];
  const length = 20 + options.length;
  const bytes = new Uint8Array(length);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, fields.sport);
  view.setUint16(2, fields.dport);
  view.setUint32(4, fields.seq ?? 1000);
  view.setUint32(8, fields.ack ?? 0);
  view.setUint8(12, (fields.dataOffset ?? length / 4) << 4);
  view.setUint8(13, fields.flags ?? FLAG.ACK);
  view.setUint16(14, fields.window ?? 64240);
  view.setUint16(16, fields.checksum ?? 0);
  view.setUint16(18, fields.urgent ?? 0);
  bytes.set(options, 20);
  return bytes;
}

function icmpHeader(fields: IcmpFields): Uint8Array {
  const bytes = new Uint8Array(8);
  const view = new DataView(bytes.buffer);
  view.setUint8(0, fields.type);
  view.setUint8(1, fields.code ?? 0);
  view.setUint16(2, fields.checksum ?? 0);
  view.setUint16(4, fields.words?.[0] ?? 0);
  view.setUint16(6, fields.words?.[1] ?? 0);
  return bytes;
}

function udpHeader(fields: UdpFields, dataLength: number): Uint8Array {
  const bytes = new Uint8Array(8);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, fields.sport);
  view.setUint16(2, fields.dport);
  view.setUint16(4, fields.length ?? 8 + dataLength);
  view.setUint16(6, fields.checksum ?? 0);
  return bytes;
}
