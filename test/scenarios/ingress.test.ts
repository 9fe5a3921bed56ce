// In: packets from the tunnel reach this node's workloads, replies under the address that was called.
import { describe, expect, test } from "vitest";
import { given } from "../support/given.ts";
import { corrupt, FLAG, packet, pad, tcpPacket } from "../support/packet-builder.ts";
import {
  expectPacket,
  flagsAre,
  from,
  hopLimitIs,
  sameBut,
  to,
  transportChecksum,
  transportSum,
  validChecksums,
} from "../support/packet-checks.ts";
import { packetIn } from "../support/packets-of.ts";
import { A1, B1, CLOSEST, FROM, onNodeA, ROUND_ROBIN, UNKNOWN } from "../support/world.ts";

const FAMILIES = [
  {
    family: "IPv4",
    client: A1.v4,
    called: ROUND_ROBIN.b.v4,
    answering: B1.instanceV4,
    unknown: UNKNOWN.v4,
    header: 20,
  },
  {
    family: "IPv6",
    client: A1.v6,
    called: ROUND_ROBIN.b.v6,
    answering: B1.instanceV6,
    unknown: UNKNOWN.v6,
    header: 40,
  },
];
const NO_OFFLOAD = new Uint8Array(10);

/** The packet of a TUN write, whose virtio_net_hdr must say nothing. */
function delivered(write: Uint8Array | undefined): Uint8Array | undefined {
  expect(write?.subarray(0, 10)).toEqual(NO_OFFLOAD);
  return packetIn(write);
}

