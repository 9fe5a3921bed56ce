// What a client is told when its packet goes nowhere or is too large, and what is cut instead.
import { describe, expect, test } from "vitest";
import * as HeaderLayout from "../../assembly/shared/layout/header.ts";
import * as Virtio from "../../assembly/shared/virtio.ts";
import type { EngineFixture } from "../support/engine-fixture.ts";
import { given, nth } from "../support/given.ts";
import { FLAG, packet } from "../support/packet-builder.ts";
import { expectPacket, flagsAre, from, to, validChecksums, viewPacket } from "../support/packet-checks.ts";
import { sentPacket, writtenPacket } from "../support/packets-of.ts";
import { A1, B1, B2, instance, NODE, onNodeA, ROUND_ROBIN, serviceB, UNKNOWN, world } from "../support/world.ts";

const EMSGSIZE = 90;
const ALL = HeaderLayout.ANSWER_WITH_ICMP | HeaderLayout.ANSWER_WITH_RESET | HeaderLayout.CLAMP_MSS;
const FAMILIES = [
  {
    family: "IPv4",
    client: A1.v4,
    called: ROUND_ROBIN.b.v4,
    unknown: UNKNOWN.v4,
    header: 20,
    host: [3, 1],
    big: [3, 4],
  },
  {
    family: "IPv6",
    client: A1.v6,
    called: ROUND_ROBIN.b.v6,
    unknown: UNKNOWN.v6,
    header: 40,
    host: [1, 3],
    big: [2, 0],
  },
] as const;

function onTellingNode(answers = ALL): Promise<EngineFixture> {
  return onNodeA({ memory: { answers, tunMtu: 1450 } });
}

/** The way to the node that the policy of these tests chooses takes packets of that size. */
function learnMtu(fixture: EngineFixture, mtu: number): void {
  fixture.pathError(EMSGSIZE, NODE.b.underlay, { mtu: mtu + 28, isLocal: true });
}

/** Sources that are no workload of this node: of hosts, and of nobody whom an answer could reach. */
const STRANGERS = [
  ["10.101.3.254", ROUND_ROBIN.b.v4, [3, 13]],
  ["192.0.2.11", UNKNOWN.v4, [3, 13]],
  ["fc00::101:3:fe", ROUND_ROBIN.b.v6, [1, 1]],
] as const;
const UNREACHABLE_STRANGERS = [
  ["0.0.0.0", ROUND_ROBIN.b.v4],
  ["127.0.0.1", ROUND_ROBIN.b.v4],
  ["224.0.0.1", ROUND_ROBIN.b.v4],
  ["255.255.255.255", ROUND_ROBIN.b.v4],
  [A1.instanceV4, ROUND_ROBIN.b.v4],
  ["::", ROUND_ROBIN.b.v6],
  ["::1", ROUND_ROBIN.b.v6],
  ["ff02::1", ROUND_ROBIN.b.v6],
  [`::ffff:${A1.v4}`, ROUND_ROBIN.b.v6],
  [A1.instanceV6, ROUND_ROBIN.b.v6],
] as const;

test.each(STRANGERS)("%s is no workload: administratively prohibited, whatever it calls", async (src, dst, named) => {
  const fixture = await onTellingNode();
  const lost = packet().ip(src, dst).udp({ sport: 4000, dport: 53 }).payload(20);
  const { tunWrites, counts } = fixture.egress(lost.frame());
  const [type, code] = named;
  const expected = packet().ip(dst, src).icmp({ type, code }).payload(lost.bytes()).bytes();
  const told = writtenPacket({ tunWrites });
  expectPacket(told, from(dst), to(src), validChecksums());
  const header = src.includes(":") ? 40 : 20;
  expect(told?.subarray(header)).toEqual(expected.subarray(header));
  expect(counts).toEqual({ "egressDrop.unknownWorkload": 1, icmpErrorsSent: 1 });
});

test.each(UNREACHABLE_STRANGERS)("%s is no workload, and hears nothing", async (src, dst) => {
  const fixture = await onTellingNode();
  const { tunWrites, counts } = fixture.egress(packet().ip(src, dst).udp({ sport: 4000, dport: 53 }).frame());
  expect(tunWrites).toEqual([]);
  expect(counts).toEqual({ "egressDrop.unknownWorkload": 1 });
});

