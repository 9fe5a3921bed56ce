// DSCP and ECN of packets and of the datagrams that carry them: what goes out, and what a mark of the underlay becomes.
import { describe, expect, test } from "vitest";
import * as HeaderLayout from "../../assembly/shared/layout/header.ts";
import type { EngineFixture, FixtureOptions } from "../support/engine-fixture.ts";
import { fragmentsOf } from "../support/fragments.ts";
import { AnsweringNodes } from "../support/nodes.ts";
import { corrupt, FLAG, packet, virtioFrame } from "../support/packet-builder.ts";
import { expectPacket, trafficClassIs, validChecksums, viewPacket } from "../support/packet-checks.ts";
import { packetIn, writtenPacket } from "../support/packets-of.ts";
import { A1, B1, B2, C1, FROM, NODE, onNodeA, ROUND_ROBIN } from "../support/world.ts";

const [NOT_ECT, ECT_1, ECT_0, CE] = [0, 1, 2, 3] as const;
const EF = 46 << 2; // expedited forwarding (RFC 3246)

/** Inside, outside, and the result (RFC 6040 figure 4); undefined = it is dropped. */
const DECAPSULATION = [
  [NOT_ECT, NOT_ECT, NOT_ECT],
  [NOT_ECT, ECT_0, NOT_ECT],
  [NOT_ECT, ECT_1, NOT_ECT],
  [NOT_ECT, CE, undefined],
  [ECT_0, NOT_ECT, ECT_0],
  [ECT_0, ECT_0, ECT_0],
  [ECT_0, ECT_1, ECT_1],
  [ECT_0, CE, CE],
  [ECT_1, NOT_ECT, ECT_1],
  [ECT_1, ECT_0, ECT_1],
  [ECT_1, ECT_1, ECT_1],
  [ECT_1, CE, CE],
  [CE, NOT_ECT, CE],
  [CE, ECT_0, CE],
  [CE, ECT_1, CE],
  [CE, CE, CE],
] as const;

const FAMILIES = [
  { name: "IPv4", client: A1.v4, called: ROUND_ROBIN.b.v4, answering: [B1.instanceV4, B2.instanceV4] },
  { name: "IPv6", client: A1.v6, called: ROUND_ROBIN.b.v6, answering: [B1.instanceV6, B2.instanceV6] },
] as const;
/** The underlay's families: node-b has IPv4, node-c IPv6. */
const UNDERLAYS = [
  { name: "IPv4", from: FROM.b, node: 0 },
  { name: "IPv6", from: FROM.c, node: 1 },
] as const;

function ip(src: string, dst: string, trafficClass: number) {
  return src.includes(":") ? packet().ipv6({ src, dst, trafficClass }) : packet().ipv4({ src, dst, tos: trafficClass });
}

/** An engine whose other nodes have answered a probe: newer ones, or older ones that know nothing of ECN. */
async function withNodes(takeEcn: boolean, memory: FixtureOptions["memory"] = {}): Promise<EngineFixture> {
  const fixture = await onNodeA({ memory });
  const nodes = new AnsweringNodes(fixture, [NODE.b, NODE.c, NODE.d]);
  nodes.takeEcn = takeEcn;
  nodes.run(100);
  return fixture;
}

function classesOf({ messages }: ReturnType<EngineFixture["egress"]>): number[] {
  return messages.map(({ trafficClass }) => trafficClass);
}

