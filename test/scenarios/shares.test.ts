// Room in which packets wait is shared: nobody takes it from others, and what cannot be of use takes none.
import { describe, expect, test } from "vitest";
import { Region } from "../../assembly/shared/layout/header.ts";
import * as RefusalLayout from "../../assembly/shared/layout/refusal.ts";
import * as WorkerLayout from "../../assembly/shared/layout/worker.ts";
import * as Virtio from "../../assembly/shared/virtio.ts";
import { readQuestions } from "../../src/memory/questions.ts";
import type { Service } from "../../src/model/tables.ts";
import type { EngineFixture } from "../support/engine-fixture.ts";
import { fragmentsOf } from "../support/fragments.ts";
import { packet, tcpPacket, virtioFrame } from "../support/packet-builder.ts";
import { A1, B1, B3, C1, FROM, instance, onNodeA, ROUND_ROBIN, serviceB, UNKNOWN, world } from "../support/world.ts";

const EMSGSIZE = 90;
const PARK = { timeoutMs: 3000, packets: 4, bytes: 100_000 };

/** A fragment other than the first, and the first one. */
function parts(src: string, dst: string, id: number, size = 1000): readonly [first: Uint8Array, later: Uint8Array] {
  const whole = packet().ip(src, dst).udp({ sport: 4000, dport: 53 }).payload(size).bytes();
  return fragmentsOf(whole, 8 * Math.ceil(size / 16), id) as [Uint8Array, Uint8Array];
}

function frame(bytes: Uint8Array): Uint8Array {
  return virtioFrame(bytes, {});
}

function times<T>(count: number, make: (i: number) => T): T[] {
  return Array.from({ length: count }, (_, i) => make(i));
}

describe("later fragments wait only if they can be of use", () => {
  test.each([
    ["another host than a node", FROM.stranger, B1.instanceV4, A1.v4, "ingressDrop.unknownNode"],
    ["a node, to nobody here", FROM.b, B1.instanceV4, "10.18.9.9", "ingressDrop.notLocalDestination"],
    ["a node, from outside the service ranges", FROM.b, "192.0.2.77", A1.v4, "ingressDrop.notServiceSource"],
  ] as const)("from %s: they do not", async (_name, from, src, dst, reason) => {
    const fixture = await onNodeA();
    const flood = times(100, (id) => ({ ...from, bytes: parts(src, dst, id)[1] }));
    expect(fixture.ingress(...flood).counts).toEqual({ [reason]: 100 });
  });

  test.each([
    ["of no workload", "10.18.9.9", ROUND_ROBIN.b.v4, "egressDrop.unknownWorkload"],
    ["to no service", A1.v4, "192.0.2.77", "egressDrop.notServiceAddress"],
  ] as const)("%s: they do not", async (_name, src, dst, reason) => {
    const fixture = await onNodeA();
    expect(fixture.egress(...times(100, (id) => frame(parts(src, dst, id)[1]))).counts).toEqual({ [reason]: 100 });
  });
});

describe("a flood of later fragments", () => {
  test("of a node leaves the room that another node needs", async () => {
    const fixture = await onNodeA();
    fixture.ingress(...times(500, (id) => ({ ...FROM.d, bytes: parts(B3.instanceV4, A1.v4, id)[1] })));
    const honest = times(20, (i) => parts(B1.instanceV4, A1.v4, 1000 + i));
    const early = honest.map(([, later]) => ({ ...FROM.b, bytes: later }));
    expect(fixture.ingress(...early).counts).toEqual({ fragmentsHeld: 20, "ingressDrop.holdFull": 20 });
    fixture.ingress(...times(500, (id) => ({ ...FROM.d, bytes: parts(B3.instanceV4, A1.v4, 5000 + id)[1] })));
    const firsts = honest.map(([first]) => ({ ...FROM.b, bytes: first }));
    expect(fixture.ingress(...firsts).tunWrites).toHaveLength(40);
  });

  test("of a workload leaves the room that another workload needs", async () => {
    const fixture = await onNodeA();
    fixture.egress(...times(500, (id) => frame(parts(C1.v4, ROUND_ROBIN.b.v4, id)[1])));
    const honest = times(20, (i) => parts(A1.v4, ROUND_ROBIN.b.v4, 1000 + i));
    fixture.egress(...honest.map(([, later]) => frame(later)));
    fixture.egress(...times(500, (id) => frame(parts(C1.v4, ROUND_ROBIN.b.v4, 5000 + id)[1])));
    expect(fixture.egress(...honest.map(([first]) => frame(first))).datagrams).toHaveLength(40);
  });

  test("of large ones leaves the bytes that another workload needs", async () => {
    const fixture = await onNodeA();
    const large = (id: number): Uint8Array => frame(parts(C1.v4, ROUND_ROBIN.b.v4, id, 60_000)[1]);
    fixture.egress(...times(20, large));
    const [first, later] = parts(A1.v4, ROUND_ROBIN.b.v4, 1000);
    expect(fixture.egress(frame(later)).counts).toMatchObject({ fragmentsHeld: 1 });
    fixture.egress(...times(20, large));
    expect(fixture.egress(frame(first)).datagrams).toHaveLength(2);
  });
});

