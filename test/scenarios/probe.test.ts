// Nodes measure the way to each other with datagrams that are no IP packets.
import { expect, test } from "vitest";
import * as HeaderLayout from "../../assembly/shared/layout/header.ts";
import { Region } from "../../assembly/shared/layout/header.ts";
import * as NodeMetricsLayout from "../../assembly/shared/layout/node-metrics.ts";
import * as ProbeLayout from "../../assembly/shared/layout/probe.ts";
import { readNodeMetrics } from "../../src/memory/measurements.ts";
import type { Node } from "../../src/model/tables.ts";
import type { EngineFixture, FixtureOptions } from "../support/engine-fixture.ts";
import { given } from "../support/given.ts";
import { AnsweringNodes } from "../support/nodes.ts";
import { corrupt, packet, truncate } from "../support/packet-builder.ts";
import { A1, B1, FROM, NODE, onNodeA, TO } from "../support/world.ts";

function request(): Uint8Array {
  const bytes = new Uint8Array(ProbeLayout.SIZE);
  bytes.set([
    0x53,
    0x57,
    ProbeLayout.VERSION,
    ProbeLayout.REQUEST,
    9,
    8,
    7,
    6,
    1,
    2,
    3,
    4,
    5,
    6,
    7,
    8,
    11,
    12,
    13,
    14,
    15,
    16,
    17,
    18,
  ]);
  return bytes;
}

function rttUs(fixture: EngineFixture, node: string): number {
  const index = fixture.tables.nodeIndex(node) as number;
  return fixture.io.view.getUint32(
    fixture.shared.at(Region.nodeMetrics) + index * NodeMetricsLayout.SIZE + NodeMetricsLayout.RTT_US,
    true,
  );
}

/** An engine on node-a, and nodes that answer its probes. */
async function withNodes(
  answering: readonly Node[] = [NODE.b, NODE.c, NODE.d],
  memory: FixtureOptions["memory"] = {},
): Promise<{ readonly fixture: EngineFixture; readonly nodes: AnsweringNodes }> {
  const fixture = await onNodeA({ memory });
  return { fixture, nodes: new AnsweringNodes(fixture, answering) };
}

function healthOf(fixture: EngineFixture, node: string): string {
  return readNodeMetrics(fixture.shared, fixture.tables.nodeIndex(node) as number, fixture.nowMs).health;
}

/** Lets a node answer what it was sent. */
function replyTo(probe: Uint8Array | undefined): Uint8Array {
  return corrupt(given(probe), ProbeLayout.TYPE_AT, ProbeLayout.REPLY);
}

function probeOf(fixture: EngineFixture, endpoint: string): Uint8Array {
  const sent = fixture.probe().datagrams.find((one) => one.endpoint === endpoint);
  return given(sent).bytes;
}

test("a node's request is answered to where it came from, and says what this node is able to", async () => {
  const fixture = await onNodeA();
  const senders = [FROM.b, FROM.d, FROM.stranger];
  const answer = corrupt(replyTo(request()), ProbeLayout.ABILITIES_AT, ProbeLayout.TAKES_ECN, 0, 0, 0, 0, 0, 0, 0);
  const result = fixture.ingress(...senders.map((sender) => ({ ...sender, bytes: request() })));
  expect(result.datagrams).toEqual([
    { endpoint: `${FROM.b.address}:${FROM.b.port}`, bytes: answer },
    { endpoint: `${FROM.d.address}:${FROM.d.port}`, bytes: answer },
  ]);
  expect(result.counts).toEqual({ probesAnswered: 2, "ingressDrop.unknownNode": 1 });
});

