// Which nodes can be reached: by the answers to our own probes, and by nothing that others say.
import { describe, expect, test } from "vitest";
import * as HeaderLayout from "../../assembly/shared/layout/header.ts";
import * as ProbeLayout from "../../assembly/shared/layout/probe.ts";
import { readNodeMetrics } from "../../src/memory/measurements.ts";
import type { Node } from "../../src/model/tables.ts";
import type { EngineFixture, FixtureOptions } from "../support/engine-fixture.ts";
import { given } from "../support/given.ts";
import { AnsweringNodes, LOOK_MS } from "../support/nodes.ts";
import { corrupt, FLAG, packet, tcpPacket } from "../support/packet-builder.ts";
import { expectPacket, flagsAre, from, to } from "../support/packet-checks.ts";
import { writtenPacket } from "../support/packets-of.ts";
import { endpointText } from "../support/reference/tables.ts";
import { A1, B1, NODE, onNodeA, ROUND_ROBIN, TO } from "../support/world.ts";

const ECONNREFUSED = 111;
const EHOSTUNREACH = 113;

async function open(
  options: Partial<FixtureOptions> = {},
): Promise<{ readonly fixture: EngineFixture; readonly nodes: AnsweringNodes }> {
  const fixture = await onNodeA(options);
  return { fixture, nodes: new AnsweringNodes(fixture, [NODE.b, NODE.c, NODE.d]) };
}

function health(fixture: EngineFixture, node: Node): string {
  return readNodeMetrics(fixture.shared, fixture.tables.nodeIndex(node.id) as number, fixture.nowMs).health;
}

/** Milliseconds until the node is in that state. */
function until(fixture: EngineFixture, nodes: AnsweringNodes, node: Node, state: string): number {
  const sinceMs = fixture.nowMs;
  while (health(fixture, node) !== state) {
    nodes.run(50);
    if (fixture.nowMs - sinceMs > 120_000) throw new Error(`${node.id} did not become ${state}`);
  }
  return fixture.nowMs - sinceMs;
}

let sport = 1024;
function call(fixture: EngineFixture) {
  sport += 1;
  return fixture.egress(packet().ip(A1.v4, ROUND_ROBIN.b.v4).tcp({ sport, dport: 80, flags: FLAG.SYN }).frame());
}

