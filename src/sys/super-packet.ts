// A small super-packet of each kind, as the engine writes them to a TUN: to ask a kernel whether it takes them.
// From and to addresses of documentation (RFC 5737, RFC 3849), which nobody has.

import * as Protocol from "../../assembly/shared/protocol.ts";
import * as Virtio from "../../assembly/shared/virtio.ts";

const SEGMENT_SIZE = 100;
const PAYLOAD_SIZE = 2 * SEGMENT_SIZE;
const HOP_LIMIT = 64;
const PORT_DISCARD = 9;

interface Transport {
  readonly protocol: number;
  readonly header: Buffer;
  readonly checksumAt: number;
  readonly gsoTypes: Readonly<Record<"v4" | "v6", number>>;
}

const TRANSPORTS: Readonly<Record<"tcp" | "udp", Transport>> = {
  tcp: {
    protocol: Protocol.TCP,
    header: tcpHeader(),
    checksumAt: 16,
    gsoTypes: { v4: Virtio.GSO_TCPV4, v6: Virtio.GSO_TCPV6 },
  },
  udp: {
    protocol: Protocol.UDP,
    header: udpHeader(),
    checksumAt: 6,
    gsoTypes: { v4: Virtio.GSO_UDP_L4, v6: Virtio.GSO_UDP_L4 },
  },
};

/** Two segments behind one header, with a virtio_net_hdr in front; its checksums are left to the kernel. */
export function superPacket(protocol: "tcp" | "udp", family: "v4" | "v6"): Buffer {
  const { header, checksumAt, gsoTypes, protocol: number } = TRANSPORTS[protocol];
  const ip = family === "v4" ? ipv4Header(number, header.length) : ipv6Header(number, header.length);
  const virtio = Buffer.alloc(Virtio.SIZE);
  virtio[Virtio.FLAGS] = Virtio.F_NEEDS_CSUM;
  virtio[Virtio.GSO_TYPE] = gsoTypes[family];
  virtio.writeUInt16LE(ip.length + header.length, Virtio.HDR_LEN);
  virtio.writeUInt16LE(SEGMENT_SIZE, Virtio.GSO_SIZE);
  virtio.writeUInt16LE(ip.length, Virtio.CSUM_START);
  virtio.writeUInt16LE(checksumAt, Virtio.CSUM_OFFSET);
  return Buffer.concat([virtio, ip, header, Buffer.alloc(PAYLOAD_SIZE)]);
}

function ipv4Header(protocol: number, transportLength: number): Buffer {
  const header = Buffer.alloc(20);
  header[0] = 0x45;
  header.writeUInt16BE(header.length + transportLength + PAYLOAD_SIZE, 2);
  header[8] = HOP_LIMIT;
  header[9] = protocol;
  header.set([192, 0, 2, 1], 12);
  header.set([192, 0, 2, 2], 16);
  return header;
}

function ipv6Header(protocol: number, transportLength: number): Buffer {
  const header = Buffer.alloc(40);
  header[0] = 0x60;
  header.writeUInt16BE(transportLength + PAYLOAD_SIZE, 4);
  header[6] = protocol;
  header[7] = HOP_LIMIT;
  header.set([0x20, 0x01, 0x0d, 0xb8], 8);
  header[23] = 1;
  header.set([0x20, 0x01, 0x0d, 0xb8], 24);
  header[39] = 2;
  return header;
}

function tcpHeader(): Buffer {
  const header = Buffer.alloc(20);
  header.writeUInt16BE(PORT_DISCARD, 0);
  header.writeUInt16BE(PORT_DISCARD, 2);
  header[12] = 0x50; // five words, no options
  header[13] = 0x10; // ACK
  return header;
}

function udpHeader(): Buffer {
  const header = Buffer.alloc(8);
  header.writeUInt16BE(PORT_DISCARD, 0);
  header.writeUInt16BE(PORT_DISCARD, 2);
  header.writeUInt16BE(header.length + PAYLOAD_SIZE, 4);
  return header;
}