test("every other node is probed once an interval, the interval after its last probe", async () => {
  const fixture = await onNodeA({ memory: { probeIntervalMs: 400 } });
  const first = fixture.probe();
  expect(first.datagrams.map((one) => one.endpoint).sort()).toEqual([TO.b, TO.c, TO.d].sort());
  expect(first.counts).toEqual({ probesSent: 3 });
  for (const { bytes } of first.datagrams) {
    expect([...bytes.subarray(0, 4)]).toEqual([0x53, 0x57, ProbeLayout.VERSION, ProbeLayout.REQUEST]);
    expect(bytes.length).toBe(ProbeLayout.SIZE);
  }
  fixture.attend(399);
  expect(fixture.countsSinceStart()).toEqual({ probesSent: 3 });
  fixture.attend(2);
  expect(fixture.countsSinceStart()).toEqual({ probesSent: 6 });
});

test("an interval of 0 sends no probes", async () => {
  const fixture = await onNodeA({ memory: { probeIntervalMs: 0 } });
  expect(fixture.probe().datagrams).toEqual([]);
});

test("a reply gives the round-trip time: the lowest of the last four", async () => {
  const { fixture, nodes } = await withNodes();
  const seen: number[] = [];
  for (const rttMs of [5, 3, 4, 6, 7, 8, 9]) {
    nodes.path(NODE.b).rttMs = rttMs;
    nodes.run(400);
    seen.push(rttUs(fixture, "node-b") / 1000);
  }
  expect(seen).toEqual([5, 3, 3, 3, 3, 4, 6]);
});

test("a changed round-trip time moves the metrics epoch, an unchanged one does not", async () => {
  const { fixture, nodes } = await withNodes([NODE.b]);
  nodes.run(400);
  const epoch = (): number => fixture.io.view.getUint32(HeaderLayout.AT + HeaderLayout.METRICS_EPOCH, true);
  const epochs = [epoch()];
  for (const rttMs of [5, 1, 1]) {
    nodes.path(NODE.b).rttMs = rttMs;
    nodes.run(1600);
    epochs.push(epoch());
  }
  expect(epochs.map((one) => one - (epochs[0] as number))).toEqual([0, 1, 2, 2]);
});

test("a reply is taken once, from the endpoint that was asked, with the nonce that it was sent", async () => {
  const fixture = await onNodeA();
  const reply = replyTo(probeOf(fixture, TO.b));
  const refused = { "ingressDrop.badProbe": 1 };
  const from = (sender: { address: string; port: number }, bytes: Uint8Array) => fixture.ingress({ ...sender, bytes });
  expect(from(NODE.c.underlay, reply).counts).toEqual(refused);
  expect(from(NODE.b.underlay, corrupt(reply, ProbeLayout.NONCE_AT, 0, 0)).counts).toEqual(refused);
  expect(
    from(NODE.b.underlay, corrupt(reply, ProbeLayout.NODE_AT, 0xff ^ (reply[ProbeLayout.NODE_AT] as number))).counts,
  ).toEqual(refused);
  expect(rttUs(fixture, "node-b")).toBe(0);
  fixture.advance(1);
  expect(from({ ...NODE.b.underlay, port: 9 }, reply).counts).toEqual({ "ingressDrop.unknownNode": 1 });
  expect(from(NODE.b.underlay, reply).counts).toEqual({ probeReplies: 1 });
  expect(from(NODE.b.underlay, reply).counts).toEqual(refused);
});

test("no time is sent, and none that comes back is believed", async () => {
  const fixture = await onNodeA();
  const probe = probeOf(fixture, TO.b);
  expect([...probe.subarray(ProbeLayout.ABILITIES_AT)]).toEqual([0, 0, 0, 0, 0, 0, 0, 0]);
  const reply = replyTo(probe);
  new DataView(reply.buffer, reply.byteOffset).setFloat64(ProbeLayout.ABILITIES_AT, fixture.nowUs + 49_999, true);
  fixture.advance(50);
  expect(fixture.ingress({ ...NODE.b.underlay, bytes: reply }).counts).toEqual({ probeReplies: 1 });
  expect(rttUs(fixture, "node-b")).toBe(50_000);
});

