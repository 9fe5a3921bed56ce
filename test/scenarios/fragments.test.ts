// Fragments, in any order: all of one packet become the same, without reassembly and within bounds.
import { describe, expect, test } from "vitest";
import type { Service } from "../../src/model/tables.ts";
import type { EngineFixture } from "../support/engine-fixture.ts";
import { fragmentsOf } from "../support/fragments.ts";
import { given, nth } from "../support/given.ts";
import { type PacketBuilder, packet, virtioFrame } from "../support/packet-builder.ts";
import { packetIn } from "../support/packets-of.ts";
import { Random } from "../support/random.ts";
import {
  A1,
  B1,
  C1,
  D1,
  FROM,
  instance,
  onNodeA,
  ROUND_ROBIN,
  service,
  serviceB,
  TO,
  world,
} from "../support/world.ts";

const FAMILIES = [
  {
    family: "IPv4",
    ...{ client: A1.v4, own: A1.instanceV4, called: ROUND_ROBIN.b.v4, target: B1.v4, answering: B1.instanceV4 },
    ...{ neighbour: C1.v4, neighbourInstance: C1.instanceV4 },
  },
  {
    family: "IPv6",
    ...{ client: A1.v6, own: A1.instanceV6, called: ROUND_ROBIN.b.v6, target: B1.v6, answering: B1.instanceV6 },
    ...{ neighbour: C1.v6, neighbourInstance: C1.instanceV6 },
  },
] as const;

const KINDS = [
  ["UDP", (src: string, dst: string) => packet().ip(src, dst).udp({ sport: 4000, dport: 53 })],
  ["TCP", (src: string, dst: string) => packet().ip(src, dst).tcp({ sport: 4000, dport: 80 })],
  ["SCTP", (src: string, dst: string) => packet().ip(src, dst).protocol(132)],
  [
    "echo",
    (src: string, dst: string) =>
      packet()
        .ip(src, dst)
        .icmp({ type: src.includes(":") ? 128 : 8, words: [9, 1] }),
  ],
] as const;

function udp(src: string, dst: string, size = 3000): Uint8Array {
  return packet().ip(src, dst).udp({ sport: 4000, dport: 53 }).payload(size).bytes();
}

function frames(fragments: readonly Uint8Array[]): Uint8Array[] {
  return fragments.map((bytes) => virtioFrame(bytes, {}));
}

function sent(result: ReturnType<EngineFixture["egress"]>): Uint8Array[] {
  expect(new Set(result.datagrams.map(({ endpoint }) => endpoint))).toEqual(new Set([TO.b]));
  return result.datagrams.map(({ bytes }) => bytes);
}

function written(result: ReturnType<EngineFixture["ingress"]>): Uint8Array[] {
  return result.tunWrites.map((write) => packetIn(write));
}