describe.each(FAMILIES)("what goes out: $name", ({ client, called, answering: [instance] }) => {
  const frame = (trafficClass: number, payload = 40): Uint8Array =>
    ip(client, called, trafficClass).udp({ sport: 40000, dport: 53 }).payload(payload).frame();
  const ALL = Array.from({ length: 256 }, (_, trafficClass) => trafficClass);

  test.each(UNDERLAYS)("over $name the outer header has the packet's DSCP and ECN", async ({ node }) => {
    const fixture = await withNodes(true);
    fixture.policy = () => node;
    for (const one of ALL) expect(classesOf(fixture.egress(frame(one)))).toEqual([one]);
  });

  test("on the way to an older node, the DSCP alone", async () => {
    const fixture = await withNodes(false);
    for (const one of ALL) expect(classesOf(fixture.egress(frame(one)))).toEqual([one & ~3]);
  });

  test("and to one that has answered no probe", async () => {
    const fixture = await onNodeA();
    expect(classesOf(fixture.egress(frame(EF | ECT_0)))).toEqual([EF]);
  });

  test("a node that is replaced by an older version gets no ECN any more", async () => {
    const fixture = await withNodes(true);
    expect(classesOf(fixture.egress(frame(ECT_0)))).toEqual([ECT_0]);
    new AnsweringNodes(fixture, [NODE.b]).run(500);
    expect(classesOf(fixture.egress(frame(ECT_0)))).toEqual([NOT_ECT]);
  });

  test("nor one that was lost, until it answers again", async () => {
    const fixture = await withNodes(true);
    const nodes = new AnsweringNodes(fixture, [NODE.b]);
    nodes.takeEcn = true;
    const toInstance = ip(client, instance, ECT_0).udp({ sport: 40000, dport: 53 }).payload(40).frame();
    const classes = classesOf(fixture.egress(toInstance));
    nodes.path(NODE.b).rttMs = undefined;
    nodes.run(10_000);
    classes.push(...classesOf(fixture.egress(toInstance)));
    nodes.path(NODE.b).rttMs = 1;
    nodes.run(2000);
    classes.push(...classesOf(fixture.egress(toInstance)));
    expect(classes).toEqual([ECT_0, NOT_ECT, ECT_0]);
  });

  test.each([
    ["clear", { dscp: "copy", ecn: "clear" }, true, EF],
    ["copy", { dscp: "copy", ecn: "copy" }, false, EF | CE],
    ["auto with a fixed DSCP", { dscp: 10, ecn: "auto" }, true, (10 << 2) | CE],
    ["clear with DSCP 0", { dscp: 0, ecn: "clear" }, true, 0],
  ] as const)("as configured: %s", async (_name, outerClass, takesEcn, expected) => {
    const fixture = await withNodes(takesEcn, { outerClass });
    expect(classesOf(fixture.egress(frame(EF | CE)))).toEqual([expected]);
  });

  test("packets share a message only if their outer headers are alike", async () => {
    const fixture = await withNodes(true);
    const { messages } = fixture.egress(...[ECT_0, ECT_0, CE, CE, NOT_ECT, NOT_ECT, EF].map((one) => frame(one)));
    expect(messages.map(({ trafficClass, datagrams }) => [trafficClass, datagrams.length])).toEqual([
      [ECT_0, 2],
      [CE, 2],
      [NOT_ECT, 2],
      [EF, 1],
    ]);
    const older = await withNodes(false);
    expect(older.egress(...[ECT_0, CE, NOT_ECT].map((one) => frame(one))).messages.length).toBe(1);
  });

  test("a message that is sent again in single datagrams keeps it", async () => {
    const fixture = await withNodes(true);
    fixture.egress(frame(EF | ECT_1), frame(EF | ECT_1), frame(EF | ECT_1));
    const again = fixture.io.retryMessages(fixture.engine.udpRejected(0, 22));
    expect(again.map(({ trafficClass, datagrams }) => [trafficClass, datagrams.length])).toEqual([
      [EF | ECT_1, 1],
      [EF | ECT_1, 1],
      [EF | ECT_1, 1],
    ]);
  });

  test("every fragment has it", async () => {
    const fixture = await withNodes(true);
    const whole = ip(client, called, EF | ECT_0)
      .udp({ sport: 1, dport: 2 })
      .payload(1200)
      .bytes();
    const fragments = fragmentsOf(whole, 400, 77).map((bytes) => virtioFrame(bytes, {}));
    expect(new Set(classesOf(fixture.egress(...fragments)))).toEqual(new Set([EF | ECT_0]));
  });

  test("every segment of a super-packet has it, and CWR stays on the first", async () => {
    const fixture = await withNodes(true);
    const flags = FLAG.ACK | FLAG.CWR;
    const gsoType = client.includes(":") ? 4 : 1;
    const { messages } = fixture.egress(
      ip(client, called, CE).tcp({ sport: 1, dport: 80, flags }).payload(3000).offloadFrame({ gsoType, gsoSize: 1000 }),
    );
    expect(messages.map(({ trafficClass }) => trafficClass)).toEqual([CE]);
    const segments = messages[0]?.datagrams.map(viewPacket);
    expect(segments?.map((one) => [one.trafficClass, one.flags])).toEqual([
      [CE, flags],
      [CE, FLAG.ACK],
      [CE, FLAG.ACK],
    ]);
  });
});

test("a packet that becomes IPv4 on its way takes its traffic class along", async () => {
  const fixture = await withNodes(true);
  const { messages } = fixture.egress(
    ip(A1.v6, ROUND_ROBIN.d.v6, EF | ECT_0)
      .udp({ sport: 1, dport: 2 })
      .payload(10)
      .frame(),
  );
  expect(messages.map(({ trafficClass }) => trafficClass)).toEqual([EF | ECT_0]);
  expectPacket(messages[0]?.datagrams[0], trafficClassIs(EF | ECT_0), validChecksums());
});

test("within a node nothing changes", async () => {
  const fixture = await withNodes(true);
  const { tunWrites } = fixture.egress(
    ip(A1.v4, ROUND_ROBIN.c.v4, EF | CE)
      .udp({ sport: 1, dport: 2 })
      .payload(10)
      .frame(),
  );
  expect(viewPacket(writtenPacket({ tunWrites }))).toMatchObject({ dst: C1.v4, trafficClass: EF | CE });
});