test("probes tell nothing of the node's index, and no two are alike, with or without the seed of the flow table", async () => {
  const words = new Set<string>();
  let sent = 0;
  const probes = async (): Promise<void> => {
    const fixture = await onNodeA({ memory: { hashSeed: 1 } });
    for (let round = 0; round < 20; round++) {
      for (const { bytes } of fixture.probe().datagrams) {
        sent++;
        words.add(Buffer.from(bytes.subarray(ProbeLayout.NODE_AT, ProbeLayout.NONCE_AT)).toString("hex"));
        words.add(Buffer.from(bytes.subarray(ProbeLayout.NONCE_AT, ProbeLayout.ABILITIES_AT)).toString("hex"));
      }
      fixture.attend(350);
      fixture.advance(50);
    }
  };
  await probes();
  await probes();
  expect(sent).toBeGreaterThan(50);
  expect(words.size).toBe(2 * sent);
});

test.each([
  ["the default interval", 400],
  ["the shortest interval", 10],
  ["a long one", 5000],
])("a path slower than the interval is measured, and its node is never lost: %s", async (_what, probeIntervalMs) => {
  const { fixture, nodes } = await withNodes([NODE.b], { probeIntervalMs });
  for (const rttMs of [2000, 5000]) {
    nodes.path(NODE.b).rttMs = rttMs;
    nodes.run(60_000);
    expect(rttUs(fixture, "node-b")).toBe(rttMs * 1000);
    expect(healthOf(fixture, "node-b")).toBe("reachable");
  }
  const sent = nodes.sent.filter(({ node }) => node === NODE.b.id).length;
  expect(sent).toBeLessThan((fixture.countsSinceStart().probeReplies ?? 0) + 40);
});

test("an answer that waited while we did not look is no round trip", async () => {
  const { fixture, nodes } = await withNodes([NODE.b]);
  nodes.path(NODE.b).rttMs = 20;
  nodes.run(2000);
  for (let pause = 0; pause < 8; pause++) {
    nodes.look();
    fixture.advance(60_000);
    nodes.run(500);
  }
  expect(rttUs(fixture, "node-b")).toBe(20_000);
});

test.each([
  ["an unknown version", corrupt(request(), ProbeLayout.VERSION_AT, 2)],
  ["an unknown type", corrupt(request(), ProbeLayout.TYPE_AT, 3)],
  ["a reply to nothing", corrupt(request(), ProbeLayout.TYPE_AT, ProbeLayout.REPLY)],
  ["one byte too few", truncate(request(), ProbeLayout.SIZE - 1)],
  ["the magic alone", truncate(request(), 2)],
])("badProbe: %s", async (_what, bytes) => {
  const fixture = await onNodeA();
  expect(fixture.ingress({ ...FROM.b, bytes }).counts).toEqual({ "ingressDrop.badProbe": 1 });
});

test("the magic's first byte alone is no probe and no IP", async () => {
  const fixture = await onNodeA();
  expect(fixture.ingress({ ...FROM.b, bytes: Uint8Array.of(0x53) }).counts).toEqual({ "ingressDrop.notIp": 1 });
});

test("a request is answered to a node over IPv6 too, and packets around it are delivered", async () => {
  const fixture = await onNodeA();
  const good = packet().ip(B1.instanceV4, A1.v4).udp({ sport: 1, dport: 2 }).payload("x").bytes();
  const result = fixture.ingress(
    { ...FROM.b, bytes: good },
    { ...FROM.c, bytes: request() },
    { ...FROM.b, bytes: good },
  );
  expect(result.datagrams.map((one) => one.endpoint)).toEqual([`[${FROM.c.address}]:${FROM.c.port}`]);
  expect(result.tunWrites.length).toBe(2);
});

test("workloads cannot probe: on the way out it is no IP packet", async () => {
  const fixture = await onNodeA();
  const frame = new Uint8Array(10 + ProbeLayout.SIZE);
  frame.set(request(), 10);
  expect(fixture.egress(frame).counts).toEqual({ "egressDrop.notIp": 1 });
});
