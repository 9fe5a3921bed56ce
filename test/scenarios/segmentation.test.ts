// Random super-packets leave as the slow segmenter cuts them (the fixture's twin), in messages that the kernel takes;
// what one node cuts another node joins again.
import { describe, expect, test } from "vitest";
import * as HeaderLayout from "../../assembly/shared/layout/header.ts";
import { UDP_PAYLOAD_MAX, UDP_SEGMENTS_MAX } from "../../assembly/shared/sockets.ts";
import * as Virtio from "../../assembly/shared/virtio.ts";
import { EngineFixture } from "../support/engine-fixture.ts";
import type { Result } from "../support/engine-result.ts";
import { FLAG, packet, pad, udpPacket } from "../support/packet-builder.ts";
import { expectAtMost, expectSame } from "../support/quick-expect.ts";
import { Random, testSeed } from "../support/random.ts";
import { receive } from "../support/receive.ts";
import { splitFrame } from "../support/reference/splitter.ts";
import { A1, B1, NODE, onNodeA, RANGES, ROUND_ROBIN, THIS_NODE, world } from "../support/world.ts";

const SEEDS = 12;
const FRAMES = 40;
const SEGMENTS_MAX = 2047;
const NODE_A = { id: THIS_NODE, underlay: { address: "192.0.2.1", port: 50103 } };
const FROM_A = NODE_A.underlay;
const ALL = HeaderLayout.OFFLOAD_UDP_GSO | HeaderLayout.OFFLOAD_TUN_TCP | HeaderLayout.OFFLOAD_TUN_UDP;

/** A frame of any shape that a TUN hands over, from the workload to a service of several nodes. */
function randomFrame(random: Random): Uint8Array {
  const isV4 = random.chance(0.5);
  const isTcp = random.chance(0.6);
  const src = isV4 ? A1.v4 : A1.v6;
  const dst = random.pick([isV4 ? ROUND_ROBIN.b.v4 : ROUND_ROBIN.b.v6, isV4 ? ROUND_ROBIN.d.v4 : ROUND_ROBIN.b.v6]);
  const hop = random.between(1, 255);
  const tos = random.pick([0, 2, 0x28]);
  const ip = isV4
    ? packet().ipv4({ src, dst, id: random.u32() & 0xffff, fragment: random.pick([0, 0x4000]), ttl: hop, tos })
    : packet().ipv6({ src, dst, flowLabel: random.below(0x100000), hopLimit: hop, trafficClass: tos });
  const ports = { sport: random.between(1000, 1005), dport: 80 };
  const flags = FLAG.ACK | random.pick([0, FLAG.PSH, FLAG.FIN, FLAG.CWR, FLAG.CWR | FLAG.PSH | FLAG.FIN, FLAG.ECE]);
  const options = random.pick([[], [1, 1, 1, 0], [1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8], Array<number>(40).fill(1)]);
  const transport = isTcp
    ? ip.tcp({ ...ports, seq: random.u32(), ack: random.u32(), flags, options, window: random.below(0x10000) })
    : ip.udp(ports);
  const largest = 65_535 - (isV4 ? 20 : 0) - (isTcp ? 20 + options.length : 8);
  const gsoSize = random.pick([1, 2, 3, 17, 100, 535, 536, 1000, 1399, 1400, 9001, 60_000, random.between(1, 60_000)]);
  const wanted = random.pick([
    0,
    1,
    gsoSize - 1,
    gsoSize,
    gsoSize + 1,
    3 * gsoSize,
    largest,
    random.between(1, largest),
  ]);
  const length = Math.min(wanted, largest, SEGMENTS_MAX * gsoSize);
  const built = transport.payload(random.bytes(length));
  if (random.chance(0.2) && length < 60_000) return random.chance(0.5) ? built.frame() : built.offloadFrame();
  const tcpType = (isV4 ? Virtio.GSO_TCPV4 : Virtio.GSO_TCPV6) | ((flags & FLAG.CWR) !== 0 ? Virtio.GSO_ECN : 0);
  const frame = built.offloadFrame({ gsoType: isTcp ? tcpType : Virtio.GSO_UDP_L4, gsoSize });
  return random.chance(0.1) ? pad(frame, random.between(1, 40)) : frame;
}

