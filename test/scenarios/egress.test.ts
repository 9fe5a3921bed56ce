// Out: a workload calls a service or an instance, and the packet leaves for the instance's node.
import { describe, expect, test } from "vitest";
import { given } from "../support/given.ts";
import { corrupt, FLAG, packet, pad, tcpPacket, udpPacket, virtioFrame } from "../support/packet-builder.ts";
import {
  expectPacket,
  flagsAre,
  from,
  hopLimitIs,
  payloadIs,
  sameBut,
  to,
  transportChecksum,
  transportSum,
  validChecksums,
} from "../support/packet-checks.ts";
import { sentPacket } from "../support/packets-of.ts";
import { A1, B1, B2, B3, onNodeA, ROUND_ROBIN, TO, UNKNOWN } from "../support/world.ts";

const FAMILIES = [
  { family: "IPv4", client: A1.v4, source: A1.instanceV4, called: ROUND_ROBIN.b.v4, target: B1.v4, header: 20 },
  { family: "IPv6", client: A1.v6, source: A1.instanceV6, called: ROUND_ROBIN.b.v6, target: B1.v6, header: 40 },
];

describe.each(FAMILIES)("$family egress", ({ client, source, called, target, header }) => {
  test("TCP to a service address leaves as instance address to namespace address", async () => {
    const fixture = await onNodeA();
    const original = packet().ip(client, called).tcp({ sport: 40000, dport: 80, flags: FLAG.SYN }).bytes();
    const result = fixture.egress(virtioFrame(original, {}));
    expect(result.datagrams.map((one) => one.endpoint)).toEqual([TO.b]);
    expectPacket(
      sentPacket(result),
      from(source, 40000),
      to(target, 80),
      validChecksums(),
      sameBut(original, "addresses"),
    );
    expect(result.counts).toEqual({
      egressPackets: 1,
      egressBytes: header + 20,
      flowsOpened: 1,
      policyChoices: 1,
    });
  });

  test("UDP to a service address leaves as instance address to namespace address", async () => {
    const fixture = await onNodeA();
    const original = packet().ip(client, called).udp({ sport: 5353, dport: 53 }).payload("any payload").bytes();
    const result = fixture.egress(virtioFrame(original, {}));
    expectPacket(
      sentPacket(result),
      from(source, 5353),
      to(target, 53),
      validChecksums(),
      sameBut(original, "addresses"),
    );
    expect(result.counts).toEqual({
      egressPackets: 1,
      egressBytes: header + 19,
      flowsOpened: 1,
      policyChoices: 1,
    });
  });

  test("the second packet of a flow asks no policy and opens no flow", async () => {
    const fixture = await onNodeA();
    const open = packet().ip(client, called).tcp({ sport: 40000, dport: 80, flags: FLAG.SYN });
    fixture.egress(open.frame());
    const next = tcpPacket(client, called, { sport: 40000, dport: 80, flags: FLAG.ACK | FLAG.PSH }, "GET /");
    const result = fixture.egress(next.frame());
    expect(result.choices).toEqual([]);
    expect(result.counts).toEqual({ egressPackets: 1, egressBytes: header + 25 });
    expectPacket(sentPacket(result), to(target, 80), flagsAre(FLAG.ACK | FLAG.PSH), validChecksums());
  });

  test("ports 65535 and 1 are ports like any other", async () => {
    const fixture = await onNodeA();
    for (const [sport, dport] of [
      [65535, 1],
      [1, 65535],
      [65535, 65535],
    ] as const) {
      const result = fixture.egress(packet().ip(client, called).udp({ sport, dport }).payload("x").frame());
      expectPacket(sentPacket(result), from(source, sport), to(target, dport), validChecksums());
    }
  });

  test("bytes behind the packet's length do not leave", async () => {
    const fixture = await onNodeA();
    const original = packet().ip(client, called).udp({ sport: 1111, dport: 53 }).payload("abc").bytes();
    const result = fixture.egress(virtioFrame(pad(original, 13), {}));
    expect(result.counts.egressBytes).toBe(original.length);
    expectPacket(sentPacket(result), payloadIs(new TextEncoder().encode("abc")), validChecksums());
  });

  test.each([
    { protocol: "TCP", build: () => packet().ip(client, called).tcp({ sport: 9, dport: 9 }).payload("corrupt me") },
    { protocol: "UDP", build: () => packet().ip(client, called).udp({ sport: 9, dport: 9 }).payload("corrupt me") },
  ])("a wrong $protocol checksum stays wrong, by the same difference [defect 12]", async ({ build }) => {
    const fixture = await onNodeA();
    const good = build().bytes();
    const broken = corrupt(good, good.length - 3, 0x12);
    const [sent] = fixture.egress(virtioFrame(broken, {})).datagrams;
    expect(transportSum(broken)).not.toBe(0xffff);
    expect(transportSum(given(sent).bytes)).toBe(transportSum(broken));
  });

  test("an unfinished checksum leaves finished", async () => {
    const fixture = await onNodeA();
    for (const build of [
      packet().ip(client, called).tcp({ sport: 2000, dport: 80, flags: FLAG.SYN }),
      packet().ip(client, called).udp({ sport: 2001, dport: 53 }).payload("odd"),
      packet().ip(client, called).tcp({ sport: 2002, dport: 80 }).payload(1400),
    ]) {
      const result = fixture.egress(build.offloadFrame());
      expectPacket(sentPacket(result), from(source), to(target), validChecksums());
    }
  });

  test("an unfinished UDP checksum that comes out as zero is sent as ones", async () => {
    const fixture = await onNodeA();
    fixture.egress(packet().ip(client, called).udp({ sport: 3000, dport: 53 }).payload("ab").frame());
    // The one payload word for which the sum over the translated packet is 0xffff.
    const probe = packet().ip(source, target).udp({ sport: 3000, dport: 53 }).payload(Uint8Array.of(0, 0)).bytes();
    const missing = transportChecksum(probe);
    const payload = Uint8Array.of(missing >> 8, missing & 0xff);
    const result = fixture.egress(
      packet().ip(client, called).udp({ sport: 3000, dport: 53 }).payload(payload).offloadFrame(),
    );
    expect(transportChecksum(sentPacket(result))).toBe(0xffff);
  });

  test("a UDP checksum that the rewrite turns to zero is sent as ones", async () => {
    const fixture = await onNodeA();
    const probe = packet().ip(source, target).udp({ sport: 3000, dport: 53 }).payload(Uint8Array.of(0, 0)).bytes();
    const missing = transportChecksum(probe);
    const payload = Uint8Array.of(missing >> 8, missing & 0xff);
    const result = fixture.egress(packet().ip(client, called).udp({ sport: 3000, dport: 53 }).payload(payload).frame());
    expect(transportChecksum(sentPacket(result))).toBe(0xffff);
    expectPacket(sentPacket(result), validChecksums());
  });

  test("an instance address leads to its instance only, without a policy", async () => {
    const fixture = await onNodeA();
    const [address, b3] = header === 20 ? [B3.instanceV4, B3.v4] : [B3.instanceV6, B3.v6];
    for (let sport = 5000; sport < 5010; sport++) {
      const result = fixture.egress(packet().ip(client, address).tcp({ sport, dport: 80, flags: FLAG.SYN }).frame());
      expect(result.datagrams[0]?.endpoint).toBe(TO.d);
      expectPacket(sentPacket(result), from(source, sport), to(b3, 80), validChecksums());
      expect(result.counts).toEqual({ egressPackets: 1, egressBytes: header + 20, flowsOpened: 1 });
    }
  });

  test("the policy's choice decides the node, and v6 underlays work as v4 ones [defect 15, remedy 8]", async () => {
    const fixture = await onNodeA();
    const targets = header === 20 ? [B1.v4, B2.v4, B3.v4] : [B1.v6, B2.v6, B3.v6];
    for (const [index, endpoint] of [TO.b, TO.c, TO.d].entries()) {
      fixture.policy = () => index;
      const result = fixture.egress(tcpPacket(client, called, { sport: 7000 + index, dport: 80 }).frame());
      expect(result.datagrams[0]?.endpoint).toBe(endpoint);
      expectPacket(sentPacket(result), to(targets[index] as string, 80), validChecksums());
    }
  });
});

