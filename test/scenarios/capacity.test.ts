// When something is full or missing: new flows go on being served, at the cost of the least useful ones.
import { describe, expect, test } from "vitest";
import * as AddressLayout from "../../assembly/shared/layout/address.ts";
import { FlowState } from "../../assembly/shared/layout/flow.ts";
import * as HeaderLayout from "../../assembly/shared/layout/header.ts";
import { Region } from "../../assembly/shared/layout/header.ts";
import * as NodeLayout from "../../assembly/shared/layout/node.ts";
import { liveFlows } from "../../src/memory/flows.ts";
import type { EngineFixture } from "../support/engine-fixture.ts";
import { engineFlows } from "../support/engine-flows.ts";
import { given } from "../support/given.ts";
import { FLAG, packet, tcpPacket, udpPacket, withSourcePort } from "../support/packet-builder.ts";
import { viewPacket } from "../support/packet-checks.ts";
import { Random } from "../support/random.ts";
import { bucketOf, inspectFlowTable } from "../support/reference/flow-table.ts";
import { A1, B1, C1, CLOSEST, FROM, onNodeA, ROUND_ROBIN } from "../support/world.ts";

const FLOWS = 256;
const SMALL = { addresses: 64, instances: 64, workloads: 16, nodes: 8, workers: 1 };

function flowCount(fixture: EngineFixture): number {
  return fixture.io.view.getUint32(HeaderLayout.AT + HeaderLayout.FLOW_COUNT, true);
}

function udp(sport: number, called: string = ROUND_ROBIN.b.v4, dport = 53): Uint8Array {
  return packet().ip(A1.v4, called).udp({ sport, dport }).payload("q").frame();
}

function smallTable(): Promise<EngineFixture> {
  return onNodeA({ withoutTwin: true, memory: { capacities: { ...SMALL, flows: FLOWS } } });
}

describe("a full flow table", () => {
  test("never stops serving, never grows beyond its limit, and counts what it evicts", async () => {
    const fixture = await smallTable();
    for (let i = 0; i < 20 * FLOWS; i++) {
      fixture.advance(1);
      const result = fixture.egress(udp(1024 + i));
      expect(result.counts.egressPackets).toBe(1);
      expect(result.counts.flowsOpened).toBe(1);
      expect(flowCount(fixture)).toBeLessThanOrEqual(FLOWS);
    }
    const counts = fixture.countsSinceStart();
    expect((counts.flowsOpened ?? 0) - (counts.flowsEvicted ?? 0)).toBe(flowCount(fixture));
    expect(flowCount(fixture)).toBeGreaterThan(FLOWS / 2);
    expect(engineFlows(fixture.shared).length).toBe(flowCount(fixture));
  });

  test("keeps answered connections while a flood of unanswered ones passes", async () => {
    const fixture = await smallTable();
    const kept = 20;
    for (let sport = 1; sport <= kept; sport++) {
      const answer = tcpPacket(B1.instanceV4, A1.v4, { sport: 80, dport: sport, flags: FLAG.SYN | FLAG.ACK }).bytes();
      fixture.egress(packet().ip(A1.v4, ROUND_ROBIN.b.v4).tcp({ sport, dport: 80, flags: FLAG.SYN }).frame());
      fixture.ingress({ ...FROM.b, bytes: answer });
      fixture.egress(packet().ip(A1.v4, ROUND_ROBIN.b.v4).tcp({ sport, dport: 80, flags: FLAG.ACK }).frame());
    }
    for (let i = 0; i < 10 * FLOWS; i++) {
      fixture.advance(1);
      fixture.egress(udp(10_000 + i));
    }
    const established = engineFlows(fixture.shared).filter((line) =>
      line.includes(FlowState[FlowState.tcpEstablished] ?? "?"),
    );
    expect(established.length).toBe(kept);
  });

  test("gives back every record: after all flows expired as many can be opened again", async () => {
    const fixture = await smallTable();
    const random = new Random(3);
    for (let round = 0; round < 10; round++) {
      const ports = new Set(Array.from({ length: FLOWS / 2 }, () => random.between(1024, 65535)));
      for (const port of ports) expect(fixture.egress(udp(port)).counts.flowsEvicted).toBeUndefined();
      expect(flowCount(fixture)).toBe(ports.size);
      fixture.advance(130_000);
      expect(fixture.sweep().counts.flowsExpired).toBe(ports.size);
      expect(flowCount(fixture)).toBe(0);
    }
  });
});