describe.each(FAMILIES)("$family", (f) => {
  test.each(KINDS)(
    "%s: the fragments of a call are those of the translated call [defect 10, measured 10, remedy 6]",
    async (_name, build) => {
      const fixture = await onNodeA();
      const result = fixture.egress(...frames(fragmentsOf(build(f.client, f.called).payload(3000).bytes(), 1000, 7)));
      expect(sent(result)).toEqual(fragmentsOf(build(f.own, f.target).payload(3000).bytes(), 1000, 7));
      expect(result.counts).toMatchObject({ flowsOpened: 1 });
    },
  );

  test("the fragments of an answer come from the called address", async () => {
    const fixture = await onNodeA();
    fixture.egress(virtioFrame(udp(f.client, f.called, 8), {}));
    const answer = (src: string): Uint8Array =>
      packet().ip(src, f.client).udp({ sport: 53, dport: 4000 }).payload(3000).bytes();
    const result = fixture.ingress(...fragmentsOf(answer(f.answering), 1000, 7).map((bytes) => ({ ...FROM.b, bytes })));
    expect(written(result)).toEqual(fragmentsOf(answer(f.called), 1000, 7));
  });

  test("the fragments of a request from another node are delivered as they are", async () => {
    const fixture = await onNodeA();
    const fragments = fragmentsOf(udp(f.answering, f.client), 1000, 7);
    expect(written(fixture.ingress(...fragments.map((bytes) => ({ ...FROM.b, bytes }))))).toEqual(fragments);
  });

  test("fragments between two workloads of the node go through both translations", async () => {
    const fixture = await onNodeA();
    const result = fixture.egress(...frames(fragmentsOf(udp(f.client, f.neighbourInstance), 1000, 7)));
    expect(written(result)).toEqual(fragmentsOf(udp(f.own, f.neighbour), 1000, 7));
    expect(result.counts).toMatchObject({ localPackets: 4 });
  });

  test.each([
    ["last", [3, 0, 1, 2]],
    ["all", [3, 2, 1, 0]],
  ] as const)("fragments that overtook the first one wait for it: the %s", async (_name, order) => {
    const fixture = await onNodeA();
    const [call, wire] = [fragmentsOf(udp(f.client, f.called), 1000, 7), fragmentsOf(udp(f.own, f.target), 1000, 7)];
    const result = fixture.egress(...frames(order.map((i) => nth(call, i))));
    // Those that waited follow the first one in the order in which they came.
    const [early, rest] = [order.slice(0, order.indexOf(0)), order.slice(order.indexOf(0) + 1)];
    expect(sent(result)).toEqual([0, ...early, ...rest].map((i) => wire[i]));
    expect(result.counts).toMatchObject({ fragmentsHeld: early.length });
  });

  test("a fragment whose first one does not come within a second is dropped", async () => {
    const fixture = await onNodeA();
    const [first, second] = frames(fragmentsOf(udp(f.client, f.called), 1600, 7));
    expect(fixture.egress(given(second)).counts).toEqual({ fragmentsHeld: 1 });
    fixture.advance(999);
    expect(fixture.sweep().counts).toEqual({});
    fixture.advance(1);
    expect(fixture.sweep().counts).toEqual({ "egressDrop.fragmentOrphan": 1 });
    expect(sent(fixture.egress(given(first)))).toHaveLength(1);
  });

  test("a first fragment is remembered for 30 seconds", async () => {
    const fixture = await onNodeA();
    const [first, second] = frames(fragmentsOf(udp(f.client, f.called), 1600, 7));
    fixture.egress(given(first));
    fixture.advance(29_999);
    expect(sent(fixture.egress(given(second)))).toHaveLength(1);
    fixture.advance(1);
    expect(fixture.egress(given(second)).counts).toEqual({ fragmentsHeld: 1 });
  });

  test("fragments keep their way when the flow has ended meanwhile", async () => {
    const fixture = await onNodeA({ memory: { timeoutsMs: { udpUnreplied: 10 } } });
    const [first, second] = frames(fragmentsOf(udp(f.client, f.called), 1600, 7));
    fixture.egress(given(first));
    fixture.advance(10);
    expect(fixture.sweep().counts).toEqual({ flowsExpired: 1 });
    expect(sent(fixture.egress(given(second)))).toEqual([fragmentsOf(udp(f.own, f.target), 1600, 7)[1]]);
  });

  test("packets with one identification but other ends are not mixed up", async () => {
    const fixture = await onNodeA();
    const mine = fragmentsOf(udp(f.client, f.called), 1600, 7);
    const other = fragmentsOf(udp(f.neighbour, f.called), 1600, 7);
    const result = fixture.egress(...frames([mine[0], other[1], mine[1]] as Uint8Array[]));
    expect(sent(result)).toEqual(fragmentsOf(udp(f.own, f.target), 1600, 7));
    expect(result.counts).toMatchObject({ fragmentsHeld: 1 });
  });

  test("a fragment of an answer comes from the node that sent the first one", async () => {
    const fixture = await onNodeA();
    const [first, second] = fragmentsOf(udp(f.answering, f.client), 1600, 7) as [Uint8Array, Uint8Array];
    const result = fixture.ingress({ ...FROM.b, bytes: first }, { ...FROM.d, bytes: second });
    expect(written(result)).toEqual([first]);
    expect(result.counts).toMatchObject({ ingressPackets: 1, "ingressDrop.wrongNode": 1 });
  });

  test("a first fragment without the whole header is dropped, and the others with it", async () => {
    const fixture = await onNodeA();
    const tcp = packet().ip(f.client, f.called).tcp({ sport: 4000, dport: 80 }).payload(100).bytes();
    const [first, ...others] = frames(fragmentsOf(tcp, 16, 7));
    expect(fixture.egress(given(first)).counts).toEqual({ "egressDrop.truncatedTransport": 1 });
    expect(fixture.egress(...others).counts).toEqual({ fragmentsHeld: others.length });
  });
});