test("an IPv4 UDP checksum of zero stays zero", async () => {
  const fixture = await onNodeA();
  const original = packet().ip(A1.v4, ROUND_ROBIN.b.v4).udp({ sport: 1, dport: 53, checksum: 0 }).payload("x").bytes();
  const result = fixture.egress(virtioFrame(original, {}));
  expect(transportChecksum(sentPacket(result))).toBe(0);
});

test("IPv4 options, TOS, id, flags and TTL pass unchanged", async () => {
  const fixture = await onNodeA();
  const original = packet()
    .ipv4({
      src: A1.v4,
      dst: ROUND_ROBIN.b.v4,
      tos: 0xb9,
      id: 0xffff,
      fragment: 0,
      ttl: 1,
      options: [0x94, 0x04, 0, 0, 1, 1, 1, 0], // router alert, no-operation, end
    })
    .tcp({ sport: 1234, dport: 80, options: [2, 4, 5, 110, 1, 3, 3, 7], urgent: 9 })
    .payload("opaque")
    .bytes();
  const result = fixture.egress(virtioFrame(original, {}));
  expectPacket(sentPacket(result), hopLimitIs(1), validChecksums(), sameBut(original, "addresses"));
  expect(result.counts.egressBytes).toBe(original.length);
});

test("a wrong IPv4 header checksum stays wrong", async () => {
  const fixture = await onNodeA();
  const original = packet().ipv4({ src: A1.v4, dst: ROUND_ROBIN.b.v4 }).tcp({ sport: 1, dport: 2 }).bytes();
  const broken = corrupt(original, 8, 63);
  const [good] = fixture.egress(virtioFrame(original, {})).datagrams;
  const [bad] = fixture.egress(virtioFrame(broken, {})).datagrams;
  expect(bad?.bytes.slice(10, 12)).toEqual(good?.bytes.slice(10, 12));
  expectPacket(bad?.bytes, hopLimitIs(63));
});

