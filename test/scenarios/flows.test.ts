// A flow stays on its instance as long as that lives, and no flow is taken for another.
import { describe, expect, test } from "vitest";
import { readInstanceLoad } from "../../src/memory/measurements.ts";
import type { EngineFixture } from "../support/engine-fixture.ts";
import { engineFlows } from "../support/engine-flows.ts";
import { packet, TCP_ACK, TCP_FIN, TCP_RST, TCP_SYN } from "../support/packet-builder.ts";
import { expectPacket, from, to, validChecksums, viewPacket } from "../support/packet-checks.ts";
import { inspectFlowTable } from "../support/reference/flow-table.ts";
import {
  A1,
  B_CLOSEST,
  B_ROUND_ROBIN,
  B1,
  B2,
  B3,
  C_ROUND_ROBIN,
  C1,
  D_ROUND_ROBIN,
  D1,
  EMPTY_ROUND_ROBIN,
  FROM_B,
  instance,
  NODE_B,
  NODE_C,
  NODE_D,
  onNodeA,
  SERVICE_A,
  SERVICE_C,
  SERVICE_D,
  serviceB,
  TO_B,
  TO_C,
  TO_D,
  world,
} from "../support/world.ts";

const SYN = packet().ip(A1.v4, B_ROUND_ROBIN.v4).tcp({ sport: 40000, dport: 80, flags: TCP_SYN });
const DATA = packet().ip(A1.v4, B_ROUND_ROBIN.v4).tcp({ sport: 40000, dport: 80, flags: TCP_ACK }).payload("data");
const ONE = { egressPackets: 1 };

/** Counters without bytes, which other scenarios check. */
function counted(counts: object): object {
  return Object.fromEntries(Object.entries(counts).filter(([name]) => !name.endsWith("Bytes")));
}

/** An answer of B 1 to the flow of SYN. */
function answer(flags: number): Uint8Array {
  return packet().ip(B1.instanceV4, A1.v4).tcp({ sport: 80, dport: 40000, flags }).bytes();
}

