// Bad input: every drop reason of the parser, in both directions. Nothing leaves, exactly one reason is counted.
import { describe, expect, test } from "vitest";
import * as Protocol from "../../assembly/shared/protocol.ts";
import * as Virtio from "../../assembly/shared/virtio.ts";
import {
  corrupt,
  type PacketBuilder,
  packet,
  pad,
  truncate,
  type VirtioFields,
  virtioFrame,
} from "../support/packet-builder.ts";
import { Random } from "../support/random.ts";
import type { DropName } from "../support/reference/counts.ts";
import { A1, B1, FROM, onNodeA, ROUND_ROBIN } from "../support/world.ts";

type Case = readonly [
  reason: DropName,
  what: string,
  packetOf: (src4: string, dst4: string, src6: string, dst6: string) => Uint8Array,
];

const PACKETS: readonly Case[] = [
  ["notIp", "version nibble 0", (s, d) => corrupt(tcp4(s, d), 0, 0x05)],
  ["notIp", "version nibble 5 that is no probe", (s, d) => corrupt(tcp4(s, d), 0, 0x55)],
  ["notIp", "version nibble 7", (s, d) => corrupt(tcp4(s, d), 0, 0x75)],
  ["notIp", "version nibble 15", (s, d) => corrupt(tcp4(s, d), 0, 0xf5)],
  ["truncatedHeader", "one byte of IPv4", (s, d) => truncate(tcp4(s, d), 1)],
  ["truncatedHeader", "19 bytes of IPv4", (s, d) => truncate(tcp4(s, d), 19)],
  ["truncatedHeader", "one byte of IPv6", (_s, _d, s, d) => truncate(tcp6(s, d), 1)],
  ["truncatedHeader", "39 bytes of IPv6", (_s, _d, s, d) => truncate(tcp6(s, d), 39)],
  ["badHeaderLength", "IHL 0", (s, d) => corrupt(tcp4(s, d), 0, 0x40)],
  ["badHeaderLength", "IHL 4", (s, d) => corrupt(tcp4(s, d), 0, 0x44)],
  ["badHeaderLength", "IHL 15 beyond the packet", (s, d) => corrupt(tcp4(s, d), 0, 0x4f)],
  ["badTotalLength", "total length 0", (s, d) => corrupt(tcp4(s, d), 2, 0, 0)],
  ["badTotalLength", "total length below the header", (s, d) => corrupt(tcp4(s, d), 2, 0, 19)],
  ["badTotalLength", "total length one above what came", (s, d) => corrupt(tcp4(s, d), 2, 0, 41)],
  ["badTotalLength", "total length 65535", (s, d) => corrupt(tcp4(s, d), 2, 0xff, 0xff)],
  ["badTotalLength", "payload length one above what came", (_s, _d, s, d) => corrupt(tcp6(s, d), 4, 0, 21)],
  ["badTotalLength", "payload length 65535", (_s, _d, s, d) => corrupt(tcp6(s, d), 4, 0xff, 0xff)],
  ["unsupportedIcmp", "an ICMP source quench", (s, d) => icmp(s, d, 4)],
  ["unsupportedIcmp", "an ICMP redirect", (s, d) => icmp(s, d, 5)],
  ["unsupportedIcmp", "an ICMP router advertisement", (s, d) => icmp(s, d, 9)],
  ["unsupportedIcmp", "an ICMP timestamp request", (s, d) => icmp(s, d, 13)],
  ["unsupportedIcmp", "the type of an ICMPv6 echo in ICMP", (s, d) => icmp(s, d, 128)],
  ["unsupportedIcmp", "ICMPv6 over IPv4", (s, d) => protocol4(s, d, 58)],
  ["unsupportedIcmp", "ICMP over IPv6", (_s, _d, s, d) => nextHeader6(s, d, 1)],
  ["unsupportedIcmp", "the type of an ICMP echo in ICMPv6", (_s, _d, s, d) => icmp(s, d, 8)],
  ["unsupportedIcmp", "an ICMPv6 error of a type that means nothing yet", (_s, _d, s, d) => icmp(s, d, 5)],
  ["unsupportedIcmp", "a multicast listener report", (_s, _d, s, d) => icmp(s, d, 131)],
  ["unsupportedIcmp", "a router solicitation", (_s, _d, s, d) => icmp(s, d, 133)],
  ["badExtensionHeader", "nine extension headers", (_s, _d, s, d) => extended(s, d, 9).bytes()],
  ["badExtensionHeader", "an extension header that is cut off", (_s, _d, s, d) => cutOff(extended(s, d, 1), 7)],
  ["badExtensionHeader", "an extension header beyond the packet", (_s, _d, s, d) => overlong(s, d)],
  ["badExtensionHeader", "a fragment of a fragment", (_s, _d, s, d) => twiceFragmented(s, d)],
  ["badExtensionHeader", "a jumbogram", (_s, _d, s, d) => corrupt(extended(s, d, 1).bytes(), 4, 0, 0)],
  ["truncatedTransport", "7 bytes of ICMP", (s, d) => packet().ip(s, d).protocol(1).payload(7).bytes()],
  ["truncatedTransport", "7 bytes of ICMPv6", (_s, _d, s, d) => packet().ip(s, d).protocol(58).payload(7).bytes()],
  ["truncatedTransport", "7 bytes of UDP behind an extension header", (_s, _d, s, d) => cutOff(extended(s, d, 1), 15)],
  ["badIcmpError", "an ICMP error that quotes nothing", (s, d) => icmp(s, d, 3)],
  ["badIcmpError", "an ICMP error that quotes 27 bytes", (s, d) => icmp(s, d, 3, truncate(tcp4(d, s), 27))],
  ["badIcmpError", "an ICMP error that quotes IPv6", (s, d) => icmp(s, d, 3, tcp6("2001:db8::1", "2001:db8::2"))],
  ["badIcmpError", "an ICMP error about an ICMP error", (s, d) => icmp(s, d, 3, icmp(d, s, 11, tcp4(s, d)))],
  ["badIcmpError", "an ICMP error about a later fragment", (s, d) => icmp(s, d, 3, fragment4(d, s, 0x0010))],
  [
    "badIcmpError",
    "an ICMP error about a packet without a header",
    (s, d) => icmp(s, d, 3, corrupt(tcp4(d, s), 0, 0x44)),
  ],
  ["badIcmpError", "an ICMPv6 error that quotes nothing", (_s, _d, s, d) => icmp(s, d, 1)],
  ["badIcmpError", "an ICMPv6 error that quotes 47 bytes", (_s, _d, s, d) => icmp(s, d, 1, truncate(tcp6(d, s), 47))],
  ["badIcmpError", "an ICMPv6 error about an ICMPv6 error", (_s, _d, s, d) => icmp(s, d, 1, icmp(d, s, 2, tcp6(s, d)))],
  ["badIcmpError", "an ICMPv6 error about nine headers", (_s, _d, s, d) => icmp(s, d, 1, extended(d, s, 9).bytes())],
  ["truncatedTransport", "IPv4 without transport", (s, d) => packet().ipv4({ src: s, dst: d, protocol: 6 }).bytes()],
  ["truncatedTransport", "19 bytes of TCP", (s, d) => corrupt(truncate(tcp4(s, d), 39), 2, 0, 39)],
  ["truncatedTransport", "7 bytes of UDP", (s, d) => corrupt(truncate(udp4(s, d), 27), 2, 0, 27)],
  ["truncatedTransport", "19 bytes of TCP over IPv6", (_s, _d, s, d) => corrupt(truncate(tcp6(s, d), 59), 4, 0, 19)],
  ["truncatedTransport", "7 bytes of UDP over IPv6", (_s, _d, s, d) => corrupt(truncate(udp6(s, d), 47), 4, 0, 7)],
  ["truncatedTransport", "payload length 0, as in a jumbogram", (_s, _d, s, d) => corrupt(tcp6(s, d), 4, 0, 0)],
  ["truncatedTransport", "a header that options fill to the end", (s, d) => corrupt(tcp4(s, d), 0, 0x4a)],
  ["badTransportLength", "data offset 0", (s, d) => corrupt(tcp4(s, d), 32, 0x00)],
  ["badTransportLength", "data offset 4", (s, d) => corrupt(tcp4(s, d), 32, 0x40)],
  ["badTransportLength", "data offset beyond the packet", (s, d) => corrupt(tcp4(s, d), 32, 0x60)],
  ["badTransportLength", "data offset into trailing bytes", (s, d) => pad(corrupt(tcp4(s, d), 32, 0x60), 40)],
  ["badTransportLength", "data offset 15 over IPv6", (_s, _d, s, d) => corrupt(tcp6(s, d), 52, 0xf0)],
  ["badTransportLength", "UDP length 0", (s, d) => corrupt(udp4(s, d), 24, 0, 0)],
  ["badTransportLength", "UDP length 7", (s, d) => corrupt(udp4(s, d), 24, 0, 7)],
  ["badTransportLength", "UDP length above the payload", (s, d) => corrupt(udp4(s, d), 24, 0, 13)],
  ["badTransportLength", "UDP length 0 over IPv6", (_s, _d, s, d) => corrupt(udp6(s, d), 44, 0, 0)],
  ["portZero", "TCP source port 0", (s, d) => packet().ip(s, d).tcp({ sport: 0, dport: 80 }).bytes()],
  ["portZero", "TCP destination port 0", (s, d) => packet().ip(s, d).tcp({ sport: 80, dport: 0 }).bytes()],
  ["portZero", "UDP source port 0", (_s, _d, s, d) => packet().ip(s, d).udp({ sport: 0, dport: 53 }).bytes()],
  ["portZero", "UDP destination port 0", (_s, _d, s, d) => packet().ip(s, d).udp({ sport: 53, dport: 0 }).bytes()],
];

