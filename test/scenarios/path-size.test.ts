// How large a datagram fits the path to a node: what probes of sizes prove, and what ICMP errors only suggest.
import { describe, expect, test } from "vitest";
import * as KernelLayout from "../../assembly/shared/layout/kernel.ts";
import * as ProbeLayout from "../../assembly/shared/layout/probe.ts";
import { readNodeMetrics } from "../../src/memory/measurements.ts";
import type { EngineFixture, FixtureOptions } from "../support/engine-fixture.ts";
import { AnsweringNodes } from "../support/nodes.ts";
import { udpPacket } from "../support/packet-builder.ts";
import { A1, B1, NODE, onNodeA, ROUND_ROBIN } from "../support/world.ts";

const EMSGSIZE = 90;
const TUN_MTU = 1450;

async function open(memory: FixtureOptions["memory"] = {}) {
  const fixture = await onNodeA({ memory: { tunMtu: TUN_MTU, ...memory } });
  const nodes = new AnsweringNodes(fixture, [NODE.b, NODE.c, NODE.d]);
  return { fixture, nodes };
}

function mtu(fixture: EngineFixture, node = NODE.b): number | null {
  return readNodeMetrics(fixture.shared, fixture.tables.nodeIndex(node.id) as number, fixture.nowMs).mtu;
}

function sendLarge(fixture: EngineFixture, length = TUN_MTU) {
  return fixture.egress(udpPacket(A1.v4, ROUND_ROBIN.b.v4, 9, 9, length - 28).frame());
}

describe("without a word from anybody", () => {
  test("a path that takes everything is known by one large probe", async () => {
    const { fixture, nodes } = await open();
    nodes.run(2000);
    expect(mtu(fixture)).toBeNull();
    expect(nodes.sent.filter(({ node, length }) => node === NODE.b.id && length > ProbeLayout.SIZE)).toMatchObject([
      { length: TUN_MTU },
    ]);
  });

  test.each([504, 505, 600, 1000, 1232, 1252, 1272, 1280, 1372, 1448, 1449])(
    "a black hole above %i bytes is found, exactly",
    async (size) => {
      const { fixture, nodes } = await open();
      nodes.path(NODE.b).size = size;
      nodes.run(12_000);
      expect(mtu(fixture)).toBe(size);
      expect(mtu(fixture, NODE.c)).toBeNull();
    },
  );

  test("also over a path with round trips of two seconds", async () => {
    const { fixture, nodes } = await open();
    Object.assign(nodes.path(NODE.b), { rttMs: 2000, size: 1400 });
    nodes.run(200_000);
    expect(mtu(fixture)).toBe(1400);
  });

  test("while it is searched, and for what must be carried in any case, datagrams may go in fragments", async () => {
    const { fixture, nodes } = await open();
    nodes.path(NODE.b).size = 1200;
    nodes.run(1000); // the largest size was lost, and the search goes on
    expect(mtu(fixture)).toBeNull();
    expect(sendLarge(fixture).messages.map(({ fragments }) => fragments)).toEqual([KernelLayout.FRAGMENTS_ALLOWED]);
    nodes.run(12_000);
    expect(mtu(fixture)).toBe(1200);
    expect(sendLarge(fixture, 1280).messages.map(({ fragments }) => fragments)).toEqual([
      KernelLayout.FRAGMENTS_ALLOWED,
    ]);
    expect(sendLarge(fixture, 1200).messages.map(({ fragments }) => fragments)).toEqual([
      KernelLayout.FRAGMENTS_IF_REFUSED,
    ]);
    expect(sendLarge(fixture, 1281).counts).toMatchObject({ "egressDrop.tooBig": 1 });
  });

  test("a path that becomes narrower is noticed when large datagrams use it, within seconds", async () => {
    const { fixture, nodes } = await open();
    nodes.run(5000);
    nodes.path(NODE.b).size = 1300;
    nodes.run(30_000);
    expect(mtu(fixture)).toBeNull(); // nobody uses it
    sendLarge(fixture);
    nodes.run(15_000);
    expect(mtu(fixture)).toBe(1300);
  });

  test("one that becomes wider within a minute", async () => {
    const { fixture, nodes } = await open();
    nodes.path(NODE.b).size = 1300;
    nodes.run(15_000);
    nodes.path(NODE.b).size = 1400;
    nodes.run(65_000);
    expect(mtu(fixture)).toBe(1400);
    nodes.path(NODE.b).size = 1500;
    nodes.run(65_000);
    expect(mtu(fixture)).toBeNull();
  });

  test("a silent node tells nothing of sizes", async () => {
    const { fixture, nodes } = await open();
    nodes.run(5000);
    sendLarge(fixture);
    nodes.path(NODE.b).rttMs = undefined;
    nodes.run(20_000);
    nodes.path(NODE.b).rttMs = 1;
    nodes.run(20_000);
    expect(mtu(fixture)).toBeNull();
  });

  test("probes of sizes are never cut, and filled up with zeros", async () => {
    const { fixture, nodes } = await open();
    nodes.run(50);
    const sized = fixture.probe().messages.filter(({ datagrams }) => (datagrams[0]?.length ?? 0) > ProbeLayout.SIZE);
    expect(sized.map(({ fragments }) => fragments)).toEqual([
      KernelLayout.FRAGMENTS_NEVER,
      KernelLayout.FRAGMENTS_NEVER,
      KernelLayout.FRAGMENTS_NEVER,
    ]);
    for (const { datagrams } of sized) expect(datagrams[0]?.subarray(16).some((byte) => byte !== 0)).toBe(false);
  });
});