describe("the life of the target", () => {
  test("a flow stays on its instance whatever the policy would choose now", async () => {
    const fixture = await onNodeA({ policy: () => 1 });
    fixture.egress(SYN.frame());
    fixture.policy = () => 0;
    for (let i = 0; i < 100; i++) expect(fixture.egress(DATA.frame()).datagrams[0]?.endpoint).toBe(TO_C);
  });

  test("it stays when other instances come, change or go", async () => {
    const fixture = await onNodeA({ policy: () => 1 });
    fixture.egress(SYN.frame());
    for (const instances of [
      [
        instance(2, "node-c", B2),
        instance(4, "node-b", {
          ...B1,
          v4: "10.18.3.9",
          v6: "fc00::9",
          instanceV4: "10.30.0.99",
          instanceV6: "fdff::99",
        }),
      ],
      [instance(1, "node-b", B1), instance(2, "node-c", B2)],
      [instance(2, "node-c", B2)],
    ]) {
      await fixture.apply(world(serviceB(instances)));
      const result = fixture.egress(DATA.frame());
      expect(result.datagrams[0]?.endpoint).toBe(TO_C);
      expect(counted(result.counts)).toEqual(ONE);
    }
  });

  test("the next packet re-chooses when the instance is gone", async () => {
    const fixture = await onNodeA();
    fixture.egress(SYN.frame());
    await fixture.apply(world(serviceB([instance(2, "node-c", B2), instance(3, "node-d", B3)])));
    const result = fixture.egress(DATA.frame());
    expect(result.datagrams[0]?.endpoint).toBe(TO_C);
    expectPacket(result.datagrams[0]?.bytes, from(A1.instanceV4, 40000), to(B2.v4, 80), validChecksums());
    expect(counted(result.counts)).toEqual({ ...ONE, flowsRechosen: 1, flowsOpened: 1, policyChoices: 1 });
    expect(counted(fixture.egress(DATA.frame()).counts)).toEqual(ONE);
  });

  test("an instance that moved to another node is another target", async () => {
    const fixture = await onNodeA();
    fixture.egress(SYN.frame());
    await fixture.apply(world(serviceB([instance(1, "node-d", B1)])));
    const result = fixture.egress(DATA.frame());
    expect(result.datagrams[0]?.endpoint).toBe(TO_D);
    expect(result.counts.flowsRechosen).toBe(1);
  });

  test("a node that another id stands for from now on is the same node: its flows go on, in both directions", async () => {
    const fixture = await onNodeA();
    fixture.egress(SYN.frame());
    for (const id of ["node-x", "node-y", "node-b"]) {
      const nodes = [{ ...NODE_B, id }, NODE_C, NODE_D];
      await fixture.apply({ ...world(serviceB([instance(1, id, B1), instance(2, "node-c", B2)])), nodes });
      expect(fixture.ingress({ ...FROM_B, bytes: answer(TCP_SYN | TCP_ACK) }).counts.ingressPackets).toBe(1);
      const result = fixture.egress(DATA.frame());
      expect(result.datagrams[0]?.endpoint).toBe(TO_B);
      expect(counted(result.counts)).toEqual(ONE);
    }
  });

  test("a node that comes with the tunnel of one that went before is another one", async () => {
    const fixture = await onNodeA();
    fixture.egress(SYN.frame());
    await fixture.apply({ ...world(serviceB([instance(2, "node-c", B2)])), nodes: [NODE_C, NODE_D] });
    await fixture.apply({
      ...world(serviceB([instance(1, "node-x", B1)])),
      nodes: [{ ...NODE_B, id: "node-x" }, NODE_C, NODE_D],
    });
    expect(fixture.egress(DATA.frame()).counts.flowsRechosen).toBe(1);
  });

  test("an instance that went and came back between two packets is another one", async () => {
    const fixture = await onNodeA();
    fixture.egress(SYN.frame());
    await fixture.apply(world(serviceB([])));
    await fixture.apply(world());
    expect(fixture.egress(DATA.frame()).counts.flowsRechosen).toBe(1);
  });

  test("without any instance left the packet is dropped, until there is one", async () => {
    const fixture = await onNodeA();
    fixture.egress(SYN.frame());
    await fixture.apply(world(serviceB([])));
    expect(fixture.egress(DATA.frame()).counts["egressDrop.noInstance"]).toBe(1);
    expect(fixture.egress(DATA.frame()).counts).toEqual({ "egressDrop.noInstance": 1 });
    await fixture.apply(world());
    expect(fixture.egress(DATA.frame()).counts.egressPackets).toBe(1);
  });

  test("a draining instance keeps its flows and gets no new ones", async () => {
    const fixture = await onNodeA();
    fixture.egress(SYN.frame());
    await fixture.apply(world(serviceB([instance(1, "node-b", B1, true), instance(2, "node-c", B2)])));
    expect(fixture.egress(DATA.frame()).datagrams[0]?.endpoint).toBe(TO_B);
    for (let sport = 1000; sport < 1050; sport++) {
      const fresh = packet().ip(A1.v4, B_ROUND_ROBIN.v4).tcp({ sport, dport: 80, flags: TCP_SYN }).frame();
      const result = fixture.egress(fresh);
      expect(result.datagrams[0]?.endpoint).toBe(TO_C);
      expect(counted(result.counts)).toEqual({ ...ONE, flowsOpened: 1, policyFallbacks: 1 });
    }
  });

  test("a draining instance is reached by its own address", async () => {
    const fixture = await onNodeA();
    await fixture.apply(world(serviceB([instance(1, "node-b", B1, true)])));
    const direct = packet().ip(A1.v4, B1.instanceV4).tcp({ sport: 1, dport: 80, flags: TCP_SYN });
    expect(fixture.egress(direct.frame()).datagrams[0]?.endpoint).toBe(TO_B);
    expect(fixture.egress(SYN.frame()).counts).toEqual({ "egressDrop.noInstance": 1 });
  });

  test("a flow outlives the address that it called, as long as its instance lives", async () => {
    const fixture = await onNodeA();
    fixture.egress(SYN.frame());
    const { addresses, ...rest } = serviceB();
    await fixture.apply(world({ ...rest, addresses: addresses.filter((one) => one.address !== B_ROUND_ROBIN.v4) }));
    const result = fixture.egress(DATA.frame());
    expect(result.datagrams[0]?.endpoint).toBe(TO_B);
    expect(counted(result.counts)).toEqual(ONE);
    const fresh = packet().ip(A1.v4, B_ROUND_ROBIN.v4).tcp({ sport: 1, dport: 80 }).frame();
    expect(fixture.egress(fresh).counts).toEqual({ "egressDrop.unknownAddress": 1 });
  });

  test("a node's new endpoint is used by the flows that are there, and accepted from", async () => {
    const fixture = await onNodeA();
    fixture.egress(SYN.frame());
    const moved = { id: "node-b", underlay: { address: "198.51.100.2", port: 7777 } };
    await fixture.apply({ ...world(), nodes: [moved, NODE_C, NODE_D] });
    expect(fixture.egress(DATA.frame()).datagrams[0]?.endpoint).toBe("198.51.100.2:7777");
    const bytes = answer(TCP_ACK);
    expect(fixture.ingress({ ...FROM_B, bytes }).counts).toEqual({ "ingressDrop.unknownNode": 1 });
    expect(fixture.ingress({ address: "198.51.100.2", port: 7777, bytes }).counts.ingressPackets).toBe(1);
  });
});

test("what is queued goes where it was to go, however often the tables change before it is sent", async () => {
  const fixture = await onNodeA();
  fixture.io.putFrame(0, SYN.frame());
  fixture.engine.egress(0, 1, fixture.nowUs);
  for (const port of [7001, 7002, 7003]) {
    await fixture.tables.apply({
      setNodes: [{ id: "node-b", underlay: { address: "198.51.100.9", port }, distanceKm: 0 }],
    });
  }
  await fixture.tables.apply({ setServices: [serviceB([])] });
  await fixture.tables.apply({ removeNodes: ["node-b"] });
  await fixture.tables.apply({
    setNodes: [{ id: "node-e", underlay: { address: "198.51.100.8", port: 1 }, distanceKm: 0 }],
  });
  await fixture.tables.settled();
  expect(fixture.io.sentMessages().map(({ endpoint }) => endpoint)).toEqual([TO_B]);
});