test("probes have DSCP 0, or the fixed one", async () => {
  for (const [dscp, expected] of [
    ["copy", 0],
    [46, EF],
  ] as const) {
    const fixture = await onNodeA({ memory: { outerClass: { dscp, ecn: "copy" } } });
    expect(classesOf(fixture.probe())).toEqual([expected, expected, expected]);
  }
});

describe.each(FAMILIES)("what comes in: $name", ({ client, answering }) => {
  const received = (node: number, trafficClass: number): Uint8Array =>
    ip(answering[node] as string, client, trafficClass)
      .tcp({ sport: 80, dport: 40000 })
      .payload(30)
      .bytes();

  describe.each(UNDERLAYS)("over $name", ({ from, node }) => {
    test.each(DECAPSULATION)("%i inside and %i outside: %s", async (inside, outside, expected) => {
      const fixture = await onNodeA();
      const message = { ...from, bytes: received(node, EF | inside), trafficClass: 0x88 | outside };
      const { tunWrites, counts } = fixture.ingress(message);
      if (expected === undefined) {
        expect(counts).toEqual({ "ingressDrop.congestionExperienced": 1 });
        return;
      }
      expectPacket(writtenPacket({ tunWrites }), trafficClassIs(EF | expected), validChecksums());
      const isMarked = expected === CE && inside !== CE;
      expect(counts.ecnMarked).toBe(isMarked ? 1 : undefined);
    });

    test("a mark counts for every datagram of a message", async () => {
      const fixture = await onNodeA();
      const parts = [ECT_0, NOT_ECT, ECT_1].map((inside) => received(node, inside));
      const segmentSize = parts[0]?.length;
      const result = fixture.ingress({ ...from, bytes: Buffer.concat(parts), segmentSize, trafficClass: CE });
      expect(result.counts).toMatchObject({ ecnMarked: 2, "ingressDrop.congestionExperienced": 1 });
      const classes = result.tunWrites.map((one) => viewPacket(packetIn(one)).trafficClass);
      expect(classes).toEqual([CE, CE]);
    });
  });
});

test("a header checksum that was wrong stays wrong", async () => {
  const fixture = await onNodeA();
  const bytes = ip(B1.instanceV4, A1.v4, ECT_0).udp({ sport: 1, dport: 2 }).payload(8).bytes();
  const [, second = 0] = packetIn(bytes);
  const { tunWrites } = fixture.ingress({ ...FROM.b, bytes: corrupt(bytes, 11, second ^ 1), trafficClass: CE });
  const delivered = writtenPacket({ tunWrites });
  expectPacket(delivered, trafficClassIs(CE));
  expect(() => expectPacket(delivered, validChecksums())).toThrow();
});

test("fragments are marked one by one, also those that wait for the first", async () => {
  const fixture = await onNodeA();
  const whole = ip(B1.instanceV4, A1.v4, ECT_0).udp({ sport: 1, dport: 2 }).payload(1200).bytes();
  const [first, ...later] = fragmentsOf(whole, 400, 5) as [Uint8Array, ...Uint8Array[]];
  fixture.ingress(...later.map((bytes) => ({ ...FROM.b, bytes, trafficClass: CE })));
  const { tunWrites } = fixture.ingress({ ...FROM.b, bytes: first, trafficClass: ECT_0 });
  const classes = tunWrites.map((one) => viewPacket(packetIn(one)).trafficClass);
  expect(classes).toEqual([ECT_0, ...later.map(() => CE)]);
});

test("segments that were marked on their way are not joined with others", async () => {
  const fixture = await onNodeA({ memory: { offloads: HeaderLayout.OFFLOAD_UDP_GSO | HeaderLayout.OFFLOAD_TUN_TCP } });
  const messages = [ECT_0, ECT_0, CE, CE, ECT_0].map((outside, i) => ({
    ...FROM.b,
    bytes: packet()
      .ipv4({ src: B1.instanceV4, dst: A1.v4, id: i, tos: ECT_0 })
      .tcp({ sport: 80, dport: 40000, seq: 100 * i, flags: FLAG.ACK })
      .payload(100)
      .bytes(),
    trafficClass: outside,
  }));
  const { frames, counts } = fixture.ingress(...messages);
  expect(frames.map((one) => viewPacket(packetIn(one)).trafficClass)).toEqual([ECT_0, CE, ECT_0]);
  expect(counts).toMatchObject({ ecnMarked: 2, ingressPackets: 5 });
});

test("a probe is answered whatever its outer header says", async () => {
  const fixture = await onNodeA();
  const bytes = new Uint8Array(24);
  bytes.set([0x53, 0x57, 1, 1]);
  expect(fixture.ingress({ ...FROM.b, bytes, trafficClass: CE }).counts).toEqual({ probesAnswered: 1 });
});
