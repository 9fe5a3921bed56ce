// A client of one address family and an instance that has only the other: what crosses the tunnel, and what comes back.
import { describe, expect, test } from "vitest";
import * as HeaderLayout from "../../assembly/shared/layout/header.ts";
import { Region } from "../../assembly/shared/layout/header.ts";
import * as NodeMetricsLayout from "../../assembly/shared/layout/node-metrics.ts";
import * as Virtio from "../../assembly/shared/virtio.ts";
import { PolicyHost } from "../../src/dataplane/worker/policies.ts";
import type { EngineFixture, FixtureOptions } from "../support/engine-fixture.ts";
import { fragmentsOf } from "../support/fragments.ts";
import { given, nth } from "../support/given.ts";
import { FLAG, packet, tcpPacket, udpPacket, virtioFrame } from "../support/packet-builder.ts";
import { expectPacket, from, hopLimitIs, payloadIs, to, validChecksums, viewPacket } from "../support/packet-checks.ts";
import { packetIn, sentPacket, writtenPacket } from "../support/packets-of.ts";
import { compilePolicy } from "../support/policies.ts";
import { A1, FROM, instance, NODE, onNodeA, service, THIS_NODE, TO } from "../support/world.ts";

/** The instance of "only": on another node, or on this one. */
const REMOTE = { v4: "10.18.9.1", v6: "fc00::18:9:1", instanceV4: "10.30.9.1", instanceV6: "fdff::901" };
const ONLY = { v4: "10.30.8.1", v6: "fdff:2000::801" };

const DIRECTIONS = [
  {
    name: "an IPv6 client calls an instance with IPv4 only",
    client: A1.v6,
    called: ONLY.v6,
    source: A1.instanceV4,
    target: REMOTE.v4,
    answering: REMOTE.instanceV4,
    answered: A1.v4,
    only: "v4",
    wireHeader: 20,
    ownHeader: 40,
  },
  {
    name: "an IPv4 client calls an instance with IPv6 only",
    client: A1.v4,
    called: ONLY.v4,
    source: A1.instanceV6,
    target: REMOTE.v6,
    answering: REMOTE.instanceV6,
    answered: A1.v6,
    only: "v6",
    wireHeader: 40,
    ownHeader: 20,
  },
] as const;

/** One instance of each family. */
const SIX = { ...instance(1, "node-b", REMOTE), namespaceAddresses: [REMOTE.v6] };
const FOUR = {
  ...instance(2, "node-c", A1),
  namespaceAddresses: ["10.18.9.2"],
  instanceAddresses: ["10.30.9.2", "fdff::902"],
};

function withOnly(only: "v4" | "v6", node: string, options: Partial<FixtureOptions> = {}): Promise<EngineFixture> {
  const namespaceAddresses = [only === "v4" ? REMOTE.v4 : REMOTE.v6];
  const one = { ...instance(1, node, REMOTE), namespaceAddresses };
  return onNodeA({
    tables: {
      nodes: [NODE.b],
      services: [service("a", [instance(1, THIS_NODE, A1)]), service("only", [one], ONLY.v4, ONLY.v6)],
    },
    ...options,
  });
}

