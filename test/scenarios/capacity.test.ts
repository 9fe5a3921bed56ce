// When something is full or missing: new flows go on being served, at the cost of the least useful ones.
import { describe, expect, test } from "vitest";
import {
  FlowState,
  HEADER_AT,
  HEADER_FLOW_COUNT,
  NODE_SIZE,
  NODE_STATE,
  Region,
  SLOT_EMPTY,
} from "../../assembly/shared/layout.ts";
import type { EngineFixture } from "../support/engine-fixture.ts";
import { engineFlows } from "../support/engine-flows.ts";
import { packet, TCP_ACK, TCP_SYN } from "../support/packet-builder.ts";
import { Random } from "../support/random.ts";
import { A1, B_CLOSEST, B_ROUND_ROBIN, B1, C1, FROM_B, onNodeA } from "../support/world.ts";

const FLOWS = 256;
const SMALL = { addresses: 64, instances: 64, workloads: 16, nodes: 8, workers: 1 };

function flowCount(fixture: EngineFixture): number {
  return fixture.io.view.getUint32(HEADER_AT + HEADER_FLOW_COUNT, true);
}

function udp(sport: number, called: string = B_ROUND_ROBIN.v4, dport = 53): Uint8Array {
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
      const answer = packet()
        .ip(B1.instanceV4, A1.v4)
        .tcp({ sport: 80, dport: sport, flags: TCP_SYN | TCP_ACK })
        .bytes();
      fixture.egress(packet().ip(A1.v4, B_ROUND_ROBIN.v4).tcp({ sport, dport: 80, flags: TCP_SYN }).frame());
      fixture.ingress({ ...FROM_B, bytes: answer });
      fixture.egress(packet().ip(A1.v4, B_ROUND_ROBIN.v4).tcp({ sport, dport: 80, flags: TCP_ACK }).frame());
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
      fixture.advance(100_000);
      expect(fixture.sweep().counts.flowsExpired).toBe(ports.size);
      expect(flowCount(fixture)).toBe(0);
    }
  });
});

describe("wire ports", () => {
  test("other flows of the client in the way: the next free port, below 1024 never", async () => {
    const fixture = await onNodeA({ memory: { capacities: { ...SMALL, flows: 16_384 } } });
    for (let i = 0; i < 3000; i++) fixture.egress(udp(1024 + i * 20));
    let rewritten = 0;
    for (let i = 0; i < 3000; i++)
      rewritten += fixture.egress(udp(1024 + i * 20, B_CLOSEST.v4)).counts.portsRewritten ?? 0;
    expect(rewritten).toBe(3000);
  });

  test("portsExhausted when all are taken: the packet is dropped and no flow is left behind", async () => {
    const fixture = await onNodeA({ withoutTwin: true, memory: { capacities: { ...SMALL, flows: 262_144 } } });
    for (let first = 1024; first < 65_536; first += 1024) {
      fixture.egress(...Array.from({ length: 1024 }, (_, i) => udp(first + i)));
    }
    const before = flowCount(fixture);
    const result = fixture.egress(udp(5000, B_CLOSEST.v4));
    expect(result.counts).toEqual({ policyChoices: 1, "egressDrop.portsExhausted": 1 });
    expect(flowCount(fixture)).toBe(before);
  });

  test("after portsExhausted a flow to another port is opened", async () => {
    const fixture = await onNodeA({ withoutTwin: true, memory: { capacities: { ...SMALL, flows: 262_144 } } });
    for (let first = 1024; first < 65_536; first += 1024) {
      fixture.egress(...Array.from({ length: 1024 }, (_, i) => udp(first + i)));
    }
    expect(fixture.egress(udp(5000, B_CLOSEST.v4)).counts["egressDrop.portsExhausted"]).toBe(1);
    expect(fixture.egress(udp(5000, B_CLOSEST.v4, 54)).counts.egressPackets).toBe(1);
    const other = packet().ip(C1.v4, B_CLOSEST.v4).udp({ sport: 5000, dport: 53 }).payload("q").frame();
    expect(fixture.egress(other).counts.egressPackets).toBe(1);
  });
});

test("noNode: an instance whose node is not in the tables takes no flow", async () => {
  const fixture = await onNodeA({ withoutTwin: true });
  const index = fixture.tables.nodeIndex("node-b") as number;
  fixture.io.view.setUint32(fixture.shared.at(Region.nodes) + index * NODE_SIZE + NODE_STATE, SLOT_EMPTY, true);
  const result = fixture.egress(udp(1));
  expect(result.counts).toEqual({ policyChoices: 1, "egressDrop.noNode": 1 });
  expect(result.datagrams).toEqual([]);
  expect(flowCount(fixture)).toBe(0);
});

test("flowTableFull: a table without a record to evict takes no flow, and what needs none goes on", async () => {
  const fixture = await onNodeA({ withoutTwin: true, memory: { capacities: { ...SMALL, flows: 1 } } });
  // The record that exists is held by somebody who is still filling it in: it is counted, and no flow yet.
  fixture.io.view.setUint32(HEADER_AT + HEADER_FLOW_COUNT, 1, true);
  const result = fixture.egress(udp(1));
  expect(result.counts).toEqual({ policyChoices: 1, "egressDrop.flowTableFull": 1 });
  const bytes = packet().ip(B1.instanceV4, A1.v4).udp({ sport: 1, dport: 2 }).payload("x").bytes();
  expect(fixture.ingress({ ...FROM_B, bytes }).counts.ingressPackets).toBe(1);
});