test("whoever is no workload hears nothing about an ICMP error, and no more than 50 answers at once", async () => {
  const fixture = await onTellingNode();
  const call = packet().ip("192.0.2.11", ROUND_ROBIN.b.v4).udp({ sport: 4000, dport: 53 }).payload(8);
  const quoted = packet().ip(ROUND_ROBIN.b.v4, "192.0.2.11").udp({ sport: 53, dport: 4000 }).payload(8).bytes();
  const error = packet().ip("192.0.2.11", ROUND_ROBIN.b.v4).icmp({ type: 3, code: 3 }).payload(quoted);
  expect(fixture.egress(error.frame()).tunWrites).toEqual([]);
  const { counts } = fixture.egress(...Array.from({ length: 60 }, () => call.frame()));
  expect(counts).toEqual({ "egressDrop.unknownWorkload": 60, icmpErrorsSent: 50, icmpErrorsLimited: 10 });
  const ofWorkload = packet().ip(A1.v4, UNKNOWN.v4).udp({ sport: 4000, dport: 53 });
  expect(fixture.egress(ofWorkload.frame()).counts).toMatchObject({ icmpErrorsSent: 1 });
});

describe.each(FAMILIES)("$family", ({ client, called, unknown, header, host, big }) => {
  const call = packet().ip(client, called).tcp({ sport: 4000, dport: 80, flags: FLAG.SYN });

  test("an unknown address: host unreachable, from that address, quoting the packet [defect 44]", async () => {
    const fixture = await onTellingNode();
    const lost = packet().ip(client, unknown).tcp({ sport: 4000, dport: 80, flags: FLAG.SYN });
    const { tunWrites, counts } = fixture.egress(lost.frame());
    const [type, code] = host;
    const expected = packet().ip(unknown, client).icmp({ type, code }).payload(lost.bytes()).bytes();
    const told = writtenPacket({ tunWrites });
    expectPacket(told, from(unknown), to(client));
    expect(told?.subarray(header)).toEqual(expected.subarray(header));
    expect(counts).toEqual({ "egressDrop.unknownAddress": 1, icmpErrorsSent: 1 });
  });

  test("nothing is said of a SYN-ACK to an unknown address, of the next segment it is", async () => {
    const fixture = await onTellingNode();
    const back = packet().ip(client, unknown);
    const answer = back.tcp({ sport: 80, dport: 4000, flags: FLAG.SYN | FLAG.ACK });
    expect(fixture.egress(answer.frame()).counts).toEqual({ "egressDrop.unknownAddress": 1 });
    const later = back.tcp({ sport: 80, dport: 4000, flags: FLAG.ACK });
    expect(fixture.egress(later.frame()).counts).toEqual({ "egressDrop.unknownAddress": 1, icmpErrorsSent: 1 });
  });

  test("no more than fits is quoted", async () => {
    const fixture = await onTellingNode();
    const { tunWrites } = fixture.egress(
      packet().ip(client, unknown).udp({ sport: 1, dport: 2 }).payload(1400).frame(),
    );
    expect(tunWrites[0]?.length).toBe(10 + (header === 20 ? 576 : 1280));
  });

  test("switched off, nobody is told", async () => {
    const fixture = await onTellingNode(0);
    const { tunWrites } = fixture.egress(packet().ip(client, unknown).udp({ sport: 1, dport: 2 }).frame());
    expect(tunWrites).toEqual([]);
  });

  test("a packet larger than the path: its sender is told the MTU, smaller ones pass [remedy 6]", async () => {
    const fixture = await onTellingNode();
    learnMtu(fixture, 1372);
    const [type, code] = big;
    const large = packet().ip(client, called).udp({ sport: 1, dport: 2 });
    const { tunWrites, datagrams, counts } = fixture.egress(large.payload(1372 - header - 8 + 1).frame());
    expect(datagrams).toEqual([]);
    expect(counts).toMatchObject({ "egressDrop.tooBig": 1, icmpErrorsSent: 1 });
    const told = writtenPacket({ tunWrites });
    expect([told[header], told[header + 1], Buffer.from(told).readUInt16BE(header + 6)]).toEqual([type, code, 1372]);
    expect(fixture.egress(large.payload(1372 - header - 8).frame()).datagrams.length).toBe(1);
  });

  test("a SYN promises no more than the path takes", async () => {
    const fixture = await onTellingNode();
    learnMtu(fixture, 1372);
    const syn = packet().ip(client, called);
    for (const options of [
      [2, 4, 5, 180],
      [1, 2, 4, 5, 180, 1, 1, 0],
    ]) {
      const [sent] = fixture.egress(syn.tcp({ sport: 4000, dport: 80, flags: FLAG.SYN, options }).frame()).datagrams;
      expectPacket(sent?.bytes, validChecksums());
      const at = header + 20 + options.indexOf(4) + 1;
      expect(Buffer.from(given(sent).bytes).readUInt16BE(at)).toBe(1372 - header - 20);
    }
  });

  test("an MSS option behind one without a length is none, as for a receiver", async () => {
    const fixture = await onTellingNode();
    const syn = packet().ip(client, called);
    for (const length of [0, 1]) {
      const options = [5, length, 1, 1, 2, 4, 5, 180];
      const { datagrams, counts } = fixture.egress(
        syn.tcp({ sport: 4000, dport: 80, flags: FLAG.SYN, options }).frame(),
      );
      expect([...(sentPacket({ datagrams }).subarray(header + 20) ?? [])]).toEqual(options);
      expect(counts.mssClamped).toBeUndefined();
    }
  });

  test("the next segment to an instance that is gone is answered with a reset", async () => {
    const fixture = await onTellingNode();
    fixture.egress(call.frame());
    await fixture.apply(world(serviceB([instance(2, "node-c", B2)])));
    const data = packet().ip(client, called).tcp({ sport: 4000, dport: 80, flags: FLAG.ACK, seq: 5, ack: 777 });
    const { tunWrites, datagrams, counts } = fixture.egress(data.payload("data").frame());
    expect(datagrams).toEqual([]);
    const told = writtenPacket({ tunWrites });
    expectPacket(told, from(called, 80), to(client, 4000), flagsAre(FLAG.RST), validChecksums());
    expect(viewPacket(given(told)).seq).toBe(777);
    expect(counts).toEqual({ "egressDrop.instanceGone": 1, resetsSent: 1 });
    expect(fixture.egress(call.frame()).datagrams.length).toBe(1);
  });
});