describe("a workload does not take what another one uses", () => {
  const LIMIT = 256;
  const CONNECTIONS = 40;

  /** Established connections of C 1, by FIN, answered datagrams or answered pings. */
  const KINDS = {
    tcp: {
      begin: (i: number) => tcpPacket(C1.v4, ROUND_ROBIN.b.v4, { sport: 2000 + i, dport: 80, flags: FLAG.SYN }),
      answer: (i: number) =>
        tcpPacket(B1.instanceV4, C1.v4, { sport: 80, dport: 2000 + i, flags: FLAG.SYN | FLAG.ACK }),
      goOn: (i: number) => tcpPacket(C1.v4, ROUND_ROBIN.b.v4, { sport: 2000 + i, dport: 80, flags: FLAG.ACK }),
    },
    udp: {
      begin: (i: number) => udpPacket(C1.v4, ROUND_ROBIN.b.v4, 2000 + i, 53, "q"),
      answer: (i: number) => udpPacket(B1.instanceV4, C1.v4, 53, 2000 + i, "a"),
      goOn: (i: number) => udpPacket(C1.v4, ROUND_ROBIN.b.v4, 2000 + i, 53, "q"),
    },
    icmp: {
      begin: (i: number) =>
        packet()
          .ip(C1.v4, ROUND_ROBIN.b.v4)
          .icmp({ type: 8, words: [2000 + i, 1] }),
      answer: (i: number) =>
        packet()
          .ip(B1.instanceV4, C1.v4)
          .icmp({ type: 0, words: [2000 + i, 1] }),
      goOn: (i: number) =>
        packet()
          .ip(C1.v4, ROUND_ROBIN.b.v4)
          .icmp({ type: 8, words: [2000 + i, 2] }),
    },
  };

  async function withConnections(kind: keyof typeof KINDS): Promise<EngineFixture> {
    const fixture = await onNodeA({ withoutTwin: true, memory: { capacities: { ...SMALL, flows: LIMIT } } });
    const { begin, answer, goOn } = KINDS[kind];
    for (let i = 0; i < CONNECTIONS; i++) {
      fixture.egress(begin(i).frame());
      fixture.ingress({ ...FROM.b, bytes: answer(i).bytes() });
      fixture.egress(goOn(i).frame());
    }
    return fixture;
  }

  /** All packets of C 1 belong to flows that are there. */
  function expectAllAlive(fixture: EngineFixture, kind: keyof typeof KINDS): void {
    for (let i = 0; i < CONNECTIONS; i++) {
      expect(fixture.egress(KINDS[kind].goOn(i).frame()).counts.flowsOpened, `connection ${i}`).toBeUndefined();
    }
  }

  const FLOODS: Readonly<Record<string, (fixture: EngineFixture, i: number) => void>> = {
    "UDP that nobody answers": (fixture, i) => void fixture.egress(udp(1024 + i)),
    "UDP that is answered": (fixture, i) => {
      fixture.egress(udp(1024 + i));
      const bytes = udpPacket(B1.instanceV4, A1.v4, 53, 1024 + i, "a").bytes();
      fixture.ingress({ ...FROM.b, bytes });
    },
    "connections that are established": (fixture, i) => {
      const syn = tcpPacket(A1.v4, ROUND_ROBIN.b.v4, { sport: 1024 + i, dport: 80, flags: FLAG.SYN });
      const bytes = tcpPacket(B1.instanceV4, A1.v4, { sport: 80, dport: 1024 + i, flags: FLAG.SYN | FLAG.ACK }).bytes();
      const ack = tcpPacket(A1.v4, ROUND_ROBIN.b.v4, { sport: 1024 + i, dport: 80, flags: FLAG.ACK });
      fixture.egress(syn.frame());
      fixture.ingress({ ...FROM.b, bytes });
      fixture.egress(ack.frame());
    },
    "pings that are answered": (fixture, i) => {
      fixture.egress(
        packet()
          .ip(A1.v4, ROUND_ROBIN.b.v4)
          .icmp({ type: 8, words: [1024 + i, 1] })
          .frame(),
      );
      const bytes = packet()
        .ip(B1.instanceV4, A1.v4)
        .icmp({ type: 0, words: [1024 + i, 1] })
        .bytes();
      fixture.ingress({ ...FROM.b, bytes });
    },
  };

  describe.each(["tcp", "udp", "icmp"] as const)("its %s flows live on", (kind) => {
    test.each(Object.entries(FLOODS))(
      "while another workload opens flows as fast as it can: %s",
      async (_name, flood) => {
        const fixture = await withConnections(kind);
        // Longer than any of the other's flows: they are the oldest.
        for (let i = 0; i < 8 * LIMIT; i++) {
          fixture.advance(1);
          flood(fixture, i);
        }
        expectAllAlive(fixture, kind);
        expect(flowCount(fixture)).toBeLessThanOrEqual(LIMIT);
        expect(inspectFlowTable(fixture.shared).broken).toEqual([]);
        // And it may have more: up to its share, at the cost of the one that has too many.
        for (let i = CONNECTIONS; i < LIMIT / 2; i++) {
          fixture.advance(1);
          expect(fixture.egress(KINDS[kind].begin(i).frame()).counts.flowsOpened).toBe(1);
        }
        expectAllAlive(fixture, kind);
      },
    );

    test.each(Object.entries(FLOODS))(
      "while another one that knows the hash fills its buckets: %s",
      async (name, flood) => {
        const fixture = await withConnections(kind);
        const [protocol, dport] = name.startsWith("UDP") ? [17, 53] : name.startsWith("pings") ? [1, 0] : [6, 80];
        const ports = collidingPorts(fixture, protocol, dport);
        for (let round = 0; round < 3; round++) {
          for (const port of ports) {
            fixture.advance(1);
            flood(fixture, port - 1024);
          }
        }
        expectAllAlive(fixture, kind);
        expect(inspectFlowTable(fixture.shared).broken).toEqual([]);
      },
    );
  });

  /** Client ports of A 1 whose flows have an entry in one bucket, of which there are 128. */
  function collidingPorts(fixture: EngineFixture, protocol: number, dport: number): number[] {
    const wanted = new Set([3, 77]);
    const ports: number[] = [];
    for (let sport = 1024; ports.length < 200 && sport < 65_536; sport++) {
      const key = { source: A1.v4, destination: ROUND_ROBIN.b.v4, sport, dport, protocol };
      if (wanted.has(bucketOf(fixture.shared, key))) ports.push(sport);
    }
    return ports;
  }
});