describe("the life of the client", () => {
  test("a client that is gone sends no more, on known flows neither", async () => {
    const fixture = await onNodeA();
    fixture.egress(SYN.frame());
    await fixture.apply({ nodes: [NODE_B, NODE_C, NODE_D], services: [serviceB()] });
    expect(fixture.egress(DATA.frame()).counts).toEqual({ "egressDrop.unknownWorkload": 1 });
  });

  test("and nothing is delivered to it", async () => {
    const fixture = await onNodeA();
    fixture.egress(SYN.frame());
    await fixture.apply({ nodes: [NODE_B, NODE_C, NODE_D], services: [serviceB()] });
    const bytes = answer(TCP_ACK);
    expect(fixture.ingress({ ...FROM_B, bytes }).counts).toEqual({ "ingressDrop.notLocalDestination": 1 });
  });

  test("another client with its address starts flows of its own", async () => {
    const fixture = await onNodeA();
    fixture.egress(SYN.frame());
    const successor = { ...A1, instanceV4: "10.30.1.50", instanceV6: "fdff::150" };
    const services = [
      { ...SERVICE_A, instances: [instance(2, "node-a", successor)] },
      serviceB(),
      SERVICE_C,
      SERVICE_D,
    ];
    await fixture.apply({ nodes: [NODE_B, NODE_C, NODE_D], services });
    const result = fixture.egress(DATA.frame());
    expectPacket(result.datagrams[0]?.bytes, from("10.30.1.50", 40000), to(B1.v4, 80));
    expect(result.counts.flowsOpened).toBe(1);
  });
});