test.each([
  [A1.v4, "0.0.0.0"],
  [A1.v6, "::"],
  [A1.v6, "::ffff:10.30.0.1"],
])("what %s sends to %s is not answered: no host could have that address", async (client, called) => {
  const fixture = await onTellingNode();
  const { tunWrites, counts } = fixture.egress(packet().ip(client, called).udp({ sport: 1, dport: 2 }).frame());
  expect(tunWrites).toEqual([]);
  expect(counts).toEqual({ "egressDrop.notServiceAddress": 1 });
});

test("an IPv4 packet that may be fragmented is", async () => {
  const fixture = await onTellingNode();
  learnMtu(fixture, 1372);
  const large = packet().ipv4({ src: A1.v4, dst: ROUND_ROBIN.b.v4, fragment: 0 }).udp({ sport: 1, dport: 2 });
  const { datagrams, counts } = fixture.egress(large.payload(3000).frame());
  expect(datagrams.map(({ bytes }) => bytes.length)).toEqual([1372, 1372, 324]);
  const parts = datagrams.map(({ bytes }) => Buffer.from(bytes));
  expect(parts.map((part) => part.readUInt16BE(6))).toEqual([0x2000, 0x2000 | 169, 338]);
  const whole = packet().ip(A1.instanceV4, B1.v4).udp({ sport: 1, dport: 2 }).payload(3000).bytes();
  expect(Buffer.concat(parts.map((part) => part.subarray(20))).equals(Buffer.from(whole.subarray(20)))).toBe(true);
  expect(counts).toMatchObject({ packetsFragmented: 1, egressPackets: 3 });
});

test("a super-packet whose segments are larger than the path is refused as a whole", async () => {
  const fixture = await onTellingNode();
  learnMtu(fixture, 1372);
  const big = packet().ip(A1.v4, ROUND_ROBIN.b.v4).tcp({ sport: 1, dport: 80 }).payload(5000);
  const { tunWrites, counts } = fixture.egress(big.offloadFrame({ gsoType: Virtio.GSO_TCPV4, gsoSize: 1400 }));
  expect(counts).toMatchObject({ "egressDrop.tooBig": 1, icmpErrorsSent: 1 });
  expect(Buffer.from(nth(tunWrites, 0)).readUInt16BE(10 + 26)).toBe(1372);
});

test("a flood to nowhere is told fifty times, then a hundred times a second", async () => {
  const fixture = await onTellingNode();
  const frame = packet().ip(A1.v4, UNKNOWN.v4).udp({ sport: 1, dport: 2 }).frame();
  const flood = () => fixture.egress(...Array<Uint8Array>(200).fill(frame)).counts;
  expect(flood()).toMatchObject({ icmpErrorsSent: 50, icmpErrorsLimited: 150 });
  fixture.advance(100);
  expect(flood()).toMatchObject({ icmpErrorsSent: 10, icmpErrorsLimited: 190 });
});

test("the kernel's word about our own device is believed of every node with that address, whatever the port", async () => {
  const fixture = await onTellingNode();
  const large = packet().ip(A1.v4, ROUND_ROBIN.b.v4).udp({ sport: 1, dport: 2 }).payload(1400);
  fixture.pathError(EMSGSIZE, { ...NODE.b.underlay, port: 0 }, { mtu: 1400, isLocal: true });
  expect(fixture.egress(large.frame()).counts).toMatchObject({ "egressDrop.tooBig": 1 });
});