describe("loss and return", () => {
  test("a node is reachable with its first answer, lost when it is silent for three seconds, back with the next", async () => {
    const { fixture, nodes } = await open();
    expect(health(fixture, NODE.b)).toBe("unknown");
    nodes.run(100);
    expect(health(fixture, NODE.b)).toBe("reachable");
    nodes.path(NODE.b).rttMs = undefined;
    const lostMs = until(fixture, nodes, NODE.b, "lost");
    expect(lostMs).toBeGreaterThan(2900);
    expect(lostMs).toBeLessThan(3600);
    expect(health(fixture, NODE.c)).toBe("reachable");
    nodes.run(30_000);
    nodes.path(NODE.b).rttMs = 1;
    expect(until(fixture, nodes, NODE.b, "reachable")).toBeLessThan(1200);
  });

  test("an answer in the very moment in which its node is lost brings it back", async () => {
    const { fixture, nodes } = await open();
    nodes.run(100);
    const endpoint = endpointText(NODE.b.underlay.address, NODE.b.underlay.port);
    let probe: Uint8Array | undefined;
    for (; health(fixture, NODE.b) !== "lost"; fixture.advance(health(fixture, NODE.b) === "lost" ? 0 : LOOK_MS)) {
      probe = fixture.probe().datagrams.findLast((sent) => sent.endpoint === endpoint)?.bytes ?? probe;
    }
    const answer = corrupt(given(probe).slice(0, ProbeLayout.SIZE), ProbeLayout.TYPE_AT, ProbeLayout.REPLY);
    fixture.ingress({ ...NODE.b.underlay, bytes: answer });
    expect(health(fixture, NODE.b)).toBe("lost");
    fixture.probe();
    expect(health(fixture, NODE.b)).toBe("reachable");
  });

  test("one that never answered may be no sapwood: nothing is said of it", async () => {
    const { fixture, nodes } = await open();
    nodes.path(NODE.b).rttMs = undefined;
    nodes.run(60_000);
    fixture.pathError(ECONNREFUSED, NODE.b.underlay);
    nodes.run(1000);
    expect(health(fixture, NODE.b)).toBe("unknown");
    expect(call(fixture).datagrams.map(({ endpoint }) => endpoint)).toEqual([TO.b]);
  });

  test.each([400, 60_000])(
    "with probes every %i ms a node that died is lost soon after a probe was not answered",
    async (ms) => {
      const { fixture, nodes } = await open({ memory: { probeIntervalMs: ms } });
      nodes.run(1000);
      nodes.path(NODE.b).rttMs = undefined;
      const sentBefore = nodes.sent.length;
      until(fixture, nodes, NODE.b, "lost");
      const first = nodes.sent.slice(sentBefore).find(({ node }) => node === NODE.b.id);
      expect(fixture.nowMs - (first?.atMs ?? 0)).toBeLessThan(3600);
    },
  );

  test("one answer in ten is enough", async () => {
    const { fixture, nodes } = await open();
    nodes.run(1000);
    for (let i = 0; i < 20; i++) {
      nodes.path(NODE.b).rttMs = undefined;
      nodes.run(2500);
      nodes.path(NODE.b).rttMs = 1;
      nodes.run(500);
      expect(health(fixture, NODE.b)).toBe("reachable");
    }
  });

  test("another endpoint is another node, for which nothing is measured", async () => {
    const { fixture, nodes } = await open();
    nodes.run(1000);
    nodes.path(NODE.b).rttMs = undefined;
    until(fixture, nodes, NODE.b, "lost");
    const { world } = await import("../support/world.ts");
    const tables = world();
    const moved = { ...NODE.b, underlay: { ...NODE.b.underlay, port: 50_999 } };
    await fixture.apply({ ...tables, nodes: [moved, NODE.c, NODE.d] });
    const metrics = readNodeMetrics(fixture.shared, fixture.tables.nodeIndex("node-b") as number, fixture.nowMs);
    expect(metrics).toMatchObject({ health: "unknown", rttUs: null, lastReplyAgeMs: null, mtu: null });
    await fixture.apply({ ...tables, nodes: [{ ...moved, location: { latitude: 1, longitude: 2 } }, NODE.c, NODE.d] });
    expect(health(fixture, NODE.c)).toBe("reachable");
  });
});

