// Reports of real tables in a real shared memory; what the data plane would have written there is written by hand.

import { beforeEach, describe, expect, test } from "vitest";
import * as FlowLayout from "../../../../assembly/shared/layout/flow.ts";
import { FlowState } from "../../../../assembly/shared/layout/flow.ts";
import * as HeaderLayout from "../../../../assembly/shared/layout/header.ts";
import { Region } from "../../../../assembly/shared/layout/header.ts";
import * as InstanceLayout from "../../../../assembly/shared/layout/instance.ts";
import * as NodeMetricsLayout from "../../../../assembly/shared/layout/node-metrics.ts";
import { NodeHealth } from "../../../../assembly/shared/layout/node-metrics.ts";
import * as Protocol from "../../../../assembly/shared/protocol.ts";
import { Reporter } from "../../../../src/control/observe/reporter.ts";
import { statusReport } from "../../../../src/control/observe/status.ts";
import { TableStore } from "../../../../src/control/tables/table-store.ts";
import { createSharedMemory, type SharedMemory } from "../../../../src/memory/shared-memory.ts";
import { TableWriter } from "../../../../src/memory/table-writer.ts";
import { parseAddress, parsePrefix } from "../../../../src/net/address.ts";
import { OWN_NODE, TABLES } from "../../../support/tables.ts";

const NOW_MS = 10_000;
const RANGES = ["10.30.0.0/16", "fdff::/16"].map(parsePrefix);

const UNCHECKED = { health: "unchecked", healthAgeMs: null, healthReason: null } as const;

let shared: SharedMemory;
let store: TableStore;
let reporter: Reporter;
let view: DataView;

beforeEach(async () => {
  shared = createSharedMemory({
    capacities: { flows: 100, addresses: 50, instances: 40, workloads: 30, nodes: 20, workers: 1 },
    ranges: RANGES,
  });
  view = new DataView(shared.memory.buffer);
  const writer = new TableWriter(shared, { nodeId: OWN_NODE.id, policySlot: () => 0 });
  store = new TableStore(writer, { nodeId: OWN_NODE.id, ranges: RANGES, location: OWN_NODE.location });
  await store.apply(TABLES);
  const kernelDrops = () => ({ udpReceiveDrops: 3, tunDrops: 5 });
  reporter = new Reporter({
    shared,
    node: OWN_NODE,
    store,
    nowMs: () => NOW_MS,
    publicKey: () => undefined,
    kernelDrops,
    healthOf: () => UNCHECKED,
  });
});

test("flows of a service that does not exist are a mistake, not none", () => {
  expect(() => reporter.flows({ limit: 1, service: "bb" })).toThrowError(
    expect.objectContaining({ code: "not-found", message: 'There is no service "bb"; there are b (did you mean b?).' }),
  );
});

test("services count the candidates of either family, and the draining among them", () => {
  expect([...reporter.services()]).toEqual([
    { service: "b", address: "10.30.0.2", policy: "round-robin", candidates: 2, draining: 1 },
    { service: "b", address: "fdff:1000::1", policy: "closest", candidates: 2, draining: 1 },
  ]);
});

test("instances have their place, their addresses and their load", () => {
  const [, second = 0] = store.instanceIndices("b");
  view.setInt32(shared.at(Region.instanceLoads) + second * InstanceLayout.LOAD_SIZE, 7, true);
  const [service] = TABLES.services;
  expect([...reporter.instances()]).toEqual([
    { service: "b", ...service?.instances[0], isLocal: false, flows: 0, ...UNCHECKED },
    { service: "b", ...service?.instances[1], isLocal: true, flows: 7, ...UNCHECKED },
  ]);
});

test("nodes begin with this one and have what the probes measured, or null", () => {
  const at = shared.at(Region.nodeMetrics) + (store.nodeIndex("node-b") ?? 0) * NodeMetricsLayout.SIZE;
  view.setUint32(at + NodeMetricsLayout.RTT_US, 1500, true);
  view.setUint32(at + NodeMetricsLayout.HEALTH, NodeHealth.reachable, true);
  view.setFloat64(at + NodeMetricsLayout.SINCE_US, (NOW_MS - 5000) * 1000, true);
  view.setFloat64(at + NodeMetricsLayout.HEARD_US, (NOW_MS - 250) * 1000, true);
  view.setUint32(at + NodeMetricsLayout.MTU, 1372, true);
  const [own, b, c] = reporter.nodes();
  expect(own).toMatchObject({ id: "node-a", isLocal: true, instances: 1 });
  expect(b).toMatchObject({ id: "node-b", isLocal: false, rttMs: 1.5, lastReplyAgeMs: 250, mtu: 1372, instances: 1 });
  expect(b).toMatchObject({ state: "reachable", stateAgeMs: 5000 });
  expect(b?.distanceKm).toBeCloseTo(505, -1);
  expect(c).toMatchObject({
    id: "node-c",
    rttMs: null,
    distanceKm: null,
    lastReplyAgeMs: null,
    mtu: null,
    instances: 0,
  });
});