/** What sendmmsg takes; that the datagrams are the right ones is the twin's business. */
function expectSendable({ messages }: Result, segmentsMax: number): void {
  for (const { datagrams, packetCount } of messages) {
    const sizes = datagrams.map((bytes) => bytes.length);
    const total = sizes.reduce((sum, size) => sum + size, 0);
    expectSame(packetCount, datagrams.length, "packets of a message");
    expectAtMost(datagrams.length, segmentsMax, "datagrams of a message");
    expectAtMost(total, UDP_PAYLOAD_MAX, "bytes of a message");
    expectAtMost(new Set(sizes.slice(0, -1)).size, 1, "sizes of all datagrams but the last");
    expectAtMost(sizes.at(-1) ?? 0, sizes[0] ?? 0, "bytes of the last datagram");
  }
}

describe.each([
  { offloads: HeaderLayout.OFFLOAD_UDP_GSO, mode: "with UDP_SEGMENT", segmentsMax: UDP_SEGMENTS_MAX },
  { offloads: 0, mode: "one datagram a message", segmentsMax: 1 },
])("random super-packets, $mode", ({ offloads, segmentsMax }) => {
  const first = testSeed(1);
  test.each(Array.from({ length: SEEDS }, (_, i) => first + i))("seed %i", async (seed) => {
    const random = new Random(seed);
    // Flows of one service on three nodes, and of another on one of them.
    const fixture = await onNodeA({ memory: { offloads }, policy: () => random.below(3) });
    const result = fixture.egress(...Array.from({ length: FRAMES }, () => randomFrame(random)));
    expectSendable(result, segmentsMax);
    expect(new Set(result.datagrams.map((one) => one.endpoint)).size).toBeGreaterThan(1);
  });
});

test("small packets of many flows share messages by node and size, each in its order", async () => {
  const fixture = await onNodeA({ policy: ({ flowHash }) => flowHash % 3 });
  const random = new Random(testSeed(7));
  const frames = Array.from({ length: 400 }, (_, i) =>
    udpPacket(A1.v4, ROUND_ROBIN.b.v4, 1000 + (i % 97), 53, random.bytes(random.pick([64, 64, 64, 20]))).frame(),
  );
  const result = fixture.egress(...frames);
  expectSendable(result, UDP_SEGMENTS_MAX);
  const sent = result.messages.reduce((sum, one) => sum + one.datagrams.length, 0);
  expect(sent).toBe(frames.length);
  expect(result.messages.length).toBeLessThan(sent);
});

describe.each([
  { family: "IPv4", src: A1.v4, dst: ROUND_ROBIN.b.v4, tcp: Virtio.GSO_TCPV4 },
  { family: "IPv6", src: A1.v6, dst: ROUND_ROBIN.b.v6, tcp: Virtio.GSO_TCPV6 },
])("$family: the most segments of a frame", ({ src, dst, tcp }) => {
  const ports = { sport: 40_000, dport: 80 };
  test.each([
    { name: "TCP, single bytes", gsoType: tcp, gsoSize: 1 },
    { name: "TCP, tiny", gsoType: tcp, gsoSize: 31 },
    { name: "UDP, single bytes", gsoType: Virtio.GSO_UDP_L4, gsoSize: 1 },
    { name: "UDP, tiny", gsoType: Virtio.GSO_UDP_L4, gsoSize: 31 },
  ])("$name: 2047 leave, 2048 are dropped", async ({ gsoType, gsoSize }) => {
    for (const offloads of [HeaderLayout.OFFLOAD_UDP_GSO, 0]) {
      const fixture = await onNodeA({ memory: { offloads } });
      const ip = packet().ip(src, dst);
      const build = gsoType === Virtio.GSO_UDP_L4 ? ip.udp(ports) : ip.tcp(ports);
      const most = fixture.egress(build.payload(SEGMENTS_MAX * gsoSize).offloadFrame({ gsoType, gsoSize }));
      expect(most.datagrams.length).toBe(SEGMENTS_MAX);
      const more = fixture.egress(build.payload(SEGMENTS_MAX * gsoSize + 1).offloadFrame({ gsoType, gsoSize }));
      expect(more.counts).toEqual({ "egressDrop.badOffload": 1 });
    }
  });
});