describe("what others say", () => {
  test.each([
    ["port unreachable", ECONNREFUSED],
    ["host unreachable", EHOSTUNREACH],
  ])("%s, forged all the time: a node that answers probes is never lost", async (_what, errno) => {
    const { fixture, nodes } = await open();
    nodes.path(NODE.b).rttMs = 30;
    nodes.run(1000);
    for (let i = 0; i < 300; i++) {
      fixture.pathError(errno, NODE.b.underlay);
      nodes.run(200);
      expect(health(fixture, NODE.b)).toBe("reachable");
      expect(call(fixture).counts.policyChoices).toBe(1);
    }
    const probes = nodes.sent.filter(({ node }) => node === NODE.b.id).length;
    expect(probes).toBeLessThan(2 * 300 + 200);
  });

  test("a true one makes its node lost in less than half a second", async () => {
    const { fixture, nodes } = await open();
    nodes.run(1000);
    nodes.path(NODE.b).rttMs = undefined;
    fixture.pathError(ECONNREFUSED, NODE.b.underlay);
    expect(until(fixture, nodes, NODE.b, "lost")).toBeLessThanOrEqual(500);
  });

  test("it is about the endpoint that it names, address and port", async () => {
    const { fixture, nodes } = await open();
    nodes.run(1000);
    const before = nodes.sent.length;
    fixture.pathError(ECONNREFUSED, { ...NODE.b.underlay, port: 50_104 });
    expect(fixture.countsSinceStart().pathErrorsForeign).toBe(1);
    nodes.path(NODE.b).rttMs = undefined;
    nodes.run(1000);
    expect(health(fixture, NODE.b)).toBe("reachable");
    expect(nodes.sent.length - before).toBeLessThan(12);
  });

  test.each([
    ["bytes that are neither a packet nor a probe", Uint8Array.of(0, 1, 2, 3, 4, 5, 6, 7), false],
    ["a probe that was never sent", Uint8Array.of(0x53, 0x57, 1, 1, 9, 9, 9, 9, 8, 8, 8, 8, 8, 8, 8, 8), false],
    ["an IPv4 packet of nobody here", packet().ip("192.0.2.99", B1.v4).udp({ sport: 1, dport: 2 }).bytes(), false],
    ["an IPv6 packet of nobody here", packet().ip("2001:db8::99", B1.v6).udp({ sport: 1, dport: 2 }).bytes(), false],
    ["an IPv4 packet of an instance", packet().ip(A1.instanceV4, B1.v4).udp({ sport: 1, dport: 2 }).bytes(), true],
    ["an IPv6 packet of an instance", packet().ip(A1.instanceV6, B1.v6).udp({ sport: 1, dport: 2 }).bytes(), true],
    ["nothing but the UDP header", new Uint8Array(), true],
  ])("an error that quotes %s", async (_what, quote, isOurs) => {
    const { fixture, nodes } = await open();
    nodes.run(1000);
    fixture.pathError(ECONNREFUSED, NODE.b.underlay, { quote, isOurs });
    expect(fixture.countsSinceStart()).toMatchObject({ [isOurs ? "pathErrors" : "pathErrorsForeign"]: 1 });
  });

  test("an error that quotes a probe counts until the probe is answered", async () => {
    const { fixture } = await open();
    const [probe] = fixture.probe().datagrams.filter(({ endpoint }) => endpoint === TO.b);
    fixture.pathError(ECONNREFUSED, NODE.b.underlay, { quote: given(probe).bytes });
    expect(fixture.countsSinceStart().pathErrors).toBe(1);
  });
});

describe("a pause of our own proves nothing about others", () => {
  test.each([5000, 60_000, 3_600_000])("%i ms in which we did not look", async (pauseMs) => {
    const { fixture, nodes } = await open();
    nodes.run(1000);
    for (let i = 0; i < 5; i++) {
      nodes.look();
      fixture.advance(pauseMs); // the answers wait, or were lost
      for (const node of [NODE.b, NODE.c, NODE.d]) nodes.path(node).rttMs = undefined;
      nodes.run(1000);
      for (const node of [NODE.b, NODE.c, NODE.d]) nodes.path(node).rttMs = 1;
      expect(health(fixture, NODE.b)).toBe("reachable");
      expect(call(fixture).counts["egressDrop.nodeUnreachable"]).toBeUndefined();
      nodes.run(1000);
    }
  });
});