describe.each(DIRECTIONS)("$name", (way) => {
  const { client, called, source, target, answering, answered, only, wireHeader, ownHeader } = way;

  test("TCP and UDP leave in the instance's family, and the answers come back in the client's", async () => {
    const fixture = await withOnly(only, "node-b");
    for (const build of [
      [
        packet().ip(client, called).tcp({ sport: 4000, dport: 80 }),
        packet().ip(answering, answered).tcp({ sport: 80, dport: 4000 }),
      ],
      [
        packet().ip(client, called).udp({ sport: 4000, dport: 53 }),
        packet().ip(answering, answered).udp({ sport: 53, dport: 4000 }),
      ],
    ] as const) {
      const [question, answer] = build;
      const sent = fixture.egress(question.payload("question").frame());
      expect(sent.datagrams.map((one) => one.endpoint)).toEqual([TO.b]);
      expectPacket(sentPacket(sent), from(source, 4000), to(target), validChecksums(), hopLimitIs(64));
      expectPacket(sentPacket(sent), payloadIs(Buffer.from("question")));
      const received = fixture.ingress({ ...FROM.b, bytes: answer.payload("an odd answer").bytes() });
      expect(received.tunWrites.length).toBe(1);
      const written = writtenPacket(received);
      expectPacket(written, from(called), to(client, 4000), validChecksums(), payloadIs(Buffer.from("an odd answer")));
    }
    expect(fixture.countsSinceStart()).toMatchObject({ flowsOpened: 2, egressPackets: 2, ingressPackets: 2 });
  });

  test("an unfinished checksum leaves finished", async () => {
    const fixture = await withOnly(only, "node-b");
    const result = fixture.egress(
      packet().ip(client, called).tcp({ sport: 1, dport: 80 }).payload("odd").offloadFrame(),
    );
    expectPacket(sentPacket(result), from(source), to(target), validChecksums());
  });

  test("a super-packet leaves as segments of the other family", async () => {
    const fixture = await withOnly(only, "node-b");
    const gsoType = client.includes(":") ? Virtio.GSO_TCPV6 : Virtio.GSO_TCPV4;
    const big = tcpPacket(client, called, { sport: 1, dport: 80, flags: FLAG.ACK | FLAG.PSH }, 5000);
    const { datagrams, counts } = fixture.egress(big.offloadFrame({ gsoType, gsoSize: 1400 }));
    expect(datagrams.map(({ bytes }) => bytes.length - wireHeader - 20)).toEqual([1400, 1400, 1400, 800]);
    for (const { bytes } of datagrams) expectPacket(bytes, from(source), to(target), validChecksums());
    const sent = Buffer.concat(datagrams.map(({ bytes }) => viewPacket(bytes).payload));
    expect(sent.equals(Buffer.from(big.bytes().subarray(ownHeader + 20)))).toBe(true);
    expect(counts.egressPackets).toBe(4);
  });

  test("a run of answers becomes one super-packet of the client's family", async () => {
    const fixture = await withOnly(only, "node-b", {
      memory: { offloads: HeaderLayout.OFFLOAD_UDP_GSO | HeaderLayout.OFFLOAD_TUN_TCP },
    });
    fixture.egress(packet().ip(client, called).tcp({ sport: 4000, dport: 80, flags: FLAG.SYN }).frame());
    const segments = Array.from({ length: 4 }, (_, i) =>
      tcpPacket(answering, answered, { sport: 80, dport: 4000, seq: 1000 + 1400 * i }, 1400).bytes(),
    );
    const bytes = Buffer.concat(segments);
    const result = fixture.ingress({ ...FROM.b, bytes, segmentSize: segments[0]?.length });
    expect(result.frames.length).toBe(1);
    expect(result.tunWrites.length).toBe(4);
    for (const write of result.tunWrites) {
      expectPacket(packetIn(write), from(called), to(client, 4000), validChecksums());
    }
  });

  test("an echo is asked and answered", async () => {
    const fixture = await withOnly(only, "node-b");
    const [request, requestOnWire, replyOnWire, reply] = client.includes(":") ? [128, 8, 0, 129] : [8, 128, 129, 0];
    const words = [77, 1] as const;
    const [sent] = fixture.egress(
      packet().ip(client, called).icmp({ type: request, words }).payload("ping").frame(),
    ).datagrams;
    const expected = packet().ip(source, target).icmp({ type: requestOnWire, words }).payload("ping").bytes();
    expect(sent?.bytes.subarray(wireHeader)).toEqual(expected.subarray(wireHeader));
    const answer = packet().ip(answering, answered).icmp({ type: replyOnWire, words }).payload("ping").bytes();
    const [write] = fixture.ingress({ ...FROM.b, bytes: answer }).tunWrites;
    const pong = packet().ip(called, client).icmp({ type: reply, words }).payload("ping").bytes();
    expect(write?.subarray(10 + ownHeader)).toEqual(pong.subarray(ownHeader));
    expectPacket(packetIn(write), from(called), to(client));
  });

  test("fragments cross, the first one first or last", async () => {
    const fixture = await withOnly(only, "node-b");
    const whole = packet().ip(client, called).udp({ sport: 9, dport: 53 }).payload(3000).bytes();
    const wire = packet().ip(source, target).udp({ sport: 9, dport: 53 }).payload(3000).bytes();
    for (const [id, order] of [
      [1, [0, 1, 2]],
      [2, [2, 1, 0]],
    ] as const) {
      const fragments = fragmentsOf(whole, 1024, id);
      const expected = fragmentsOf(wire, 1024, id);
      const sent = fixture.egress(...order.map((i) => virtioFrame(nth(fragments, i), {}))).datagrams;
      const content = (bytes: Uint8Array | undefined) => Buffer.from(bytes ?? []).toString("hex");
      expect(sent.map(({ bytes }) => content(bytes)).sort()).toEqual(expected.map(content).sort());
    }
  });

  test("an error about its packet comes back as an error about what the client sent", async () => {
    const fixture = await withOnly(only, "node-b");
    const question = packet().ip(client, called).udp({ sport: 9, dport: 53 }).payload("question");
    const [sent] = fixture.egress(question.frame()).datagrams;
    const isWireV4 = wireHeader === 20;
    // Port unreachable, as the instance's node makes it of what arrived there.
    const error = packet()
      .ip(answering, answered)
      .icmp(isWireV4 ? { type: 3, code: 3 } : { type: 1, code: 4 })
      .payload(quoteFor(given(sent).bytes, answered, answering));
    const [write] = fixture.ingress({ ...FROM.b, bytes: error.bytes() }).tunWrites;
    const expected = packet()
      .ip(called, client)
      .icmp(isWireV4 ? { type: 1, code: 4 } : { type: 3, code: 3 })
      .payload(question.bytes());
    const actual = packetIn(write);
    expectPacket(actual, from(called), to(client));
    // The quoted IPv4 header's identification and flags are the translator's own.
    const own = actual.subarray(ownHeader + 8);
    const wanted = expected.bytes().subarray(ownHeader + 8);
    expect(own.subarray(ownHeader)).toEqual(wanted.subarray(ownHeader));
    expect([actual[ownHeader], actual[ownHeader + 1]]).toEqual(isWireV4 ? [1, 4] : [3, 3]);
    expect(own.subarray(ownHeader === 20 ? 12 : 8, ownHeader)).toEqual(
      wanted.subarray(ownHeader === 20 ? 12 : 8, ownHeader),
    );
    const again = packet()
      .ip(called, client)
      .icmp(isWireV4 ? { type: 1, code: 4 } : { type: 3, code: 3 })
      .payload(own)
      .bytes();
    expect(actual.subarray(ownHeader)).toEqual(again.subarray(ownHeader));
  });

  test("both on one node: the packet goes back into the TUN in the other family, unsegmented", async () => {
    const fixture = await withOnly(only, THIS_NODE);
    const gsoType = client.includes(":") ? Virtio.GSO_TCPV6 : Virtio.GSO_TCPV4;
    const big = packet().ip(client, called).tcp({ sport: 1, dport: 80 }).payload(5000);
    const { frames, counts } = fixture.egress(big.offloadFrame({ gsoType, gsoSize: 1380 }));
    expect(frames.length).toBe(1);
    expect(frames[0]?.[Virtio.GSO_TYPE]).toBe(client.includes(":") ? Virtio.GSO_TCPV4 : Virtio.GSO_TCPV6);
    expect(counts.localPackets).toBe(4);
    expectPacket(packetIn(frames[0]), from(source), to(target), payloadIs(big.bytes().subarray(ownHeader + 20)));
    // The instance answers the client's instance address, in its own family.
    const answer = packet().ip(target, source).tcp({ sport: 80, dport: 1 }).payload("answer");
    const back = fixture.egress(answer.frame());
    expectPacket(writtenPacket(back), from(called), to(client, 1), validChecksums());
  });
});