describe.each(FAMILIES)("$family ingress", ({ client, called, answering, unknown, header }) => {
  test("the answer comes from the address that was called", async () => {
    const fixture = await onNodeA();
    fixture.egress(packet().ip(client, called).tcp({ sport: 40000, dport: 80, flags: FLAG.SYN }).frame());
    const answer = tcpPacket(answering, client, { sport: 80, dport: 40000, flags: FLAG.SYN | FLAG.ACK }).bytes();
    const result = fixture.ingress({ ...FROM.b, bytes: answer });
    expect(result.tunWrites.length).toBe(1);
    expectPacket(
      delivered(result.tunWrites[0]),
      from(called, 80),
      to(client, 40000),
      flagsAre(FLAG.SYN | FLAG.ACK),
      validChecksums(),
      sameBut(answer, "addresses"),
    );
    expect(result.counts).toEqual({ ingressPackets: 1, ingressBytes: header + 20 });
  });

  test("a UDP answer comes from the address that was called", async () => {
    const fixture = await onNodeA();
    fixture.egress(packet().ip(client, called).udp({ sport: 5353, dport: 53 }).payload("q").frame());
    const answer = packet().ip(answering, client).udp({ sport: 53, dport: 5353 }).payload("answer").bytes();
    const result = fixture.ingress({ ...FROM.b, bytes: answer });
    expectPacket(delivered(result.tunWrites[0]), from(called, 53), to(client, 5353), validChecksums());
    expect(result.counts).toEqual({ ingressPackets: 1, ingressBytes: header + 14 });
  });

  test("a request from another node is delivered as it is [behaviour 9]", async () => {
    const fixture = await onNodeA();
    const request = packet().ip(answering, client).tcp({ sport: 1234, dport: 80, flags: FLAG.SYN }).bytes();
    const result = fixture.ingress({ ...FROM.b, bytes: request });
    expect(delivered(result.tunWrites[0])).toEqual(request);
    expect(result.counts).toEqual({ ingressPackets: 1, ingressBytes: header + 20 });
  });

  test("a source that the tables do not know is delivered from a node of which the tables say so", async () => {
    const fixture = await onNodeA();
    const request = packet().ip(unknown, client).udp({ sport: 1234, dport: 80 }).payload("x").bytes();
    expect(delivered(fixture.ingress({ ...FROM.d, bytes: request }).tunWrites[0])).toEqual(request);
    for (const sender of [FROM.b, FROM.c]) {
      expect(fixture.ingress({ ...sender, bytes: request }).counts).toEqual({ "ingressDrop.unknownSource": 1 });
    }
  });

  test("nobody speaks for a service address, not even a node whose unknown sources are accepted", async () => {
    const fixture = await onNodeA();
    const bytes = packet().ip(called, client).udp({ sport: 80, dport: 1234 }).payload("x").bytes();
    for (const sender of [FROM.b, FROM.d]) {
      expect(fixture.ingress({ ...sender, bytes }).counts).toEqual({ "ingressDrop.balancedSource": 1 });
    }
  });

  test("what comes from no node is dropped before anything else, whatever it is", async () => {
    const fixture = await onNodeA();
    const whole = packet().ip(answering, client).udp({ sport: 80, dport: 1234 }).payload(100);
    const strangers = [
      FROM.stranger,
      { ...FROM.b, port: 50104 }, // a program beside the proxy on its machine
      { ...FROM.c, address: "2001:db8::4" },
      { ...FROM.d, port: 50103 },
    ];
    for (const sender of strangers) {
      for (const bytes of [whole.bytes(), new Uint8Array(0), Uint8Array.of(0x53, 0x57), Uint8Array.of(0xff)]) {
        const result = fixture.ingress({ ...sender, bytes });
        expect(result.counts).toEqual({ "ingressDrop.unknownNode": 1 });
        expect([...result.datagrams, ...result.tunWrites]).toEqual([]);
      }
    }
  });

  test("an answer of the wrong port, protocol or instance is no answer", async () => {
    const fixture = await onNodeA();
    fixture.egress(packet().ip(client, called).tcp({ sport: 40000, dport: 80, flags: FLAG.SYN }).frame());
    const strangers = [
      packet().ip(answering, client).tcp({ sport: 81, dport: 40000 }).bytes(),
      packet().ip(answering, client).tcp({ sport: 80, dport: 40001 }).bytes(),
      packet().ip(answering, client).udp({ sport: 80, dport: 40000 }).payload("x").bytes(),
    ];
    const result = fixture.ingress(...strangers.map((bytes) => ({ ...FROM.b, bytes })));
    expect(result.tunWrites.map((write) => delivered(write))).toEqual(strangers);
  });

  test("bytes behind the packet's length are not delivered", async () => {
    const fixture = await onNodeA();
    const request = packet().ip(answering, client).udp({ sport: 1234, dport: 80 }).payload("abc").bytes();
    const result = fixture.ingress({ ...FROM.b, bytes: pad(request, 5) });
    expect(delivered(result.tunWrites[0])).toEqual(request);
    expect(result.counts).toEqual({ ingressPackets: 1, ingressBytes: request.length });
  });

  test("a wrong checksum stays wrong on the way back", async () => {
    const fixture = await onNodeA();
    fixture.egress(packet().ip(client, called).udp({ sport: 5353, dport: 53 }).payload("q").frame());
    const good = packet().ip(answering, client).udp({ sport: 53, dport: 5353 }).payload("answer").bytes();
    const broken = corrupt(good, good.length - 1, 0);
    const result = fixture.ingress({ ...FROM.b, bytes: broken });
    expect(transportSum(given(delivered(result.tunWrites[0])))).toBe(transportSum(broken));
    expect(transportSum(broken)).not.toBe(0xffff);
  });

  test("each datagram of a GRO message is translated for itself", async () => {
    const fixture = await onNodeA();
    fixture.egress(packet().ip(client, called).udp({ sport: 5353, dport: 53 }).payload("q").frame());
    const answer = packet().ip(answering, client).udp({ sport: 53, dport: 5353 }).payload(100).bytes();
    const request = packet().ip(answering, client).udp({ sport: 99, dport: 5353 }).payload(100).bytes();
    const last = packet().ip(answering, client).udp({ sport: 53, dport: 5353 }).payload(7).bytes();
    const parts = [answer, request, answer, last];
    const bytes = Buffer.concat(parts);
    const result = fixture.ingress({ ...FROM.b, bytes, segmentSize: answer.length });
    expect(result.tunWrites.length).toBe(4);
    const sources = [called, answering, called, called];
    result.tunWrites.forEach((write, i) => {
      expectPacket(delivered(write), from(sources[i] as string), to(client, 5353), validChecksums());
    });
    expect(result.counts).toEqual({ ingressPackets: 4, ingressBytes: bytes.length });
  });

  test("an answer from another node than the flow's is dropped", async () => {
    const fixture = await onNodeA();
    fixture.egress(packet().ip(client, called).tcp({ sport: 40000, dport: 80, flags: FLAG.SYN }).frame());
    const bytes = tcpPacket(answering, client, { sport: 80, dport: 40000, flags: FLAG.SYN | FLAG.ACK }).bytes();
    for (const sender of [FROM.c, FROM.d]) {
      const result = fixture.ingress({ ...sender, bytes });
      expect(result.tunWrites).toEqual([]);
      expect(result.counts).toEqual({ "ingressDrop.wrongNode": 1 });
    }
    expect(fixture.ingress({ ...FROM.b, bytes }).counts.ingressPackets).toBe(1);
  });

  test("an instance's packets from another node than its own are dropped", async () => {
    const fixture = await onNodeA();
    const bytes = packet().ip(answering, client).tcp({ sport: 1234, dport: 80, flags: FLAG.SYN }).bytes();
    for (const sender of [FROM.c, FROM.d]) {
      expect(fixture.ingress({ ...sender, bytes }).counts).toEqual({ "ingressDrop.wrongNode": 1 });
    }
  });

  test("an instance of this node cannot come in from outside", async () => {
    const fixture = await onNodeA();
    const own = header === 20 ? A1.instanceV4 : A1.instanceV6;
    const bytes = packet().ip(own, client).udp({ sport: 1234, dport: 80 }).payload("spoofed").bytes();
    for (const sender of [FROM.b, FROM.d]) {
      expect(fixture.ingress({ ...sender, bytes }).counts).toEqual({ "ingressDrop.wrongNode": 1 });
    }
  });

  test("only workloads of this node are destinations [defect 13, defect 46, remedy 7]", async () => {
    const fixture = await onNodeA();
    const [b1, own, closest] =
      header === 20 ? [B1.v4, A1.instanceV4, CLOSEST.b.v4] : [B1.v6, A1.instanceV6, CLOSEST.b.v6];
    for (const dst of [b1, own, closest, called, unknown]) {
      const bytes = packet().ip(answering, dst).udp({ sport: 1234, dport: 80 }).payload("x").bytes();
      expect(fixture.ingress({ ...FROM.b, bytes }).counts).toEqual({ "ingressDrop.notLocalDestination": 1 });
    }
  });

  test("only service ranges are sources [defect 13, remedy 7]", async () => {
    const fixture = await onNodeA();
    const outside =
      header === 20 ? ["10.18.3.1", "192.0.2.2", "10.31.0.1"] : ["fc00::18:3:1", "2001:db8::3", "fdfe::1"];
    for (const src of outside) {
      const bytes = packet().ip(src, client).udp({ sport: 1234, dport: 80 }).payload("x").bytes();
      expect(fixture.ingress({ ...FROM.b, bytes }).counts).toEqual({ "ingressDrop.notServiceSource": 1 });
    }
  });
});