function tcp4(src: string, dst: string): Uint8Array {
  return packet().ipv4({ src, dst }).tcp({ sport: 40000, dport: 80 }).bytes();
}

function tcp6(src: string, dst: string): Uint8Array {
  return packet().ipv6({ src, dst }).tcp({ sport: 40000, dport: 80 }).bytes();
}

function udp4(src: string, dst: string): Uint8Array {
  return packet().ipv4({ src, dst }).udp({ sport: 40000, dport: 53 }).payload("data").bytes();
}

function udp6(src: string, dst: string): Uint8Array {
  return packet().ipv6({ src, dst }).udp({ sport: 40000, dport: 53 }).payload("data").bytes();
}

function fragment4(src: string, dst: string, fragment: number): Uint8Array {
  return packet().ipv4({ src, dst, fragment }).udp({ sport: 40000, dport: 53 }).payload(64).bytes();
}

function protocol4(src: string, dst: string, protocol: number): Uint8Array {
  return packet().ipv4({ src, dst, protocol }).udp({ sport: 40000, dport: 53 }).payload(64).bytes();
}

function icmp(src: string, dst: string, type: number, quoted: Uint8Array = new Uint8Array(0)): Uint8Array {
  return packet().ip(src, dst).icmp({ type }).payload(quoted).bytes();
}