describe("idle timeouts follow the protocol", () => {
  const TIMEOUTS = {
    udpUnreplied: 1000,
    udpStream: 2000,
    tcpOpening: 3000,
    tcpEstablished: 60_000,
    tcpHalfClosed: 4000,
    tcpClosed: 500,
  };

  /** Whether the one flow survives `idleMs` without a packet. */
  function survives(fixture: EngineFixture, idleMs: number): boolean {
    fixture.advance(idleMs);
    return (fixture.sweep().counts.flowsExpired ?? 0) === 0;
  }

  const UDP = packet().ip(A1.v4, B_ROUND_ROBIN.v4).udp({ sport: 40000, dport: 53 }).payload("q").frame();
  const UDP_ANSWER = packet().ip(B1.instanceV4, A1.v4).udp({ sport: 53, dport: 40000 }).payload("a").bytes();
  const forward = (flags: number): Uint8Array =>
    packet().ip(A1.v4, B_ROUND_ROBIN.v4).tcp({ sport: 40000, dport: 80, flags }).frame();

  type Step = (fixture: EngineFixture) => void;
  const out =
    (flags: number): Step =>
    (fixture) =>
      fixture.egress(forward(flags));
  const back =
    (flags: number): Step =>
    (fixture) =>
      fixture.ingress({ ...FROM_B, bytes: answer(flags) });
  const established = [out(TCP_SYN), back(TCP_SYN | TCP_ACK), out(TCP_ACK)];
  const halfClosed = [...established, out(TCP_FIN | TCP_ACK)];
  const cases: readonly (readonly [what: string, state: keyof typeof TIMEOUTS, steps: readonly Step[]])[] = [
    ["UDP without an answer", "udpUnreplied", [(f) => f.egress(UDP), (f) => f.egress(UDP)]],
    ["UDP with an answer", "udpStream", [(f) => f.egress(UDP), (f) => f.ingress({ ...FROM_B, bytes: UDP_ANSWER })]],
    ["SYN alone", "tcpOpening", [out(TCP_SYN)]],
    ["SYN, SYN ACK", "tcpOpening", [out(TCP_SYN), back(TCP_SYN | TCP_ACK)]],
    ["the whole handshake", "tcpEstablished", established],
    ["an ACK from the middle of a connection", "tcpOpening", [out(TCP_ACK)]],
    ["a connection picked up in the middle", "tcpEstablished", [out(TCP_ACK), back(TCP_ACK)]],
    ["FIN of the client", "tcpHalfClosed", [...established, out(TCP_FIN | TCP_ACK)]],
    ["FIN of the server", "tcpHalfClosed", [...established, back(TCP_FIN | TCP_ACK)]],
    ["data after one FIN", "tcpHalfClosed", [...established, back(TCP_FIN | TCP_ACK), out(TCP_ACK)]],
    ["FIN of both", "tcpClosed", [...established, out(TCP_FIN | TCP_ACK), back(TCP_FIN | TCP_ACK)]],
    ["the last ACK", "tcpClosed", [...established, out(TCP_FIN | TCP_ACK), back(TCP_FIN | TCP_ACK), out(TCP_ACK)]],
    ["RST of the client", "tcpClosed", [...established, out(TCP_RST)]],
    ["RST of the server", "tcpClosed", [out(TCP_SYN), back(TCP_RST | TCP_ACK)]],
    ["RST as the first packet", "tcpClosed", [out(TCP_RST)]],
    ["FIN as the first packet", "tcpHalfClosed", [out(TCP_FIN | TCP_ACK)]],
    ["FIN after RST", "tcpClosed", [...established, out(TCP_RST), back(TCP_FIN | TCP_ACK)]],
    ["RST, and one side goes on", "tcpClosed", [...established, back(TCP_RST), out(TCP_ACK), out(TCP_ACK)]],
    ["RST, and both go on", "tcpEstablished", [...established, back(TCP_RST), out(TCP_ACK), back(TCP_ACK)]],
    [
      "RST twice, one side after each",
      "tcpClosed",
      [...established, out(TCP_RST), out(TCP_ACK), out(TCP_RST), back(TCP_ACK)],
    ],
    [
      "RST, and a half-closed one goes on",
      "tcpHalfClosed",
      [...halfClosed, back(TCP_RST), out(TCP_ACK), back(TCP_ACK)],
    ],
    [
      "RST after both FINs",
      "tcpClosed",
      [...halfClosed, back(TCP_FIN | TCP_ACK), back(TCP_RST), out(TCP_ACK), back(TCP_ACK)],
    ],
    ["SYN on a half-closed one", "tcpOpening", [...halfClosed, out(TCP_SYN)]],
    ["a new handshake on a half-closed one", "tcpEstablished", [...halfClosed, ...established]],
    ["FIN after such a handshake", "tcpHalfClosed", [...halfClosed, ...established, back(TCP_FIN | TCP_ACK)]],
  ];
  test.each(cases)("%s: %s", async (_what, state, steps) => {
    for (const idleMs of [TIMEOUTS[state] - 2, TIMEOUTS[state] + 2]) {
      const fixture = await onNodeA({ memory: { timeoutsMs: TIMEOUTS } });
      for (const step of steps) {
        step(fixture);
        fixture.advance(1);
      }
      expect(survives(fixture, idleMs - 1)).toBe(idleMs < TIMEOUTS[state]);
    }
  });

  const HOUR_MS = 3_600_000;
  const defaults: readonly (readonly [what: string, idleMs: number, steps: readonly Step[]])[] = [
    ["UDP without an answer for two minutes", 120_000, [(f) => f.egress(UDP)]],
    ["an opening connection for four minutes", 240_000, [out(TCP_SYN)]],
    ["an established one for a day", 24 * HOUR_MS, established],
    ["a half-closed one for two hours and four minutes", 7_440_000, [...established, out(TCP_FIN | TCP_ACK)]],
    ["a closed one for four minutes", 240_000, [...established, out(TCP_FIN | TCP_ACK), back(TCP_FIN | TCP_ACK)]],
    ["one that was reset for four minutes", 240_000, [...established, back(TCP_RST)]],
  ];
  test.each(defaults)("unless configured, a worker remembers %s", async (_what, idleMs, steps) => {
    for (const [idle, stays] of [
      [idleMs - 2, true],
      [idleMs + 2, false],
    ] as const) {
      const fixture = await onNodeA();
      for (const step of steps) step(fixture);
      expect(survives(fixture, idle)).toBe(stays);
    }
  });

  test("a connection idle for two hours stays on its instance", async () => {
    const fixture = await onNodeA();
    for (const step of established) step(fixture);
    fixture.policy = () => 2;
    expect(survives(fixture, 2 * HOUR_MS)).toBe(true);
    const result = fixture.egress(DATA.frame());
    expect(result.datagrams[0]?.endpoint).toBe(TO_B);
    expect(counted(result.counts)).toEqual(ONE);
    expect(fixture.ingress({ ...FROM_B, bytes: answer(TCP_ACK) }).counts.ingressPackets).toBe(1);
  });

  test("a packet of either direction keeps the flow alive", async () => {
    const fixture = await onNodeA({ memory: { timeoutsMs: TIMEOUTS } });
    fixture.egress(UDP);
    fixture.ingress({ ...FROM_B, bytes: UDP_ANSWER });
    for (let i = 0; i < 5; i++) {
      expect(survives(fixture, 1500)).toBe(true);
      if (i % 2 === 0) fixture.egress(UDP);
      else fixture.ingress({ ...FROM_B, bytes: UDP_ANSWER });
    }
    expect(survives(fixture, 2500)).toBe(false);
  });

  test("an expired flow begins anew with the next packet", async () => {
    const fixture = await onNodeA({ memory: { timeoutsMs: TIMEOUTS } });
    fixture.egress(UDP);
    expect(survives(fixture, 1001)).toBe(false);
    fixture.policy = () => 2;
    const result = fixture.egress(UDP);
    expect(result.datagrams[0]?.endpoint).toBe(TO_D);
    expect(counted(result.counts)).toEqual({ ...ONE, flowsOpened: 1, policyChoices: 1 });
  });

  test("the answer to an expired flow is delivered under the instance's own address", async () => {
    const fixture = await onNodeA({ memory: { timeoutsMs: TIMEOUTS } });
    fixture.egress(UDP);
    survives(fixture, 1001);
    const result = fixture.ingress({ ...FROM_B, bytes: UDP_ANSWER });
    expectPacket(result.tunWrites[0]?.subarray(10), from(B1.instanceV4, 53), to(A1.v4, 40000));
  });

  test("a sweep with a small budget gets round in several calls", async () => {
    const fixture = await onNodeA({ withoutTwin: true, memory: { timeoutsMs: TIMEOUTS } });
    const frames = Array.from({ length: 100 }, (_, i) =>
      packet()
        .ip(A1.v4, B_ROUND_ROBIN.v4)
        .udp({ sport: 1000 + i, dport: 53 })
        .payload("q")
        .frame(),
    );
    fixture.egress(...frames);
    fixture.advance(1001);
    const ended = Array.from({ length: 11 }, () => fixture.engine.sweep(fixture.nowUs, 10));
    expect(ended.reduce((sum, one) => sum + one, 0)).toBe(100);
    expect(Math.max(...ended)).toBeLessThanOrEqual(10);
  });
});