describe.each([
  ["2^31 ms", 2 ** 31],
  ["2^32 ms", 2 ** 32],
])("the clock at %s", (_what, wrapMs) => {
  test("loss, return and ages are as ever", async () => {
    const { fixture, nodes } = await open();
    fixture.nowUs = (wrapMs - 5000) * 1000;
    nodes.run(4000);
    expect(health(fixture, NODE.b)).toBe("reachable");
    nodes.path(NODE.b).rttMs = undefined;
    expect(until(fixture, nodes, NODE.b, "lost")).toBeLessThan(4000);
    fixture.nowUs += 30 * 86_400_000 * 1000;
    nodes.run(1000);
    expect(health(fixture, NODE.b)).toBe("lost");
    const index = fixture.tables.nodeIndex("node-b") as number;
    const { healthAgeMs, lastReplyAgeMs } = readNodeMetrics(fixture.shared, index, fixture.nowUs / 1000);
    expect(healthAgeMs).toBeGreaterThan(30 * 86_400_000);
    expect(lastReplyAgeMs).toBeGreaterThan(healthAgeMs as number);
    nodes.path(NODE.b).rttMs = 1;
    expect(until(fixture, nodes, NODE.b, "reachable")).toBeLessThan(1200);
  });

  test("the attentive clock wraps without a loss", async () => {
    const { fixture, nodes } = await open({ withoutTwin: true });
    nodes.run(1000);
    fixture.io.view.setUint32(HeaderLayout.AT + HeaderLayout.ATTENTIVE_MS, (wrapMs - 3000) % 2 ** 32, true);
    const epoch = (): number => fixture.io.view.getUint32(HeaderLayout.AT + HeaderLayout.HEALTH_EPOCH, true);
    nodes.run(500);
    const before = epoch();
    nodes.run(20_000);
    expect(epoch()).toBe(before);
    expect(health(fixture, NODE.b)).toBe("reachable");
  });
});

describe("new flows", () => {
  test("never go to a lost node while another one can be reached, whatever the policy says", async () => {
    const { fixture, nodes } = await open({ policy: () => 0 });
    nodes.run(1000);
    nodes.path(NODE.b).rttMs = undefined;
    until(fixture, nodes, NODE.b, "lost");
    for (let i = 0; i < 50; i++) {
      const { datagrams, counts } = call(fixture);
      expect([TO.c, TO.d]).toContain(datagrams[0]?.endpoint);
      expect(counts).toMatchObject({ flowsOpened: 1, policyOverruled: 1 });
    }
    nodes.path(NODE.b).rttMs = 1;
    until(fixture, nodes, NODE.b, "reachable");
    expect(call(fixture).datagrams[0]?.endpoint).toBe(TO.b);
  });

  test("nor when the policy has no answer", async () => {
    const { fixture, nodes } = await open({ policy: () => -1 });
    nodes.run(1000);
    nodes.path(NODE.c).rttMs = undefined;
    until(fixture, nodes, NODE.c, "lost");
    const seen = new Set(Array.from({ length: 60 }, () => call(fixture).datagrams[0]?.endpoint));
    expect([...seen].sort()).toEqual([TO.b, TO.d].sort());
  });

  test("are refused at once when no node can be reached", async () => {
    const { fixture, nodes } = await open({ memory: { answers: HeaderLayout.ANSWER_WITH_ICMP } });
    nodes.run(1000);
    for (const node of [NODE.b, NODE.c, NODE.d]) nodes.path(node).rttMs = undefined;
    for (const node of [NODE.b, NODE.c, NODE.d]) until(fixture, nodes, node, "lost");
    expect(call(fixture).counts).toEqual({ "egressDrop.nodeUnreachable": 1, icmpErrorsSent: 1 });
    const only = packet().ip(A1.v4, ROUND_ROBIN.d.v4).udp({ sport: 4, dport: 5 }).frame();
    expect(fixture.egress(only).counts).toEqual({ "egressDrop.nodeUnreachable": 1, icmpErrorsSent: 1 });
  });
});

