// What control reads of the data plane's regions, written here as a worker would.

import { describe, expect, test } from "vitest";
import { Counter } from "../../../assembly/shared/counters.ts";
import * as FlowLayout from "../../../assembly/shared/layout/flow.ts";
import { FlowState } from "../../../assembly/shared/layout/flow.ts";
import * as HeaderLayout from "../../../assembly/shared/layout/header.ts";
import { Region } from "../../../assembly/shared/layout/header.ts";
import * as InstanceLayout from "../../../assembly/shared/layout/instance.ts";
import * as NodeMetricsLayout from "../../../assembly/shared/layout/node-metrics.ts";
import { NodeHealth } from "../../../assembly/shared/layout/node-metrics.ts";
import * as WorkerLayout from "../../../assembly/shared/layout/worker.ts";
import { DropReason } from "../../../assembly/shared/verdicts.ts";
import { flowCount, readCounter, readCounters, readDrops } from "../../../src/memory/counters.ts";
import { liveFlows } from "../../../src/memory/flows.ts";
import { readInstanceLoad, readNodeMetrics } from "../../../src/memory/measurements.ts";
import { forgetGsoRefusals } from "../../../src/memory/offloads.ts";
import { createSharedMemory } from "../../../src/memory/shared-memory.ts";
import { parseAddress } from "../../../src/net/address.ts";

function fresh() {
  const capacities = { flows: 10, addresses: 8, instances: 8, workloads: 8, nodes: 4, workers: 3 };
  const shared = createSharedMemory({ capacities });
  return { shared, view: new DataView(shared.memory.buffer) };
}

describe("counters", () => {
  test("are summed over the workers and named by their enum", () => {
    const { shared, view } = fresh();
    for (let worker = 0; worker < 3; worker++) {
      const at = shared.at(Region.workers) + worker * WorkerLayout.SIZE;
      view.setBigUint64(at + WorkerLayout.COUNTERS + 8 * Counter.egressBytes, 2n ** 33n + BigInt(worker), true);
      view.setBigUint64(at + WorkerLayout.EGRESS_DROPS + 8 * DropReason.unknownAddress, 5n, true);
      view.setBigUint64(at + WorkerLayout.INGRESS_DROPS + 8 * DropReason.sendFailed, 1n, true);
    }
    const { counters, drops } = readCounters(shared);
    expect(Object.entries(counters).filter(([, value]) => value !== 0)).toEqual([["egressBytes", 3 * 2 ** 33 + 3]]);
    expect(Object.entries(drops.egress).filter(([, value]) => value !== 0)).toEqual([["unknownAddress", 15]]);
    expect(Object.entries(drops.ingress).filter(([, value]) => value !== 0)).toEqual([["sendFailed", 3]]);
    expect(Object.keys(counters)).toHaveLength(Counter.count);
    expect(Object.keys(drops.egress)).toHaveLength(DropReason.count - 1);
    expect(readCounter(shared, Counter.egressBytes)).toBe(3 * 2 ** 33 + 3);
    expect(readDrops(shared, "egress", DropReason.unknownAddress)).toBe(15);
    expect(readDrops(shared, "ingress", DropReason.sendFailed)).toBe(3);
    expect(readDrops(shared, "egress", DropReason.sendFailed)).toBe(0);
  });

  test("the count of flows is the header's", () => {
    const { shared, view } = fresh();
    view.setUint32(HeaderLayout.AT + HeaderLayout.FLOW_COUNT, 77, true);
    expect(flowCount(shared)).toBe(77);
  });
});