describe("a reset counts within the window of its receiver", () => {
  const CLIENT_NEXT = 5000;
  const SERVER_NEXT = 0xffffff00; // the window wraps
  const WINDOW = 1000;
  const scaling = (scale: number): number[] => [2, 4, 5, 180, 1, 3, 3, scale];

  async function connected(client: number[], server: number[]): Promise<EngineFixture> {
    const fixture = await onNodeA();
    const out = (fields: object): void => {
      fixture.egress(
        packet()
          .ip(A1.v4, B_ROUND_ROBIN.v4)
          .tcp({ sport: 40000, dport: 80, ...fields })
          .frame(),
      );
    };
    const back = (fields: object): void => {
      const bytes = packet()
        .ip(B1.instanceV4, A1.v4)
        .tcp({ sport: 80, dport: 40000, ...fields })
        .bytes();
      fixture.ingress({ ...FROM_B, bytes });
    };
    const window = WINDOW;
    out({ flags: TCP_SYN, seq: CLIENT_NEXT - 1, window, options: client });
    back({ flags: TCP_SYN | TCP_ACK, seq: SERVER_NEXT - 1, ack: CLIENT_NEXT, window, options: server });
    out({ flags: TCP_ACK, seq: CLIENT_NEXT, ack: SERVER_NEXT, window });
    back({ flags: TCP_ACK, seq: SERVER_NEXT, ack: CLIENT_NEXT, window });
    return fixture;
  }

  type Case = readonly [what: string, client: number[], server: number[], scale: number];
  const cases: readonly Case[] = [
    ["without scaling", [], [], 0],
    ["scaled by both", scaling(4), scaling(4), 4],
    ["scaled by one, so not at all", scaling(4), [2, 4, 5, 180], 0],
    ["scaled beyond what there is", scaling(200), scaling(200), 14],
  ];
  test.each(cases)("%s", async (_what, client, server, scale) => {
    const reach = WINDOW * 2 ** scale;
    for (const [offset, closes] of [
      [-1, false],
      [0, true],
      [1, true],
      [reach, true],
      [reach + 1, false],
      [2 ** 31, false],
    ] as const) {
      for (const isReply of [false, true]) {
        const fixture = await connected(client, server);
        const seq = ((isReply ? SERVER_NEXT : CLIENT_NEXT) + offset) >>> 0;
        const ends = { sport: isReply ? 80 : 40000, dport: isReply ? 40000 : 80 };
        const build = packet().ip(isReply ? B1.instanceV4 : A1.v4, isReply ? A1.v4 : B_ROUND_ROBIN.v4);
        const reset = build.tcp({ ...ends, seq, flags: TCP_RST });
        if (isReply) fixture.ingress({ ...FROM_B, bytes: reset.bytes() });
        else fixture.egress(reset.frame());
        const state = closes ? "tcpClosed" : "tcpEstablished";
        expect(engineFlows(fixture.shared), `${isReply} ${offset}`).toEqual([expect.stringContaining(state)]);
        // Nobody answers for the receiver: it has the reset, and says itself what it thinks of it.
        expect(fixture.countsSinceStart()[isReply ? "ingressPackets" : "egressPackets"]).toBe(3);
      }
    }
  });

  test("a window that nobody announced is no reason to doubt", async () => {
    const fixture = await onNodeA();
    fixture.egress(packet().ip(A1.v4, B_ROUND_ROBIN.v4).tcp({ sport: 40000, dport: 80, flags: TCP_SYN }).frame());
    const refusal = packet()
      .ip(B1.instanceV4, A1.v4)
      .tcp({ sport: 80, dport: 40000, seq: 0, flags: TCP_RST | TCP_ACK });
    fixture.ingress({ ...FROM_B, bytes: refusal.bytes() });
    expect(engineFlows(fixture.shared)).toEqual([expect.stringContaining("tcpClosed")]);
  });
});