describe("established flows to a node that is lost", () => {
  const ends = packet().ip(A1.v4, ROUND_ROBIN.b.v4);
  const data = ends.tcp({ sport: 4000, dport: 80, flags: FLAG.ACK, seq: 5, ack: 777 }).payload("data");

  async function established(answers: number) {
    const { fixture, nodes } = await open({ memory: { answers: answers | HeaderLayout.ANSWER_WITH_ICMP } });
    nodes.run(1000);
    fixture.egress(ends.tcp({ sport: 4000, dport: 80, flags: FLAG.SYN }).frame());
    const answer = tcpPacket(B1.instanceV4, A1.v4, { sport: 80, dport: 4000, flags: FLAG.SYN | FLAG.ACK });
    fixture.ingress({ ...NODE.b.underlay, bytes: answer.bytes() });
    nodes.path(NODE.b).rttMs = undefined;
    until(fixture, nodes, NODE.b, "lost");
    return { fixture, nodes };
  }

  test("go on when it returns; their clients are told by ICMP", async () => {
    const { fixture, nodes } = await established(HeaderLayout.ANSWER_LOST);
    const { counts } = fixture.egress(data.frame());
    expect(counts).toEqual({ "egressDrop.nodeUnreachable": 1, icmpErrorsSent: 1 });
    nodes.path(NODE.b).rttMs = 1;
    until(fixture, nodes, NODE.b, "reachable");
    expect(fixture.egress(data.frame()).datagrams.map(({ endpoint }) => endpoint)).toEqual([TO.b]);
  });

  test("are not given up by their servers while they begin: nothing is said of a SYN-ACK", async () => {
    const { fixture, nodes } = await established(HeaderLayout.ANSWER_LOST);
    const back = packet().ip(A1.v4, B1.instanceV4);
    const answer = back.tcp({ sport: 80, dport: 4000, flags: FLAG.SYN | FLAG.ACK }).frame();
    expect(fixture.egress(answer).counts).toEqual({ "egressDrop.nodeUnreachable": 1 });
    const later = back.tcp({ sport: 80, dport: 4000, flags: FLAG.ACK }).frame();
    expect(fixture.egress(later).counts).toEqual({ "egressDrop.nodeUnreachable": 1, icmpErrorsSent: 1 });
    nodes.path(NODE.b).rttMs = 1;
    until(fixture, nodes, NODE.b, "reachable");
    expect(fixture.egress(answer).datagrams.map(({ endpoint }) => endpoint)).toEqual([TO.b]);
  });

  test("are ended by a reset", async () => {
    const { fixture } = await established(HeaderLayout.ANSWER_LOST | HeaderLayout.ANSWER_LOST_WITH_RESET);
    const { counts, tunWrites } = fixture.egress(data.frame());
    expect(counts).toEqual({ "egressDrop.nodeUnreachable": 1, resetsSent: 1 });
    expectPacket(writtenPacket({ tunWrites }), from(ROUND_ROBIN.b.v4, 80), to(A1.v4, 4000), flagsAre(FLAG.RST));
    expect(fixture.egress(ends.tcp({ sport: 4000, dport: 80, flags: FLAG.SYN }).frame()).counts).toMatchObject({
      flowsOpened: 1,
    });
  });

  test("are sent on", async () => {
    const { fixture } = await established(0);
    expect(fixture.egress(data.frame()).datagrams.map(({ endpoint }) => endpoint)).toEqual([TO.b]);
  });

  test("one that was never answered goes to another instance", async () => {
    const { fixture, nodes } = await open({ memory: { answers: HeaderLayout.ANSWER_LOST } });
    nodes.run(1000);
    const syn = ends.tcp({ sport: 4001, dport: 80, flags: FLAG.SYN }).frame();
    expect(fixture.egress(syn).datagrams[0]?.endpoint).toBe(TO.b);
    nodes.path(NODE.b).rttMs = undefined;
    until(fixture, nodes, NODE.b, "lost");
    const { datagrams, counts } = fixture.egress(syn);
    expect([TO.c, TO.d]).toContain(datagrams[0]?.endpoint);
    expect(counts).toMatchObject({ flowsRechosen: 1, flowsOpened: 1 });
  });
});

describe("a node that has nothing to do", () => {
  test("wakes to send probes, for their answers, and no more", async () => {
    const { nodes } = await open({ withoutTwin: true });
    nodes.run(10_000); // the sizes of the paths are known
    nodes.wakeUps = 0;
    nodes.run(10_000);
    expect(nodes.wakeUps).toBe(2 * 25);
  });
});