/** Later fragments that change their family: an IPv6 client of D, which has IPv4 alone, and an IPv4 client of an instance with IPv6 alone. */
describe("fragments of answers in the other family", () => {
  const V6_ONLY: Service = {
    ...service("six", [], "10.30.2.1", "fdff:2000::66"),
    instances: [
      { ...instance(1, "node-b", B1), namespaceAddresses: ["fc00::66"], instanceAddresses: ["10.30.2.66", "fdff::66"] },
    ],
  };
  const CASES = [
    {
      way: "IPv4 to IPv6",
      ...{ client: A1.v6, called: ROUND_ROBIN.d.v6, source: D1.instanceV4, destination: A1.v4, from: FROM.d },
    },
    {
      way: "IPv6 to IPv4",
      ...{ client: A1.v4, called: "10.30.2.1", source: "fdff::66", destination: A1.v6, from: FROM.b },
    },
  ] as const;
  const ORDERS = [
    [0, 1, 2, 3],
    [3, 1, 2, 0],
  ] as const;
  const answer = (src: string, dst: string): PacketBuilder =>
    packet().ip(src, dst).udp({ sport: 53, dport: 4000 }).payload(new Random(7).bytes(3000));

  test.each(CASES.flatMap((one) => ORDERS.map((order) => ({ ...one, order }))))(
    "$way, in the order $order: each has its own payload",
    async ({ client, called, source, destination, from, order }) => {
      const fixture = await onNodeA({ tables: world(serviceB(), V6_ONLY) });
      fixture.egress(virtioFrame(udp(client, called, 8), {}));
      const fragments = fragmentsOf(answer(source, destination).bytes(), 1000, 7);
      const result = fixture.ingress(...order.map((i) => ({ ...from, bytes: nth(fragments, i) })));
      const first = order.indexOf(0);
      const [early, rest] = [order.slice(0, first), order.slice(first + 1)];
      const whole = fragmentsOf(answer(called, client).bytes(), 1000, 7);
      const payloadAt = client.includes(":") ? 48 : 20;
      expect(written(result).map((bytes) => bytes.subarray(payloadAt))).toEqual(
        [0, ...early, ...rest].map((i) => whole[i]?.subarray(payloadAt)),
      );
    },
  );
});

describe("endless fragments", () => {
  const later = (id: number, index: number, size = 8): Uint8Array =>
    virtioFrame(
      packet()
        .ipv4({ src: A1.v4, dst: ROUND_ROBIN.b.v4, id, fragment: 0x2000 | (index + 1), protocol: 17 })
        .payload(size)
        .bytes(),
      {},
    );

  test("of one packet wait sixteen", async () => {
    const fixture = await onNodeA();
    const result = fixture.egress(...Array.from({ length: 20 }, (_, i) => later(1, i)));
    expect(result.counts).toEqual({ fragmentsHeld: 16, "egressDrop.holdFull": 4 });
  });

  test("of all packets wait sixty-four", async () => {
    const fixture = await onNodeA();
    const result = fixture.egress(...Array.from({ length: 100 }, (_, i) => later(i, 0)));
    expect(result.counts).toEqual({ fragmentsHeld: 64, "egressDrop.holdFull": 36 });
  });

  test("of all packets wait 256 KiB", async () => {
    const fixture = await onNodeA();
    const result = fixture.egress(...Array.from({ length: 6 }, (_, i) => later(i, 0, 60_000)));
    expect(result.counts).toEqual({ fragmentsHeld: 4, "egressDrop.holdFull": 2 });
  });

  test("leave their places when their time is over", async () => {
    const fixture = await onNodeA();
    const flood = (id: number): Uint8Array[] => Array.from({ length: 64 }, (_, i) => later(id + i, 0));
    for (let round = 0; round < 20; round++) {
      const counts = fixture.egress(...flood(round * 64)).counts;
      expect(counts).toEqual({ fragmentsHeld: 64, ...(round > 0 && { "egressDrop.fragmentOrphan": 64 }) });
      fixture.advance(1000);
    }
  });

  test("and endless first ones push each other out", async () => {
    const fixture = await onNodeA();
    const fragments = (id: number): Uint8Array[] => frames(fragmentsOf(udp(A1.v4, ROUND_ROBIN.b.v4, 100), 64, id));
    for (let id = 0; id < 1024; id++) fixture.egress(nth(fragments(id), 0));
    expect(fixture.egress(nth(fragments(0), 1)).datagrams).toHaveLength(1);
    expect(fixture.egress(nth(fragments(2000), 0)).counts).toMatchObject({ fragmentsForgotten: 1 });
    expect(fixture.egress(nth(fragments(0), 1)).counts).toEqual({ fragmentsHeld: 1 });
    expect(fixture.egress(nth(fragments(1), 1)).datagrams).toHaveLength(1);
  });
});