describe("a change of the tables that a flow does not use leaves it alone", () => {
  const V4_ONLY = { ...instance(1, "node-b", B1), namespaceAddresses: [B1.v4], instanceAddresses: [B1.instanceV4] };
  const A_V4_ONLY = { ...instance(1, "node-a", A1), namespaceAddresses: [A1.v4], instanceAddresses: [A1.instanceV4] };
  const services = (a: object, b: object) => [
    { ...SERVICE_A, instances: [{ ...instance(1, "node-a", A1), ...a }] },
    serviceB([{ ...instance(1, "node-b", B1), ...b }, instance(2, "node-c", B2)]),
    SERVICE_C,
    SERVICE_D,
  ];
  const tables = (a: object, b: object) => ({ nodes: [NODE_B, NODE_C, NODE_D], services: services(a, b) });

  test.each([
    ["the instance gets an address of the other family", {}, V4_ONLY, {}, {}],
    ["the instance loses it", {}, {}, {}, V4_ONLY],
    ["the instance gets another one of it", {}, {}, {}, { namespaceAddresses: [B1.v4, "fc00::77"] }],
    ["the instance drains, and weighs more", {}, {}, {}, { draining: true, weight: 9 }],
    ["the client gets an address of the other family", A_V4_ONLY, {}, {}, {}],
    ["the client loses it", {}, {}, A_V4_ONLY, {}],
  ])("%s", async (_what, a, b, laterA, laterB) => {
    const fixture = await onNodeA({ tables: tables(a, b) });
    fixture.egress(SYN.frame());
    fixture.policy = () => 1;
    await fixture.apply(tables(laterA, laterB));
    const result = fixture.egress(DATA.frame());
    expect(result.datagrams[0]?.endpoint).toBe(TO_B);
    expect(counted(result.counts)).toEqual(ONE);
    expect(fixture.ingress({ ...FROM_B, bytes: answer(TCP_ACK) }).counts.ingressPackets).toBe(1);
    expect(inspectFlowTable(fixture.shared)).toEqual({ live: 1, broken: [] });
  });

  test.each([
    ["the instance's namespace address", {}, { namespaceAddresses: ["10.18.3.77", B1.v6] }],
    ["the instance's own address", {}, { instanceAddresses: ["10.30.0.77", B1.instanceV6] }],
    ["the instance's node", {}, { node: "node-d" }],
    ["the client's own address", { instanceAddresses: ["10.30.1.77", A1.instanceV6] }, {}],
  ])("but one that it uses ends it: %s", async (_what, a, b) => {
    const fixture = await onNodeA({ tables: tables({}, {}) });
    fixture.egress(SYN.frame());
    await fixture.apply(tables(a, b));
    expect(fixture.egress(DATA.frame()).counts.flowsOpened).toBe(1);
    expect(inspectFlowTable(fixture.shared)).toEqual({ live: 1, broken: [] });
  });

  test("a client that became a workload of another node has no flows here", async () => {
    const fixture = await onNodeA({ tables: tables({}, {}) });
    fixture.egress(SYN.frame());
    await fixture.apply(tables({ node: "node-d" }, {}));
    expect(fixture.egress(DATA.frame()).counts).toEqual({ "egressDrop.unknownWorkload": 1 });
    expect(inspectFlowTable(fixture.shared)).toEqual({ live: 0, broken: [] });
  });

  test("flows of an instance that is gone are not counted down on the next one with its record", async () => {
    const fixture = await onNodeA();
    const udp = (sport: number): Uint8Array =>
      packet().ip(A1.v4, B_ROUND_ROBIN.v4).udp({ sport, dport: 53 }).payload("q").frame();
    for (let sport = 1; sport <= 10; sport++) fixture.egress(udp(sport));
    const [before = 0] = fixture.tables.instanceIndices("b");
    expect(readInstanceLoad(fixture.shared, before)).toBe(10);
    await fixture.apply(world(serviceB([])));
    await fixture.apply(world());
    const indices = fixture.tables.instanceIndices("b");
    expect(indices).toContain(before);
    expect(indices.map((index) => readInstanceLoad(fixture.shared, index))).toEqual([0, 0, 0]);
    fixture.policy = () => indices.indexOf(before);
    for (let sport = 101; sport <= 103; sport++) fixture.egress(udp(sport));
    fixture.advance(100_000);
    for (let sport = 101; sport <= 103; sport++) fixture.egress(udp(sport));
    fixture.advance(30_000);
    expect(fixture.sweep().counts.flowsExpired).toBe(10);
    expect(readInstanceLoad(fixture.shared, before)).toBe(3);
    expect(inspectFlowTable(fixture.shared)).toEqual({ live: 3, broken: [] });
  });
});

describe("a new connection on the ports of an old one", () => {
  async function closed(): Promise<EngineFixture> {
    const fixture = await onNodeA();
    fixture.egress(SYN.frame());
    fixture.ingress({ ...FROM_B, bytes: answer(TCP_RST | TCP_ACK) });
    fixture.policy = () => 2;
    return fixture;
  }

  test("SYN on a closed flow is a new flow, with a choice of its own", async () => {
    const fixture = await closed();
    const result = fixture.egress(SYN.frame());
    expect(result.datagrams[0]?.endpoint).toBe(TO_D);
    expect(counted(result.counts)).toEqual({ ...ONE, flowsRestarted: 1, flowsOpened: 1, policyChoices: 1 });
  });

  test.each([
    ["ACK", TCP_ACK],
    ["SYN ACK", TCP_SYN | TCP_ACK],
    ["FIN", TCP_FIN | TCP_ACK],
    ["RST", TCP_RST],
  ])("%s on a closed flow belongs to it", async (_what, flags) => {
    const fixture = await closed();
    const late = packet().ip(A1.v4, B_ROUND_ROBIN.v4).tcp({ sport: 40000, dport: 80, flags }).frame();
    const result = fixture.egress(late);
    expect(result.datagrams[0]?.endpoint).toBe(TO_B);
    expect(counted(result.counts)).toEqual(ONE);
  });

  test("a repeated SYN on a flow that is open belongs to it", async () => {
    const fixture = await onNodeA();
    fixture.egress(SYN.frame());
    fixture.policy = () => 2;
    expect(fixture.egress(SYN.frame()).datagrams[0]?.endpoint).toBe(TO_B);
  });
});