/** What the instance's node has when it sends an error: the packet as the instance got it, with its ends turned back. */
function quoteFor(sent: Uint8Array, source: string, destination: string): Uint8Array {
  const { sport, dport, payload } = viewPacket(sent);
  return packet().ip(source, destination).udp({ sport, dport }).payload(payload).bytes();
}

test("a client without an instance address in the instance's family is told that there is no way", async () => {
  const half = { ...instance(1, THIS_NODE, A1), namespaceAddresses: [A1.v6], instanceAddresses: [A1.instanceV6] };
  const one = { ...instance(1, "node-b", REMOTE), namespaceAddresses: [REMOTE.v4] };
  const fixture = await onNodeA({
    tables: { nodes: [NODE.b], services: [service("a", [half]), service("only", [one], ONLY.v4, ONLY.v6)] },
  });
  const result = fixture.egress(packet().ip(A1.v6, ONLY.v6).tcp({ sport: 1, dport: 80 }).frame());
  expect(result.counts).toMatchObject({ "egressDrop.noAddressOfFamily": 1 });
});

test("a client that has only IPv6 gets its answers in IPv6: the instance's node crosses back", async () => {
  const half = { ...instance(1, THIS_NODE, A1), namespaceAddresses: [A1.v6] };
  const one = { ...instance(1, "node-b", REMOTE), namespaceAddresses: [REMOTE.v4] };
  const fixture = await onNodeA({
    tables: { nodes: [NODE.b], services: [service("a", [half]), service("only", [one], ONLY.v4, ONLY.v6)] },
  });
  fixture.egress(packet().ip(A1.v6, ONLY.v6).tcp({ sport: 1, dport: 80 }).frame());
  const answer = packet().ip(REMOTE.instanceV6, A1.v6).tcp({ sport: 80, dport: 1 }).payload("answer").bytes();
  const [write] = fixture.ingress({ ...FROM.b, bytes: answer }).tunWrites;
  expectPacket(packetIn(write), from(ONLY.v6), to(A1.v6, 1), validChecksums());
});