describe("an ICMP error", () => {
  test("that is true: the size is known soon and exactly", async () => {
    const { fixture, nodes } = await open();
    nodes.run(5000);
    nodes.path(NODE.b).size = 1372;
    fixture.pathError(EMSGSIZE, NODE.b.underlay, { mtu: 1400 });
    nodes.run(50);
    expect(sendLarge(fixture).messages.map(({ fragments }) => fragments)).toEqual([KernelLayout.FRAGMENTS_ALLOWED]);
    nodes.run(2000);
    expect(mtu(fixture)).toBe(1372);
  });

  test("that is forged, all the time: never believed, and costs a few probes", async () => {
    const { fixture, nodes } = await open();
    nodes.run(5000);
    const before = nodes.sent.length;
    for (let i = 0; i < 300; i++) {
      fixture.pathError(EMSGSIZE, NODE.b.underlay, { mtu: 576 });
      nodes.run(200);
      expect(mtu(fixture)).toBeNull();
      const { counts } = sendLarge(fixture);
      expect(counts).toMatchObject({ egressPackets: 1 });
    }
    expect(fixture.countsSinceStart().pathErrorsDisproved).toBeGreaterThan(3);
    expect(nodes.sent.slice(before).filter(({ length }) => length > ProbeLayout.SIZE).length).toBeLessThan(60);
  });

  test.each([
    ["less than what is believed anywhere", { mtu: 551 }],
    ["a packet that would have fit", { mtu: 1000, quote: udp(900), isOurs: false }],
  ])("of %s: nothing happens", async (_what, about) => {
    const { fixture, nodes } = await open();
    nodes.run(5000);
    nodes.path(NODE.b).size = 400;
    fixture.pathError(EMSGSIZE, NODE.b.underlay, about);
    nodes.run(1000);
    expect(mtu(fixture)).toBeNull();
  });

  test("about a packet that was too long is taken", async () => {
    const { fixture, nodes } = await open();
    nodes.run(5000);
    nodes.path(NODE.b).size = 1372;
    fixture.pathError(EMSGSIZE, NODE.b.underlay, { mtu: 1400, quote: udp(1373) });
    nodes.run(2000);
    expect(mtu(fixture)).toBe(1372);
  });

  test("about a node that answers no probes: larger datagrams may go in fragments, for ten minutes", async () => {
    const { fixture, nodes } = await open();
    nodes.path(NODE.b).rttMs = undefined;
    nodes.run(1000);
    fixture.pathError(EMSGSIZE, NODE.b.underlay, { mtu: 1400 });
    nodes.run(50);
    expect(sendLarge(fixture).messages.map(({ fragments }) => fragments)).toEqual([KernelLayout.FRAGMENTS_ALLOWED]);
    expect(sendLarge(fixture, 1372).messages.map(({ fragments }) => fragments)).toEqual([
      KernelLayout.FRAGMENTS_IF_REFUSED,
    ]);
    nodes.run(600_500);
    expect(sendLarge(fixture).messages.map(({ fragments }) => fragments)).toEqual([KernelLayout.FRAGMENTS_IF_REFUSED]);
  });
});

test("what our own device takes is known at once, and asked again within a minute", async () => {
  const { fixture, nodes } = await open();
  nodes.run(50);
  const tellLocal = (): void => fixture.pathError(EMSGSIZE, NODE.b.underlay, { mtu: 1400, isLocal: true });
  tellLocal();
  expect(mtu(fixture)).toBe(1372);
  nodes.path(NODE.b).size = 1372;
  nodes.run(5000);
  expect(mtu(fixture)).toBe(1372);
  nodes.path(NODE.b).size = 1500;
  nodes.run(65_000);
  expect(mtu(fixture)).toBeNull();
});

function udp(length: number): Uint8Array {
  return udpPacket(A1.instanceV4, B1.v4, 1, 2, length - 28).bytes();
}