test("IPv6 traffic class, flow label and hop limit pass unchanged", async () => {
  const fixture = await onNodeA();
  const original = packet()
    .ipv6({ src: A1.v6, dst: ROUND_ROBIN.b.v6, trafficClass: 0xb9, flowLabel: 0xabcde, hopLimit: 1 })
    .tcp({ sport: 1234, dport: 80, flags: FLAG.SYN, options: [2, 4, 5, 110] })
    .bytes();
  const result = fixture.egress(virtioFrame(original, {}));
  expectPacket(sentPacket(result), hopLimitIs(1), validChecksums(), sameBut(original, "addresses"));
});

test("the largest packets pass", async () => {
  const fixture = await onNodeA();
  const v4 = udpPacket(A1.v4, ROUND_ROBIN.b.v4, 1, 2, 65_507 - 28);
  const v6 = udpPacket(A1.v6, ROUND_ROBIN.b.v6, 1, 2, 65_507 - 48);
  for (const build of [v4, v6]) {
    const result = fixture.egress(build.frame());
    expect(sentPacket(result).length).toBe(65_507);
    expectPacket(sentPacket(result), validChecksums());
  }
});

test("a batch of 64 packets of 64 flows leaves in order", async () => {
  const fixture = await onNodeA();
  const frames = Array.from({ length: 64 }, (_, i) =>
    udpPacket(A1.v4, ROUND_ROBIN.b.v4, 1000 + i, 53, `packet ${i}`).frame(),
  );
  const result = fixture.egress(...frames);
  expect(result.datagrams.length).toBe(64);
  result.datagrams.forEach((datagram, i) => {
    expectPacket(datagram.bytes, from(A1.instanceV4, 1000 + i), validChecksums());
  });
  expect(result.counts.egressPackets).toBe(64);
});

const REFUSED = [
  ["notServiceAddress", "an address outside of the service ranges", A1.v4, "10.20.1.1"],
  ["notServiceAddress", "another node's namespace address", A1.v4, B1.v4],
  ["notServiceAddress", "an IPv6 address outside of the service ranges", A1.v6, "2001:db8::1"],
  ["notServiceAddress", "a v4-mapped IPv6 address, which belongs to no IPv6 range", A1.v6, "::ffff:10.30.0.2"],
  ["unknownWorkload", "a source that is no workload", "10.101.3.99", ROUND_ROBIN.b.v4],
  ["unknownWorkload", "an IPv6 source that is no workload", "fc00::101:3:99", ROUND_ROBIN.b.v6],
  ["unknownWorkload", "another node's workload as source", B1.v4, ROUND_ROBIN.b.v4],
  ["unknownWorkload", "an instance address as source", A1.instanceV4, ROUND_ROBIN.b.v4],
  ["unknownWorkload", "a v4-mapped IPv6 source", `::ffff:${A1.v4}`, ROUND_ROBIN.b.v6],
  ["unknownAddress", "a service address that the tables do not hold", A1.v4, UNKNOWN.v4],
  ["unknownAddress", "an IPv6 service address that the tables do not hold", A1.v6, UNKNOWN.v6],
] as const;

test.each(REFUSED)("%s: %s", async (reason, _what, src, dst) => {
  const fixture = await onNodeA();
  const bytes = src.includes(":")
    ? packet().ipv6({ src, dst }).tcp({ sport: 1, dport: 2 }).frame()
    : packet().ipv4({ src, dst }).tcp({ sport: 1, dport: 2 }).frame();
  const result = fixture.egress(bytes);
  expect(result.datagrams).toEqual([]);
  expect(result.counts).toEqual({ [`egressDrop.${reason}`]: 1 });
});