describe("first fragments", () => {
  test("of one workload do not push out those of another one", async () => {
    const fixture = await onNodeA();
    const honest = times(20, (i) => parts(A1.v4, ROUND_ROBIN.b.v4, 60_000 + i));
    fixture.egress(...honest.map(([first]) => frame(first)));
    fixture.egress(...times(5000, (id) => frame(parts(C1.v4, ROUND_ROBIN.b.v4, id)[0])));
    expect(fixture.egress(...honest.map(([, later]) => frame(later))).datagrams).toHaveLength(20);
  });

  test("of one node do not push out those of another one", async () => {
    const fixture = await onNodeA();
    const honest = times(20, (i) => parts(B1.instanceV4, A1.v4, 60_000 + i));
    fixture.ingress(...honest.map(([bytes]) => ({ ...FROM.b, bytes })));
    fixture.ingress(...times(5000, (id) => ({ ...FROM.d, bytes: parts(B3.instanceV4, A1.v4, id)[0] })));
    expect(fixture.ingress(...honest.map(([, bytes]) => ({ ...FROM.b, bytes }))).tunWrites).toHaveLength(20);
  });

  test("a repetition takes no place of its own", async () => {
    const fixture = await onNodeA();
    const [first, later] = parts(A1.v4, ROUND_ROBIN.b.v4, 1);
    const other = parts(A1.v4, ROUND_ROBIN.b.v4, 2);
    fixture.egress(frame(other[0]));
    expect(fixture.egress(...times(3000, () => frame(first))).counts.fragmentsForgotten).toBeUndefined();
    expect(fixture.egress(frame(later), frame(other[1])).datagrams).toHaveLength(2);
  });

  // Twice around the table, through the wrap of every counter of 16 and 32 bits.
  test.each([0, 1024, 0xffff, 0xffff_fc00, 0xffff_ffff])(
    "end no list in itself when %i were noted before",
    async (noted) => {
      const fixture = await onNodeA({ withoutTwin: true });
      const at = fixture.shared.at(Region.workers) + WorkerLayout.FRAGMENT_NEXT;
      fixture.egress(...times(1024, (id) => frame(parts(A1.v4, ROUND_ROBIN.b.v4, id)[0])));
      fixture.io.view.setUint32(at, noted, true);
      fixture.advance(30_000);
      // Each into the place that it had.
      fixture.egress(...times(1024, (i) => frame(parts(A1.v4, ROUND_ROBIN.b.v4, (noted + i) % 1024)[0])));
      const missing = times(2048, (i) => frame(parts(C1.v4, ROUND_ROBIN.b.v4, i)[1]));
      expect(fixture.egress(...missing).counts.fragmentsHeld).toBe(64);
      fixture.advance(1000);
      fixture.egress(...times(3000, (id) => frame(parts(A1.v4, ROUND_ROBIN.b.v4, 10_000 + id)[0])));
      const latest = times(500, (i) => frame(parts(A1.v4, ROUND_ROBIN.b.v4, 12_500 + i)[1]));
      expect(fixture.egress(...latest).datagrams).toHaveLength(500);
      const unknown = times(50, (i) => frame(parts(A1.v4, ROUND_ROBIN.b.v4, 50_000 + i)[1]));
      expect(fixture.egress(...unknown).counts.fragmentsHeld).toBe(50);
    },
  );
});