function extended(src: string, dst: string, headers: number): PacketBuilder {
  const extensions = Array.from({ length: headers }, () => ({
    type: Protocol.ROUTING,
    bytes: Array<number>(8).fill(0),
  }));
  return packet().ipv6({ src, dst, extensions }).udp({ sport: 40000, dport: 53 }).payload("data");
}

/** Ends so many bytes behind the IPv6 header. */
function cutOff(build: PacketBuilder, length: number): Uint8Array {
  return corrupt(truncate(build.bytes(), 40 + length), 4, 0, length);
}

function overlong(src: string, dst: string): Uint8Array {
  return corrupt(extended(src, dst, 1).bytes(), 41, 2); // 24 bytes, of which 20 are there
}

function twiceFragmented(src: string, dst: string): Uint8Array {
  const whole = { type: Protocol.FRAGMENT, bytes: Array<number>(8).fill(0) };
  return packet()
    .ipv6({ src, dst, extensions: [whole, whole] })
    .udp({ sport: 40000, dport: 53 })
    .bytes();
}

function nextHeader6(src: string, dst: string, nextHeader: number): Uint8Array {
  return packet().ipv6({ src, dst, nextHeader }).udp({ sport: 40000, dport: 53 }).payload(64).bytes();
}

test.each(PACKETS)("egress %s: %s", async (reason, _what, packetOf) => {
  const fixture = await onNodeA();
  const bytes = packetOf(A1.v4, ROUND_ROBIN.b.v4, A1.v6, ROUND_ROBIN.b.v6);
  const result = fixture.egress(virtioFrame(bytes, {}));
  expect(result.counts).toEqual({ [`egressDrop.${reason}`]: 1 });
  expect([...result.datagrams, ...result.tunWrites]).toEqual([]);
});