test("an IPv4 UDP checksum of zero stays zero on the way back", async () => {
  const fixture = await onNodeA();
  fixture.egress(packet().ip(A1.v4, ROUND_ROBIN.b.v4).udp({ sport: 5353, dport: 53 }).payload("q").frame());
  const answer = packet().ip(B1.instanceV4, A1.v4).udp({ sport: 53, dport: 5353, checksum: 0 }).payload("a").bytes();
  const result = fixture.ingress({ ...FROM.b, bytes: answer });
  expect(transportChecksum(given(delivered(result.tunWrites[0])))).toBe(0);
  expectPacket(delivered(result.tunWrites[0]), from(ROUND_ROBIN.b.v4, 53), hopLimitIs(64), validChecksums());
});

test("a v4-mapped IPv6 destination or source is not taken for the IPv4 address", async () => {
  const fixture = await onNodeA();
  const mappedDestination = packet()
    .ipv6({ src: B1.instanceV6, dst: `::ffff:${A1.v4}` })
    .tcp({ sport: 1, dport: 2 });
  expect(fixture.ingress({ ...FROM.b, bytes: mappedDestination.bytes() }).counts).toEqual({
    "ingressDrop.notLocalDestination": 1,
  });
  const mappedSource = packet()
    .ipv6({ src: `::ffff:${B1.instanceV4}`, dst: A1.v6 })
    .tcp({ sport: 1, dport: 2 });
  expect(fixture.ingress({ ...FROM.b, bytes: mappedSource.bytes() }).counts).toEqual({
    "ingressDrop.notServiceSource": 1,
  });
});

test("messages of several senders in one batch are held against their own sender", async () => {
  const fixture = await onNodeA();
  const bytes = packet().ip(B1.instanceV4, A1.v4).udp({ sport: 1, dport: 2 }).payload("x").bytes();
  const result = fixture.ingress({ ...FROM.c, bytes }, { ...FROM.b, bytes }, { ...FROM.d, bytes });
  expect(result.counts).toEqual({
    ingressPackets: 1,
    ingressBytes: bytes.length,
    "ingressDrop.wrongNode": 2,
  });
});