describe.each([
  { family: "IPv4", client: A1.v4, called: ONLY.v4, own: "10.18.9.2", other: "fc00::18:9:1" },
  { family: "IPv6", client: A1.v6, called: ONLY.v6, own: "fc00::18:9:1", other: "10.18.9.2" },
])("a call over $family, with one instance of each family", ({ client, called, own, other }) => {
  /** Where the packets of 20 new flows go; instance 1 has IPv6 only and runs on node-b, 2 has IPv4 only. */
  async function targets(policy: string, prepare: (fixture: EngineFixture) => void = () => undefined) {
    const fixture = await onNodeA({
      tables: {
        nodes: [NODE.b, NODE.c],
        services: [service("a", [instance(1, THIS_NODE, A1)]), service("only", [SIX, FOUR], ONLY.v4, ONLY.v6)],
      },
    });
    const modules = [{ slot: 0, name: policy, module: await compilePolicy(policy) }];
    const host = new PolicyHost(fixture.shared.memory, modules, 0, { clockMs: () => fixture.nowMs });
    fixture.policy = ({ flowHash, clientHash }, serviceAt) => host.choose(serviceAt, flowHash, clientHash);
    prepare(fixture);
    const frames = Array.from({ length: 20 }, (_, i) => udpPacket(client, called, 1000 + i, 53).frame());
    return new Set(
      frames.flatMap((frame) => fixture.egress(frame).datagrams.map(({ bytes }) => viewPacket(bytes).dst)),
    );
  }

  test("closest takes the client's own while both are as near", async () => {
    expect(await targets("closest")).toEqual(new Set([own]));
  });

  test("closest takes the other where it is nearer", async () => {
    const nearer = other.includes(":") ? "node-b" : "node-c";
    const measure = (fixture: EngineFixture): void => {
      for (const node of ["node-b", "node-c"]) {
        const index = fixture.tables.nodeIndex(node) ?? 0;
        const at = fixture.shared.at(Region.nodeMetrics) + index * NodeMetricsLayout.SIZE + NodeMetricsLayout.RTT_US;
        fixture.shared.u32[at >>> 2] = node === nearer ? 300 : 9000;
      }
    };
    expect(await targets("closest", measure)).toEqual(new Set([other]));
  });

  test("round robin and least connections use both, each flow where the policy says", async () => {
    for (const policy of ["round-robin", "least-connections"]) {
      expect(await targets(policy), policy).toEqual(new Set([own, other]));
    }
  });
});

test("without a policy's answer an instance of the client's family comes before others", async () => {
  const six = { ...instance(1, "node-b", REMOTE), namespaceAddresses: [REMOTE.v6] };
  const four = { ...instance(2, "node-b", A1), namespaceAddresses: ["10.18.9.2"], instanceAddresses: ["10.30.9.2"] };
  const fixture = await onNodeA({
    policy: () => -1,
    tables: {
      nodes: [NODE.b],
      services: [service("a", [instance(1, THIS_NODE, A1)]), service("only", [six, four], ONLY.v4, ONLY.v6)],
    },
  });
  for (let sport = 1; sport < 20; sport++) {
    const [sent] = fixture.egress(packet().ip(A1.v4, ONLY.v4).udp({ sport, dport: 53 }).frame()).datagrams;
    expectPacket(sent?.bytes, to("10.18.9.2"));
  }
});