describe("live flows", () => {
  test("free records and records never used are passed over", () => {
    const { shared, view } = fresh();
    view.setUint32(HeaderLayout.AT + HeaderLayout.FLOW_NEXT, 4, true);
    for (const record of [1, 3, 4]) {
      shared.bytes[shared.at(Region.flows) + record * FlowLayout.SIZE + FlowLayout.STATE] = FlowState.udpStream;
      view.setUint32(shared.at(Region.flows) + record * FlowLayout.SIZE + FlowLayout.INSTANCE, record, true);
    }
    expect([...liveFlows(shared)].map(({ instance }) => instance)).toEqual([1, 3]);
  });

  test("every field is read", () => {
    const { shared, view } = fresh();
    view.setUint32(HeaderLayout.AT + HeaderLayout.FLOW_NEXT, 2, true);
    const at = shared.at(Region.flows) + FlowLayout.SIZE;
    for (const [offset, address] of [
      [FlowLayout.CLIENT, "10.101.3.23"],
      [FlowLayout.CALLED, "fdff:2000::1"],
      [FlowLayout.TARGET, "fc00::18:3:1"],
    ] as const) {
      shared.bytes.set(parseAddress(address) ?? [], at + offset);
    }
    view.setUint16(at + FlowLayout.CLIENT_PORT, 40_000, false);
    view.setUint16(at + FlowLayout.CALLED_PORT, 80, false);
    view.setUint16(at + FlowLayout.WIRE_PORT, 40_001, false);
    view.setUint8(at + FlowLayout.PROTOCOL, 6);
    view.setUint8(at + FlowLayout.STATE, FlowState.tcpEstablished);
    view.setUint16(at + FlowLayout.NODE, 3, true);
    view.setUint32(at + FlowLayout.INSTANCE, 5, true);
    view.setUint32(at + FlowLayout.INSTANCE_INCARNATION, 9, true);
    view.setUint32(at + FlowLayout.LAST_USED_MS, 2 ** 32 - 100, true);
    view.setUint32(at + FlowLayout.FORWARD_PACKETS, 11, true);
    view.setUint32(at + FlowLayout.REVERSE_PACKETS, 12, true);
    const incarnationAt = shared.at(Region.instances) + 5 * InstanceLayout.SIZE + InstanceLayout.INCARNATION;
    view.setUint32(incarnationAt, 9, true);
    const [flow] = liveFlows(shared);
    expect(flow).toMatchObject({
      protocol: 6,
      protocolName: "tcp",
      client: "10.101.3.23",
      clientPort: 40_000,
      called: "fdff:2000::1",
      calledPort: 80,
      target: "fc00::18:3:1",
      wirePort: 40_001,
      state: "tcpEstablished",
      node: 3,
      instance: 5,
      isInstanceKnown: true,
      forwardPackets: 11,
      reversePackets: 12,
    });
    expect(flow?.idleMs(2 ** 32 + 150)).toBe(250); // the clock went around
    expect(flow?.idleMs(2 ** 32 - 101)).toBe(0); // used after the clock was read
    view.setUint32(incarnationAt, 10, true);
    expect([...liveFlows(shared)][0]?.isInstanceKnown).toBe(false);
  });
});

describe("measurements", () => {
  test("a node without answers has neither time nor age", () => {
    const { shared } = fresh();
    expect(readNodeMetrics(shared, 2, 1000)).toEqual({
      health: "unknown",
      healthAgeMs: null,
      rttUs: null,
      lastReplyAgeMs: null,
      mtu: null,
      takesGso: true,
    });
  });

  test("a node's measurements and an instance's load are those of their records", () => {
    const { shared, view } = fresh();
    const at = shared.at(Region.nodeMetrics) + 2 * NodeMetricsLayout.SIZE;
    view.setUint32(at + NodeMetricsLayout.RTT_US, 750, true);
    view.setUint32(at + NodeMetricsLayout.HEALTH, NodeHealth.lost, true);
    view.setFloat64(at + NodeMetricsLayout.SINCE_US, 950_000, true);
    view.setFloat64(at + NodeMetricsLayout.HEARD_US, 900_000, true);
    view.setUint32(at + NodeMetricsLayout.GSO_REFUSED, 1, true);
    view.setUint32(at + NodeMetricsLayout.MTU, 1372, true);
    const expected = {
      ...({ health: "lost", healthAgeMs: 50, rttUs: 750, lastReplyAgeMs: 100 } as const),
      ...{ mtu: 1372, takesGso: false },
    };
    expect(readNodeMetrics(shared, 2, 1000)).toEqual(expected);
    const days = 60 * 86_400_000; // beyond every wrap of 32 bits of milliseconds
    expect(readNodeMetrics(shared, 2, 1000 + days)).toMatchObject({
      healthAgeMs: days + 50,
      lastReplyAgeMs: days + 100,
    });
    forgetGsoRefusals(shared);
    expect(readNodeMetrics(shared, 2, 1000)).toEqual({ ...expected, takesGso: true });
    view.setInt32(shared.at(Region.instanceLoads) + 3 * InstanceLayout.LOAD_SIZE, 6, true);
    expect([2, 3].map((instance) => readInstanceLoad(shared, instance))).toEqual([0, 6]);
  });
});