describe("no crosstalk", () => {
  test("two clients of this node with one source port", async () => {
    const fixture = await onNodeA();
    for (const client of [A1, C1]) {
      const call = packet().ip(client.v4, B_ROUND_ROBIN.v4).udp({ sport: 5000, dport: 53 }).payload("q").frame();
      expectPacket(fixture.egress(call).datagrams[0]?.bytes, from(client.instanceV4, 5000), to(B1.v4, 53));
    }
    for (const client of [A1, C1]) {
      const back = packet().ip(B1.instanceV4, client.v4).udp({ sport: 53, dport: 5000 }).payload("a").bytes();
      const [write] = fixture.ingress({ ...FROM_B, bytes: back }).tunWrites;
      expectPacket(write?.subarray(10), from(B_ROUND_ROBIN.v4, 53), to(client.v4, 5000), validChecksums());
    }
  });

  test("one socket that calls two services at different instances", async () => {
    const fixture = await onNodeA();
    const calls = [
      { called: B_ROUND_ROBIN.v4, target: B1.v4 },
      { called: D_ROUND_ROBIN.v4, target: D1.v4 },
    ];
    for (const { called, target } of calls) {
      const call = packet().ip(A1.v4, called).udp({ sport: 5000, dport: 53 }).payload("q").frame();
      expectPacket(fixture.egress(call).datagrams[0]?.bytes, from(A1.instanceV4, 5000), to(target, 53));
    }
    const back = packet().ip(B1.instanceV4, A1.v4).udp({ sport: 53, dport: 5000 }).payload("a").bytes();
    expectPacket(fixture.ingress({ ...FROM_B, bytes: back }).tunWrites[0]?.subarray(10), from(B_ROUND_ROBIN.v4, 53));
  });

  test("one socket that calls two addresses of one instance gets each answer from the right one", async () => {
    const fixture = await onNodeA();
    const wirePorts: number[] = [];
    for (const called of [B_ROUND_ROBIN.v4, B_CLOSEST.v4, B1.instanceV4]) {
      const call = packet().ip(A1.v4, called).udp({ sport: 5000, dport: 53 }).payload("q").frame();
      const result = fixture.egress(call);
      expectPacket(result.datagrams[0]?.bytes, from(A1.instanceV4), to(B1.v4, 53), validChecksums());
      expect(result.counts.portsRewritten ?? 0).toBe(called === B_ROUND_ROBIN.v4 ? 0 : 1);
      wirePorts.push(viewPacket(result.datagrams[0]?.bytes as Uint8Array).sport);
    }
    expect(new Set(wirePorts).size).toBe(3);
    expect(wirePorts[0]).toBe(5000);
    for (const [i, called] of [B_ROUND_ROBIN.v4, B_CLOSEST.v4, B1.instanceV4].entries()) {
      const dport = wirePorts[i] as number;
      const back = packet().ip(B1.instanceV4, A1.v4).udp({ sport: 53, dport }).payload("a").bytes();
      const [write] = fixture.ingress({ ...FROM_B, bytes: back }).tunWrites;
      expectPacket(write?.subarray(10), from(called, 53), to(A1.v4, 5000), validChecksums());
    }
  });

  test("a changed port is covered by unfinished and segmented checksums too", async () => {
    const fixture = await onNodeA();
    const first = packet().ip(A1.v6, B_ROUND_ROBIN.v6).tcp({ sport: 5000, dport: 80 });
    const second = packet().ip(A1.v6, B_CLOSEST.v6).tcp({ sport: 5000, dport: 80 });
    fixture.egress(first.frame());
    for (const frame of [
      second.payload(100).offloadFrame(),
      second.payload(3000).offloadFrame({ gsoType: 4, gsoSize: 1000 }),
    ]) {
      const result = fixture.egress(frame);
      for (const { bytes } of result.datagrams) {
        expect(viewPacket(bytes).sport).not.toBe(5000);
        expectPacket(bytes, validChecksums());
      }
    }
  });

  test("TCP and UDP on the same ports", async () => {
    const fixture = await onNodeA();
    const tcp = packet().ip(A1.v4, B_ROUND_ROBIN.v4).tcp({ sport: 5000, dport: 53, flags: TCP_SYN }).frame();
    const udp = packet().ip(A1.v4, B_CLOSEST.v4).udp({ sport: 5000, dport: 53 }).payload("q").frame();
    expect(fixture.egress(tcp).counts.portsRewritten).toBeUndefined();
    expect(fixture.egress(udp).counts.portsRewritten).toBeUndefined();
    const tcpBack = packet().ip(B1.instanceV4, A1.v4).tcp({ sport: 53, dport: 5000 }).bytes();
    const udpBack = packet().ip(B1.instanceV4, A1.v4).udp({ sport: 53, dport: 5000 }).payload("a").bytes();
    const result = fixture.ingress({ ...FROM_B, bytes: tcpBack }, { ...FROM_B, bytes: udpBack });
    expectPacket(result.tunWrites[0]?.subarray(10), from(B_ROUND_ROBIN.v4, 53));
    expectPacket(result.tunWrites[1]?.subarray(10), from(B_CLOSEST.v4, 53));
  });

  test("IPv4 and IPv6 on the same ports", async () => {
    const fixture = await onNodeA();
    for (const [client, called] of [
      [A1.v4, B_ROUND_ROBIN.v4],
      [A1.v6, B_ROUND_ROBIN.v6],
    ] as const) {
      const result = fixture.egress(packet().ip(client, called).udp({ sport: 5000, dport: 53 }).payload("q").frame());
      expect(result.counts.flowsOpened).toBe(1);
    }
  });

  test("local flows do not meet flows of other nodes", async () => {
    const fixture = await onNodeA();
    fixture.egress(packet().ip(A1.v4, C_ROUND_ROBIN.v4).udp({ sport: 5000, dport: 53 }).payload("q").frame());
    fixture.egress(packet().ip(A1.v4, B_ROUND_ROBIN.v4).udp({ sport: 5000, dport: 53 }).payload("q").frame());
    const spoofed = packet().ip(C1.instanceV4, A1.v4).udp({ sport: 53, dport: 5000 }).payload("a").bytes();
    expect(fixture.ingress({ ...FROM_B, bytes: spoofed }).counts).toEqual({ "ingressDrop.wrongNode": 1 });
    const local = packet().ip(C1.v4, A1.instanceV4).udp({ sport: 53, dport: 5000 }).payload("a").frame();
    expectPacket(fixture.egress(local).tunWrites[0]?.subarray(10), from(C_ROUND_ROBIN.v4, 53), to(A1.v4, 5000));
  });
});