describe("packets to unknown addresses", () => {
  const KNOWN_LATE: Service = {
    name: "late",
    addresses: [{ address: UNKNOWN.v4, policy: "round-robin" }],
    instances: [{ ...instance(1, "node-b", B1), instanceAddresses: ["10.30.9.9", "fdff::9:9"] }],
  };
  const call = (src: string, dst: string, sport: number, size = 20): Uint8Array =>
    packet().ip(src, dst).udp({ sport, dport: 53 }).payload(size).frame();
  /** Calls of a workload to many addresses. */
  const scan = (src: string, count: number, size = 20): Uint8Array[] =>
    times(count, (i) => call(src, `10.30.${100 + (i >> 8)}.${i & 255}`, 1, size));
  const questions = (fixture: EngineFixture): string[] =>
    readQuestions(fixture.shared, fixture.nowMs, PARK.timeoutMs).map(({ address }) => address);
  const parking = (): Promise<EngineFixture> => onNodeA({ memory: { park: PARK } });

  test.each([20, 1400])("of a workload that scans leave room for another's, of %i bytes each", async (size) => {
    const fixture = await parking();
    fixture.egress(...scan(C1.v4, 3000, size));
    fixture.egress(...times(4, (i) => call(A1.v4, UNKNOWN.v4, i + 1)));
    fixture.egress(...scan(C1.v4, 3000, size));
    expect(questions(fixture)).toContain(UNKNOWN.v4);
    await fixture.apply(world(serviceB(), KNOWN_LATE));
    expect(fixture.unpark().datagrams).toHaveLength(4);
  });

  test("that all wait are all asked for", async () => {
    const fixture = await parking();
    fixture.egress(...scan(A1.v4, 700));
    expect(questions(fixture)).toHaveLength(fixture.countsSinceStart().packetsParked ?? 0);
    expect(questions(fixture).length).toBeGreaterThan(600);
  });

  test("share the places of one address", async () => {
    const fixture = await parking();
    fixture.egress(...times(4, (i) => call(C1.v4, UNKNOWN.v4, i + 1)));
    const result = fixture.egress(...times(4, (i) => call(A1.v4, UNKNOWN.v4, i + 1)));
    expect(result.counts).toEqual({ packetsParked: 2, "egressDrop.holdFull": 4 });
  });

  test("which become known are not lost to a scan before their turn", async () => {
    const fixture = await parking();
    fixture.egress(call(A1.v4, UNKNOWN.v4, 1));
    await fixture.apply(world(serviceB(), KNOWN_LATE));
    fixture.egress(...scan(A1.v4, 3000));
    fixture.egress(call(A1.v4, UNKNOWN.v4, 2));
    expect(fixture.unpark().datagrams).toHaveLength(2);
  });

  test("and fragments take no room from each other", async () => {
    const fixture = await onNodeA({ memory: { park: { ...PARK, bytes: 2 ** 20 } } });
    fixture.egress(...scan(A1.v4, 3000));
    const large = times(4, (id) => frame(parts(A1.v4, ROUND_ROBIN.b.v4, id, 60_000)[1]));
    expect(fixture.egress(...large).counts).toEqual({ fragmentsHeld: 4 });
  });

  test("of which one was refused stay refused while another workload's are by the hundred", async () => {
    const fixture = await parking();
    fixture.egress(call(A1.v4, UNKNOWN.v4, 1));
    fixture.refuse(UNKNOWN.v4);
    fixture.unpark();
    for (let round = 0; round < 20; round++) {
      const hosts = times(40, (i) => `10.30.${150 + round}.${i}`);
      fixture.egress(...hosts.map((host) => call(C1.v4, host, 1)));
      for (const host of hosts) fixture.refuse(host);
      fixture.unpark();
    }
    expect(20 * 40).toBeGreaterThan(3 * RefusalLayout.REFUSED_MAX);
    expect(fixture.egress(call(A1.v4, UNKNOWN.v4, 2)).counts).toEqual({ "egressDrop.unknownAddress": 1 });
  });

  test("learn what was refused also when 2^32 addresses were", async () => {
    const fixture = await parking();
    const { view } = fixture.io;
    const worker = fixture.shared.at(Region.workers);
    for (const at of [worker + WorkerLayout.REFUSAL_COUNT, 4096 + 96]) view.setUint32(at, 0xffff_fffe, true);
    fixture.egress(...scan(A1.v4, 4));
    for (let i = 0; i < 4; i++) fixture.refuse(`10.30.100.${i}`);
    expect(fixture.unpark().counts).toEqual({ "egressDrop.unknownAddress": 4 });
  });
});

test("fragments that waited and have to be cut never overrun the transmit queue", async () => {
  const fixture = await onNodeA({ withoutTwin: true, memory: { offloads: 0 } });
  fixture.pathError(EMSGSIZE, FROM.b, { mtu: 1308, isLocal: true });
  const whole = packet()
    .ipv4({ src: A1.v4, dst: ROUND_ROBIN.b.v4, id: 7, fragment: 0 })
    .udp({ sport: 4000, dport: 53 })
    .payload(63_000)
    .bytes();
  const [first, ...later] = fragmentsOf(whole, 16_000) as [Uint8Array, ...Uint8Array[]];
  const small = fragmentsOf(first, 800) as [Uint8Array, ...Uint8Array[]];
  const held = fixture.egress(...[...later, ...small.slice(1, 4)].map(frame));
  expect(held.counts).toEqual({ fragmentsHeld: later.length + 3 });
  const many = tcpPacket(A1.v4, ROUND_ROBIN.b.v4, { sport: 1, dport: 80 }, 2020 * 32);
  fixture.io.putFrame(0, many.offloadFrame({ gsoType: Virtio.GSO_TCPV4, gsoSize: 32 }));
  fixture.io.putFrame(1, frame(small[0]));
  expect(fixture.engine.egress(0, 2, fixture.nowUs)).toBe(2);
  expect(fixture.io.sentMessages().length).toBeLessThanOrEqual(WorkerLayout.UDP_TX_MAX);
});