test.each(PACKETS)("ingress %s: %s", async (reason, _what, packetOf) => {
  const fixture = await onNodeA();
  const bytes = packetOf(B1.instanceV4, A1.v4, B1.instanceV6, A1.v6);
  const result = fixture.ingress({ ...FROM.b, bytes });
  expect(result.counts).toEqual({ [`ingressDrop.${reason}`]: 1 });
  expect([...result.datagrams, ...result.tunWrites]).toEqual([]);
});

test("every frame shorter than its virtio_net_hdr is a truncated frame", async () => {
  const fixture = await onNodeA();
  for (let length = 0; length < 10; length++) {
    expect(fixture.egress(new Uint8Array(length)).counts).toEqual({ "egressDrop.truncatedFrame": 1 });
  }
});

test("a virtio_net_hdr without a packet is not IP", async () => {
  const fixture = await onNodeA();
  expect(fixture.egress(new Uint8Array(10)).counts).toEqual({ "egressDrop.notIp": 1 });
});

test("an empty datagram is dropped, and what follows is translated", async () => {
  const fixture = await onNodeA();
  const good = packet().ip(B1.instanceV4, A1.v4).udp({ sport: 1, dport: 2 }).payload("x").bytes();
  const result = fixture.ingress({ ...FROM.b, bytes: new Uint8Array(0) }, { ...FROM.b, bytes: good });
  expect(result.counts).toEqual({ "ingressDrop.emptyDatagram": 1, ingressPackets: 1, ingressBytes: good.length });
});

test("a message that was received in part is dropped as a whole", async () => {
  const fixture = await onNodeA();
  const bytes = packet().ip(B1.instanceV4, A1.v4).udp({ sport: 1, dport: 2 }).payload("x").bytes();
  const result = fixture.ingress({ ...FROM.b, bytes, isTruncated: true });
  expect(result.counts).toEqual({ "ingressDrop.truncatedFrame": 1 });
});

test("a broken segment of a GRO message does not harm its neighbours", async () => {
  const fixture = await onNodeA();
  const good = packet().ip(B1.instanceV4, A1.v4).udp({ sport: 1, dport: 2 }).payload(50).bytes();
  const bytes = Buffer.concat([good, corrupt(good, 0, 0x00), corrupt(good, 2, 0xff), good, truncate(good, 5)]);
  const result = fixture.ingress({ ...FROM.b, bytes, segmentSize: good.length });
  expect(result.counts).toEqual({
    ingressPackets: 2,
    ingressBytes: 2 * good.length,
    "ingressDrop.notIp": 1,
    "ingressDrop.badTotalLength": 1,
    "ingressDrop.truncatedHeader": 1,
  });
});