test("without answers first, then what is closed, then the longest unused", async () => {
  const fixture = await onNodeA({ withoutTwin: true, memory: { capacities: { ...SMALL, flows: 30 } } });
  const tcp = (sport: number, flags: number) => packet().ip(A1.v4, ROUND_ROBIN.b.v4).tcp({ sport, dport: 80, flags });
  const back = (dport: number, flags: number) => {
    const bytes = packet().ip(B1.instanceV4, A1.v4).tcp({ sport: 80, dport, flags }).bytes();
    fixture.ingress({ ...FROM.b, bytes });
  };
  const open = (sport: number, ...more: number[]) => {
    fixture.egress(tcp(sport, FLAG.SYN).frame());
    back(sport, FLAG.SYN | FLAG.ACK);
    fixture.egress(tcp(sport, FLAG.ACK).frame());
    for (const flags of more) {
      fixture.egress(tcp(sport, flags).frame());
      back(sport, flags);
    }
    fixture.advance(1);
  };
  for (let sport = 1; sport <= 10; sport++) open(sport); // oldest of all
  for (let sport = 11; sport <= 20; sport++) open(sport, FLAG.FIN | FLAG.ACK);
  for (let sport = 21; sport <= 30; sport++) {
    fixture.egress(tcp(sport, FLAG.SYN).frame());
    fixture.advance(1);
  }
  const order: number[] = [];
  let before = sourcePorts(fixture);
  for (let sport = 101; sport <= 130; sport++) {
    open(sport);
    const now = sourcePorts(fixture);
    order.push(...before.filter((port) => !now.includes(port)));
    before = now;
  }
  const oldestFirst = (from: number) => Array.from({ length: 10 }, (_, i) => from + i);
  expect(order).toEqual([...oldestFirst(21), ...oldestFirst(11), ...oldestFirst(1)]);
});

function sourcePorts(fixture: EngineFixture): number[] {
  return [...liveFlows(fixture.shared)].map((flow) => flow.clientPort);
}