describe("the choice", () => {
  test.each([
    ["nothing", -1],
    ["an index beyond the candidates", 3],
    ["the largest number", 0x7fffffff],
    ["the most negative number", -0x80000000],
  ])("a policy that answers %s is replaced by the engine's own choice", async (_what, index) => {
    const fixture = await onNodeA({ policy: () => index });
    const result = fixture.egress(SYN.frame());
    expect([TO_B, TO_C, TO_D]).toContain(result.datagrams[0]?.endpoint);
    expect(counted(result.counts)).toEqual({ ...ONE, flowsOpened: 1, policyFallbacks: 1 });
  });

  test("the engine's own choice spreads flows over all instances", async () => {
    const fixture = await onNodeA({ policy: () => -1 });
    const perEndpoint = new Map<string, number>();
    for (let sport = 1; sport <= 300; sport++) {
      const frame = packet().ip(A1.v4, B_ROUND_ROBIN.v4).udp({ sport, dport: 53 }).payload("q").frame();
      const endpoint = fixture.egress(frame).datagrams[0]?.endpoint as string;
      perEndpoint.set(endpoint, (perEndpoint.get(endpoint) ?? 0) + 1);
    }
    expect([...perEndpoint.keys()].sort()).toEqual([TO_B, TO_C, TO_D].sort());
    for (const share of perEndpoint.values()) expect(share).toBeGreaterThan(50);
  });

  test("a policy's choice of a draining instance is not followed", async () => {
    const fixture = await onNodeA({ policy: () => 0 });
    await fixture.apply(world(serviceB([instance(1, "node-b", B1, true), instance(2, "node-c", B2)])));
    const result = fixture.egress(SYN.frame());
    expect(result.datagrams[0]?.endpoint).toBe(TO_C);
    expect(result.counts.policyFallbacks).toBe(1);
  });

  test("a service without instances has none", async () => {
    const fixture = await onNodeA();
    const frame = packet().ip(A1.v4, EMPTY_ROUND_ROBIN.v4).tcp({ sport: 1, dport: 2 }).frame();
    const result = fixture.egress(frame);
    expect(result.counts).toEqual({ "egressDrop.noInstance": 1 });
    expect(result.choices).toEqual([]);
  });

  test("a client without an instance address of the family cannot call", async () => {
    const half = { ...instance(1, "node-a", A1), instanceAddresses: [A1.instanceV4] };
    const fixture = await onNodeA({
      tables: { ...world(), services: [{ ...SERVICE_A, instances: [half] }, serviceB()] },
    });
    const v6 = packet().ip(A1.v6, B_ROUND_ROBIN.v6).tcp({ sport: 1, dport: 2 }).frame();
    expect(fixture.egress(v6).counts).toEqual({ policyChoices: 1, "egressDrop.noAddressOfFamily": 1 });
    expect(fixture.egress(SYN.frame()).counts.egressPackets).toBe(1);
  });
});