describe("egress badOffload", () => {
  const TCP4 = { flags: Virtio.F_NEEDS_CSUM, csumStart: 20, csumOffset: 16 };
  const TCP6 = { flags: Virtio.F_NEEDS_CSUM, csumStart: 40, csumOffset: 16 };
  const UDP4 = { flags: Virtio.F_NEEDS_CSUM, csumStart: 20, csumOffset: 6 };
  const kinds = {
    tcp4: tcp4(A1.v4, ROUND_ROBIN.b.v4),
    tcp6: tcp6(A1.v6, ROUND_ROBIN.b.v6),
    udp4: udp4(A1.v4, ROUND_ROBIN.b.v4),
  };
  const cases: readonly (readonly [what: string, kind: keyof typeof kinds, header: VirtioFields])[] = [
    ["an unknown type", "tcp4", { ...TCP4, gsoType: 2, gsoSize: 100 }],
    ["the old UDP fragmentation type", "udp4", { ...UDP4, gsoType: 3, gsoSize: 100 }],
    ["a TCPv6 super-packet that is IPv4", "tcp4", { ...TCP4, gsoType: Virtio.GSO_TCPV6, gsoSize: 100 }],
    ["a TCPv4 super-packet that is IPv6", "tcp6", { ...TCP6, gsoType: Virtio.GSO_TCPV4, gsoSize: 100 }],
    ["a TCP super-packet that is UDP", "udp4", { ...UDP4, gsoType: Virtio.GSO_TCPV4, gsoSize: 100 }],
    ["a UDP super-packet that is TCP", "tcp4", { ...TCP4, gsoType: Virtio.GSO_UDP_L4, gsoSize: 100 }],
    ["ECN with UDP", "udp4", { ...UDP4, gsoType: Virtio.GSO_UDP_L4 | Virtio.GSO_ECN, gsoSize: 100 }],
    ["ECN with no super-packet", "tcp4", { ...TCP4, gsoType: Virtio.GSO_ECN, gsoSize: 100 }],
    ["a segment size of 0", "tcp4", { ...TCP4, gsoType: Virtio.GSO_TCPV4, gsoSize: 0 }],
    ["segments without checksums", "tcp4", { gsoType: Virtio.GSO_TCPV4, gsoSize: 100 }],
    ["a checksum that starts one byte early", "tcp4", { ...TCP4, csumStart: 19 }],
    ["a checksum that starts beyond the packet", "tcp4", { ...TCP4, csumStart: 65535 }],
    ["a checksum over the IPv6 header", "tcp6", { ...TCP6, csumStart: 0 }],
    ["a TCP checksum at UDP's place", "tcp4", { ...TCP4, csumOffset: 6 }],
    ["a UDP checksum at TCP's place", "udp4", { ...UDP4, csumOffset: 16 }],
    ["a checksum field beyond the packet", "udp4", { ...UDP4, csumOffset: 65535 }],
  ];
  test.each(cases)("%s", async (_what, kind, header) => {
    const fixture = await onNodeA();
    const result = fixture.egress(virtioFrame(kinds[kind], header));
    expect(result.counts).toEqual({ "egressDrop.badOffload": 1 });
  });

  test("flags and sizes that say nothing are ignored", async () => {
    const fixture = await onNodeA();
    const harmless = virtioFrame(kinds.tcp4, {
      flags: 2,
      gsoSize: 1460,
      headerLength: 9999,
      csumStart: 7,
      csumOffset: 9,
    });
    expect(fixture.egress(harmless).counts.egressPackets).toBe(1);
  });
});

test("no cut of a packet, at any length, gets through or harms [defect 11, remedy 1]", async () => {
  const fixture = await onNodeA();
  const egress = [udp4(A1.v4, ROUND_ROBIN.b.v4), tcp6(A1.v6, ROUND_ROBIN.b.v6)];
  const ingress = [udp4(B1.instanceV4, A1.v4), tcp6(B1.instanceV6, A1.v6)];
  for (const whole of egress) {
    for (let length = 0; length < whole.length; length++) {
      expect(fixture.egress(virtioFrame(truncate(whole, length), {})).datagrams).toEqual([]);
    }
  }
  for (const whole of ingress) {
    for (let length = 0; length < whole.length; length++) {
      expect(fixture.ingress({ ...FROM.b, bytes: truncate(whole, length) }).tunWrites).toEqual([]);
    }
  }
});

test("noise is dropped, in every length", async () => {
  const fixture = await onNodeA();
  const random = new Random(7);
  for (let round = 0; round < 200; round++) {
    const noise = Array.from({ length: 64 }, () => random.bytes(random.below(200)));
    expect(fixture.egress(...noise).datagrams).toEqual([]);
    fixture.ingress(...noise.map((bytes) => ({ ...FROM.b, bytes })));
  }
});