describe("wire ports", () => {
  /** Opens a flow of A 1 from each of its ports that is wanted. */
  function takePorts(fixture: EngineFixture, isWanted: (port: number) => boolean): void {
    const frame = udp(0);
    for (let first = 1024; first < 65_536; first += 1024) {
      const ports = Array.from({ length: 1024 }, (_, i) => first + i).filter(isWanted);
      fixture.egress(...ports.map((port) => withSourcePort(frame, port)));
    }
  }

  test("other flows of the client in the way: the next free port, below 1024 never", async () => {
    const fixture = await onNodeA({ memory: { capacities: { ...SMALL, flows: 16_384 } } });
    for (let i = 0; i < 3000; i++) fixture.egress(udp(1024 + i * 20));
    let rewritten = 0;
    for (let i = 0; i < 3000; i++)
      rewritten += fixture.egress(udp(1024 + i * 20, CLOSEST.b.v4)).counts.portsRewritten ?? 0;
    expect(rewritten).toBe(3000);
  });

  test("found as long as there is one: all ports but a few are taken", async () => {
    const fixture = await onNodeA({ withoutTwin: true, memory: { capacities: { ...SMALL, flows: 262_144 } } });
    const free = new Set([1024, 1025, 20_000, 33_333, 65_535]);
    takePorts(fixture, (port) => !free.has(port));
    // A client repeats what was dropped: 16 packets look at every port.
    for (let sport = 5000; free.size > 0; sport++) {
      let sent: Uint8Array | undefined;
      for (let attempt = 0; attempt < 16 && sent === undefined; attempt++) {
        [sent] = fixture.egress(udp(sport, CLOSEST.b.v4)).datagrams.map(({ bytes }) => bytes);
      }
      expect(free.delete(viewPacket(given(sent)).sport)).toBe(true);
    }
  });

  test("found at once as long as one in a hundred is free", async () => {
    const fixture = await onNodeA({ withoutTwin: true, memory: { capacities: { ...SMALL, flows: 262_144 } } });
    takePorts(fixture, (port) => port % 1024 < 1014);
    let rewritten = 0;
    for (let i = 0; i < 600; i++) rewritten += fixture.egress(udp(1024 + i, CLOSEST.b.v4)).counts.portsRewritten ?? 0;
    expect(rewritten).toBe(600);
  });

  test("portsExhausted when all are taken: the packet is dropped and no flow is left behind", async () => {
    const fixture = await onNodeA({ withoutTwin: true, memory: { capacities: { ...SMALL, flows: 262_144 } } });
    takePorts(fixture, () => true);
    const before = flowCount(fixture);
    const result = fixture.egress(udp(5000, CLOSEST.b.v4));
    expect(result.counts).toEqual({ policyChoices: 1, "egressDrop.portsExhausted": 1 });
    expect(flowCount(fixture)).toBe(before);
  });

  test("after portsExhausted a flow to another port is opened", async () => {
    const fixture = await onNodeA({ withoutTwin: true, memory: { capacities: { ...SMALL, flows: 262_144 } } });
    takePorts(fixture, () => true);
    expect(fixture.egress(udp(5000, CLOSEST.b.v4)).counts["egressDrop.portsExhausted"]).toBe(1);
    expect(fixture.egress(udp(5000, CLOSEST.b.v4, 54)).counts.egressPackets).toBe(1);
    const other = packet().ip(C1.v4, CLOSEST.b.v4).udp({ sport: 5000, dport: 53 }).payload("q").frame();
    expect(fixture.egress(other).counts.egressPackets).toBe(1);
  });
});

test("noNode: an instance whose node is not in the tables takes no flow", async () => {
  const fixture = await onNodeA({ withoutTwin: true });
  const index = fixture.tables.nodeIndex("node-b") as number;
  fixture.io.view.setUint32(
    fixture.shared.at(Region.nodes) + index * NodeLayout.SIZE + NodeLayout.STATE,
    AddressLayout.SLOT_EMPTY,
    true,
  );
  const result = fixture.egress(udp(1));
  expect(result.counts).toEqual({ policyChoices: 1, "egressDrop.noNode": 1 });
  expect(result.datagrams).toEqual([]);
  expect(flowCount(fixture)).toBe(0);
});

test("flowTableFull: a table without a record to evict takes no flow, and what needs none goes on", async () => {
  const fixture = await onNodeA({ withoutTwin: true, memory: { capacities: { ...SMALL, flows: 1 } } });
  // The record that exists is held by somebody who is still filling it in: it is counted, and no flow yet.
  fixture.io.view.setUint32(HeaderLayout.AT + HeaderLayout.FLOW_COUNT, 1, true);
  const result = fixture.egress(udp(1));
  expect(result.counts).toEqual({ policyChoices: 1, "egressDrop.flowTableFull": 1 });
  const bytes = packet().ip(B1.instanceV4, A1.v4).udp({ sport: 1, dport: 2 }).payload("x").bytes();
  expect(fixture.ingress({ ...FROM.b, bytes }).counts.ingressPackets).toBe(1);
});
