// A flow stays on its instance as long as that lives, and no flow is taken for another.
import { describe, expect, test } from "vitest";
import { readInstanceLoad } from "../../src/memory/measurements.ts";
import { answer, counted, DATA, ONE, SYN } from "../support/first-flow.ts";
import { FLAG, packet } from "../support/packet-builder.ts";
import { expectPacket, from, to, validChecksums } from "../support/packet-checks.ts";
import { sentPacket } from "../support/packets-of.ts";
import { inspectFlowTable } from "../support/reference/flow-table.ts";
import {
  A1,
  B1,
  B2,
  B3,
  FROM,
  instance,
  NODE,
  onNodeA,
  ROUND_ROBIN,
  SERVICE,
  serviceB,
  TO,
  world,
} from "../support/world.ts";

describe("the life of the target", () => {
  test("a flow stays on its instance whatever the policy would choose now [behaviour 11]", async () => {
    const fixture = await onNodeA({ policy: () => 1 });
    fixture.egress(SYN.frame());
    fixture.policy = () => 0;
    for (let i = 0; i < 100; i++) expect(fixture.egress(DATA.frame()).datagrams[0]?.endpoint).toBe(TO.c);
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
      expect(result.datagrams[0]?.endpoint).toBe(TO.c);
      expect(counted(result.counts)).toEqual(ONE);
    }
  });

  test("the next packet re-chooses when the instance is gone", async () => {
    const fixture = await onNodeA();
    fixture.egress(SYN.frame());
    await fixture.apply(world(serviceB([instance(2, "node-c", B2), instance(3, "node-d", B3)])));
    const result = fixture.egress(DATA.frame());
    expect(result.datagrams[0]?.endpoint).toBe(TO.c);
    expectPacket(sentPacket(result), from(A1.instanceV4, 40000), to(B2.v4, 80), validChecksums());
    expect(counted(result.counts)).toEqual({ ...ONE, flowsRechosen: 1, flowsOpened: 1, policyChoices: 1 });
    expect(counted(fixture.egress(DATA.frame()).counts)).toEqual(ONE);
  });

  test("an instance that moved to another node is another target", async () => {
    const fixture = await onNodeA();
    fixture.egress(SYN.frame());
    await fixture.apply(world(serviceB([instance(1, "node-d", B1)])));
    const result = fixture.egress(DATA.frame());
    expect(result.datagrams[0]?.endpoint).toBe(TO.d);
    expect(result.counts.flowsRechosen).toBe(1);
  });

  test("a node that another id stands for from now on is the same node: its flows go on, in both directions [measured 7]", async () => {
    const fixture = await onNodeA();
    fixture.egress(SYN.frame());
    for (const id of ["node-x", "node-y", "node-b"]) {
      const nodes = [{ ...NODE.b, id }, NODE.c, NODE.d];
      await fixture.apply({ ...world(serviceB([instance(1, id, B1), instance(2, "node-c", B2)])), nodes });
      expect(fixture.ingress({ ...FROM.b, bytes: answer(FLAG.SYN | FLAG.ACK) }).counts.ingressPackets).toBe(1);
      const result = fixture.egress(DATA.frame());
      expect(result.datagrams[0]?.endpoint).toBe(TO.b);
      expect(counted(result.counts)).toEqual(ONE);
    }
  });

  test("a node that comes with the tunnel of one that went before is another one", async () => {
    const fixture = await onNodeA();
    fixture.egress(SYN.frame());
    await fixture.apply({ ...world(serviceB([instance(2, "node-c", B2)])), nodes: [NODE.c, NODE.d] });
    await fixture.apply({
      ...world(serviceB([instance(1, "node-x", B1)])),
      nodes: [{ ...NODE.b, id: "node-x" }, NODE.c, NODE.d],
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
    expect(fixture.egress(DATA.frame()).datagrams[0]?.endpoint).toBe(TO.b);
    for (let sport = 1000; sport < 1050; sport++) {
      const fresh = packet().ip(A1.v4, ROUND_ROBIN.b.v4).tcp({ sport, dport: 80, flags: FLAG.SYN }).frame();
      const result = fixture.egress(fresh);
      expect(result.datagrams[0]?.endpoint).toBe(TO.c);
      expect(counted(result.counts)).toEqual({ ...ONE, flowsOpened: 1, policyFallbacks: 1 });
    }
  });

  test("a draining instance is reached by its own address", async () => {
    const fixture = await onNodeA();
    await fixture.apply(world(serviceB([instance(1, "node-b", B1, true)])));
    const direct = packet().ip(A1.v4, B1.instanceV4).tcp({ sport: 1, dport: 80, flags: FLAG.SYN });
    expect(fixture.egress(direct.frame()).datagrams[0]?.endpoint).toBe(TO.b);
    expect(fixture.egress(SYN.frame()).counts).toEqual({ "egressDrop.noInstance": 1 });
  });

  test("a flow outlives the address that it called, as long as its instance lives", async () => {
    const fixture = await onNodeA();
    fixture.egress(SYN.frame());
    const { addresses, ...rest } = serviceB();
    await fixture.apply(world({ ...rest, addresses: addresses.filter((one) => one.address !== ROUND_ROBIN.b.v4) }));
    const result = fixture.egress(DATA.frame());
    expect(result.datagrams[0]?.endpoint).toBe(TO.b);
    expect(counted(result.counts)).toEqual(ONE);
    const fresh = packet().ip(A1.v4, ROUND_ROBIN.b.v4).tcp({ sport: 1, dport: 80 }).frame();
    expect(fixture.egress(fresh).counts).toEqual({ "egressDrop.unknownAddress": 1 });
  });

  test("a node's new endpoint is used by the flows that are there, and accepted from", async () => {
    const fixture = await onNodeA();
    fixture.egress(SYN.frame());
    const moved = { id: "node-b", underlay: { address: "198.51.100.2", port: 7777 } };
    await fixture.apply({ ...world(), nodes: [moved, NODE.c, NODE.d] });
    expect(fixture.egress(DATA.frame()).datagrams[0]?.endpoint).toBe("198.51.100.2:7777");
    const bytes = answer(FLAG.ACK);
    expect(fixture.ingress({ ...FROM.b, bytes }).counts).toEqual({ "ingressDrop.unknownNode": 1 });
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
  expect(fixture.io.sentMessages().map(({ endpoint }) => endpoint)).toEqual([TO.b]);
});

describe("the life of the client", () => {
  test("a client that is gone sends no more, on known flows neither", async () => {
    const fixture = await onNodeA();
    fixture.egress(SYN.frame());
    await fixture.apply({ nodes: [NODE.b, NODE.c, NODE.d], services: [serviceB()] });
    expect(fixture.egress(DATA.frame()).counts).toEqual({ "egressDrop.unknownWorkload": 1 });
  });

  test("and nothing is delivered to it", async () => {
    const fixture = await onNodeA();
    fixture.egress(SYN.frame());
    await fixture.apply({ nodes: [NODE.b, NODE.c, NODE.d], services: [serviceB()] });
    const bytes = answer(FLAG.ACK);
    expect(fixture.ingress({ ...FROM.b, bytes }).counts).toEqual({ "ingressDrop.notLocalDestination": 1 });
  });

  test("another client with its address starts flows of its own", async () => {
    const fixture = await onNodeA();
    fixture.egress(SYN.frame());
    const successor = { ...A1, instanceV4: "10.30.1.50", instanceV6: "fdff::150" };
    const services = [
      { ...SERVICE.a, instances: [instance(2, "node-a", successor)] },
      serviceB(),
      SERVICE.c,
      SERVICE.d,
    ];
    await fixture.apply({ nodes: [NODE.b, NODE.c, NODE.d], services });
    const result = fixture.egress(DATA.frame());
    expectPacket(sentPacket(result), from("10.30.1.50", 40000), to(B1.v4, 80));
    expect(result.counts.flowsOpened).toBe(1);
  });
});

describe("a change of the tables that a flow does not use leaves it alone", () => {
  const V4_ONLY = { ...instance(1, "node-b", B1), namespaceAddresses: [B1.v4], instanceAddresses: [B1.instanceV4] };
  const A_V4_ONLY = { ...instance(1, "node-a", A1), namespaceAddresses: [A1.v4], instanceAddresses: [A1.instanceV4] };
  const services = (a: object, b: object) => [
    { ...SERVICE.a, instances: [{ ...instance(1, "node-a", A1), ...a }] },
    serviceB([{ ...instance(1, "node-b", B1), ...b }, instance(2, "node-c", B2)]),
    SERVICE.c,
    SERVICE.d,
  ];
  const tables = (a: object, b: object) => ({ nodes: [NODE.b, NODE.c, NODE.d], services: services(a, b) });

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
    expect(result.datagrams[0]?.endpoint).toBe(TO.b);
    expect(counted(result.counts)).toEqual(ONE);
    expect(fixture.ingress({ ...FROM.b, bytes: answer(FLAG.ACK) }).counts.ingressPackets).toBe(1);
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
      packet().ip(A1.v4, ROUND_ROBIN.b.v4).udp({ sport, dport: 53 }).payload("q").frame();
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