describe("from node to node", () => {
  /** The node of the service's instance, with the same tables. */
  function onNodeB(): Promise<EngineFixture> {
    return EngineFixture.create({
      nodeId: "node-b",
      ranges: RANGES,
      tables: { ...world(), nodes: [NODE_A, NODE.c, NODE.d] },
      memory: { offloads: ALL },
      withoutTwin: true,
    });
  }

  const first = testSeed(1);
  test.each(Array.from({ length: SEEDS }, (_, i) => first + i))(
    "seed %i: what is cut on one node is joined on the other",
    async (seed) => {
      const random = new Random(seed);
      const sender = await onNodeA();
      const receiver = await onNodeB();
      for (let i = 0; i < FRAMES; i++) {
        const isV4 = random.chance(0.5);
        const isTcp = random.chance(0.6);
        const gsoSize = random.pick([1, 3, 100, 536, 1000, 1400, 8000, random.between(1, 30_000)]);
        const most = Math.min(65_000, gsoSize * (isTcp ? 1000 : UDP_SEGMENTS_MAX));
        const payload = random.bytes(random.pick([gsoSize + 1, most, random.between(gsoSize + 1, most)]));
        const gso = { gsoType: isTcp ? (isV4 ? Virtio.GSO_TCPV4 : Virtio.GSO_TCPV6) : Virtio.GSO_UDP_L4, gsoSize };
        const [id, seq, options] = [random.below(0x10000), random.u32(), random.pick([[], [1, 1, 1, 1]])];
        const flags = FLAG.ACK | random.pick([0, FLAG.PSH]);
        const frame = (src: string, dst: string): Uint8Array => {
          const ip = isV4 ? packet().ipv4({ src, dst, id }) : packet().ipv6({ src, dst });
          const ports = { sport: 40_000, dport: 80 };
          const transport = isTcp ? ip.tcp({ ...ports, seq, flags, options }) : ip.udp(ports);
          return transport.payload(payload).offloadFrame(gso);
        };
        const called = isV4 ? ROUND_ROBIN.b.v4 : ROUND_ROBIN.b.v6;
        const sent = sender.egress(frame(isV4 ? A1.v4 : A1.v6, called));
        const messages = sent.messages.map(({ datagrams }) => {
          const segmentSize = datagrams[0]?.length ?? 0;
          return { ...FROM_A, bytes: Buffer.concat(datagrams), ...(datagrams.length > 1 ? { segmentSize } : {}) };
        });
        const { writes, counts } = receive(receiver, messages);
        const expected = frame(isV4 ? A1.instanceV4 : A1.instanceV6, isV4 ? B1.v4 : B1.v6);
        expect(writes.length, `${isTcp ? "TCP" : "UDP"} ${payload.length} bytes in ${gsoSize}`).toBe(1);
        const [write] = writes;
        expect(Buffer.compare(write?.bytes ?? new Uint8Array(0), expected), "the super-packet, translated").toBe(0);
        expect(write?.packetCount).toBe(sent.datagrams.length);
        expect(counts.ingressPackets).toBe(sent.datagrams.length);
        const cutAgain = splitFrame(expected);
        expect(
          sent.datagrams.every((one, at) => Buffer.compare(one.bytes, cutAgain[at] ?? new Uint8Array(0)) === 0),
        ).toBe(true);
      }
    },
  );
});