describe("flows", () => {
  beforeEach(() => {
    const [first = 0] = store.instanceIndices("b");
    writeFlow(1, Protocol.TCP, FlowState.tcpEstablished, first, 0);
    writeFlow(2, Protocol.UDP, FlowState.udpStream, first, 0);
    writeFlow(3, Protocol.TCP, FlowState.tcpOpening, first, 1); // of the instance that had the record before
    writeFlow(4, Protocol.ICMP, FlowState.icmpQuery, first, 0);
    writeFlow(5, 132, FlowState.otherStream, first, 0);
    view.setUint32(HeaderLayout.AT + HeaderLayout.FLOW_NEXT, 6, true);
    view.setUint32(HeaderLayout.AT + HeaderLayout.FLOW_COUNT, 5, true);
  });

  test("one is shown with both ends, instance, state, idle time and packets", () => {
    expect(reporter.flows({ limit: 1 })).toEqual({
      matching: 5,
      flows: [
        {
          protocol: "tcp",
          client: "10.101.3.23",
          clientPort: 40_001,
          called: "10.30.0.2",
          calledPort: 80,
          service: "b",
          instance: 1,
          node: "node-b",
          state: "tcpEstablished",
          idleMs: 1000,
          forwardPackets: 12,
          reversePackets: 9,
        },
      ],
    });
  });

  test("one of a protocol that has no name here is shown with its number", () => {
    expect(reporter.flows({ limit: 5 }).flows.map(({ protocol }) => protocol)).toEqual([
      ...["tcp", "udp", "tcp", "icmp", "132"],
    ]);
  });

  test("one whose instance is gone has none", () => {
    const { flows } = reporter.flows({ limit: 3 });
    expect(flows[2]).toMatchObject({ clientPort: 40_003, service: null, instance: null, node: null });
  });

  test.each([
    [{ protocol: "tcp" }, [40_001, 40_003]],
    [{ protocol: "udp" }, [40_002]],
    [{ protocol: "icmp" }, [40_004]],
    [{ protocol: "other" }, [40_005]],
    [{ service: "b" }, [40_001, 40_002, 40_004, 40_005]],
    [{ service: "b", protocol: "tcp" }, [40_001]],
  ] as const)("%j selects those that fit", (filter, ports) => {
    const { matching, flows } = reporter.flows({ limit: 10, ...filter });
    expect(flows.map((flow) => flow.clientPort)).toEqual(ports);
    expect(matching).toBe(ports.length);
  });

  test("status has how many there are, and how much of each table is in use", () => {
    const status = statusReport({
      version: "1.2.3",
      node: OWN_NODE,
      tun: { name: "sapwood0", mtu: 1450, queues: 1 },
      tunnel: { address: "192.0.2.1", port: 50103, encryption: "none" },
      network: { isUp: true, routes: [], problems: [], repairs: 0 },
      offloads: [],
      shared,
      workerRestarts: [2],
      provider: undefined,
      store,
      config: { file: "/etc/sapwood/node.yaml", isFollowed: true },
      lastReload: undefined,
    });
    expect(status).toMatchObject({
      node: "node-a",
      generation: 1,
      workers: [{ index: 0, restarts: 2 }],
      flows: { used: 5, limit: 100 },
      tables: {
        addresses: { used: 5, limit: 50 },
        instances: { used: 2, limit: 40 },
        workloads: { used: 1, limit: 30 },
        nodes: { used: 2, limit: 20 },
      },
    });
  });
});

function writeFlow(
  record: number,
  protocol: number,
  state: FlowState,
  instance: number,
  incarnationShift: number,
): void {
  const at = shared.at(Region.flows) + record * FlowLayout.SIZE;
  const incarnationAt = shared.at(Region.instances) + instance * InstanceLayout.SIZE + InstanceLayout.INCARNATION;
  shared.bytes.set(parseAddress("10.101.3.23") ?? [], at + FlowLayout.CLIENT);
  shared.bytes.set(parseAddress("10.30.0.2") ?? [], at + FlowLayout.CALLED);
  view.setUint16(at + FlowLayout.CLIENT_PORT, 40_000 + record, false);
  view.setUint16(at + FlowLayout.CALLED_PORT, 80, false);
  view.setUint8(at + FlowLayout.PROTOCOL, protocol);
  view.setUint8(at + FlowLayout.STATE, state);
  view.setUint32(at + FlowLayout.INSTANCE, instance, true);
  view.setUint32(at + FlowLayout.INSTANCE_INCARNATION, view.getUint32(incarnationAt, true) + incarnationShift, true);
  view.setUint32(at + FlowLayout.LAST_USED_MS, NOW_MS - 1000, true);
  view.setUint32(at + FlowLayout.FORWARD_PACKETS, 12, true);
  view.setUint32(at + FlowLayout.REVERSE_PACKETS, 9, true);
}
