// Rates of services and instances from flow records that a test writes.

import { beforeEach, expect, test } from "vitest";
import * as FlowLayout from "../../../../assembly/shared/layout/flow.ts";
import { FlowState } from "../../../../assembly/shared/layout/flow.ts";
import * as HeaderLayout from "../../../../assembly/shared/layout/header.ts";
import { Region } from "../../../../assembly/shared/layout/header.ts";
import * as InstanceLayout from "../../../../assembly/shared/layout/instance.ts";
import { Traffic } from "../../../../src/control/observe/traffic.ts";
import { TableStore } from "../../../../src/control/tables/table-store.ts";
import { createSharedMemory, type SharedMemory } from "../../../../src/memory/shared-memory.ts";
import { TableWriter } from "../../../../src/memory/table-writer.ts";
import type { TrafficOrder } from "../../../../src/model/reports.ts";
import { parsePrefix } from "../../../../src/net/address.ts";
import { OWN_NODE, TABLES } from "../../../support/tables.ts";

const RANGES = ["10.30.0.0/16", "fdff::/16"].map(parsePrefix);
const ORDER: TrafficOrder = { by: "service", sort: "packets", limit: 10 };

let shared: SharedMemory;
let store: TableStore;
let nowMs: number;
let counted: number;
let traffic: Traffic;

beforeEach(async () => {
  shared = createSharedMemory({
    capacities: { flows: 100, addresses: 50, instances: 40, workloads: 30, nodes: 20, workers: 1 },
    ranges: RANGES,
  });
  const writer = new TableWriter(shared, { nodeId: OWN_NODE.id, policySlot: () => 0 });
  store = new TableStore(writer, { nodeId: OWN_NODE.id, ranges: RANGES, location: OWN_NODE.location });
  await store.apply(TABLES);
  nowMs = 1000;
  counted = 0;
  traffic = new Traffic({
    shared,
    store,
    counters: () => ({
      counters: { egressPackets: counted, localPackets: 0, egressBytes: 100 * counted },
      drops: { egress: { portZero: counted }, ingress: {} },
      kernel: {},
    }),
    nowMs: () => nowMs,
  });
});

/** A flow to an instance of the tables; state 0 frees its record. */
function write(
  record: number,
  instance: number,
  forward: number,
  reverse: number,
  state: number = FlowState.udpStream,
) {
  const at = shared.at(Region.flows) + record * FlowLayout.SIZE;
  const set = (offset: number, value: number) => {
    shared.u32[(at + offset) >>> 2] = value;
  };
  shared.bytes[at + FlowLayout.STATE] = state;
  set(FlowLayout.INSTANCE, instance);
  const incarnationAt = shared.at(Region.instances) + instance * InstanceLayout.SIZE + InstanceLayout.INCARNATION;
  set(FlowLayout.INSTANCE_INCARNATION, shared.u32[incarnationAt >>> 2] ?? 0);
  set(FlowLayout.FORWARD_PACKETS, forward);
  set(FlowLayout.REVERSE_PACKETS, reverse);
  const next = (HeaderLayout.AT + HeaderLayout.FLOW_NEXT) >>> 2;
  shared.i32[next] = Math.max(shared.i32[next] ?? 0, record + 1);
}

function busiest() {
  const services = store.snapshot().services.filter(({ instances }) => instances.length > 1);
  const name = services[0]?.name ?? "";
  return { name, indices: store.instanceIndices(name) };
}

test("rates are of the time since the look before, and unknown at the first", () => {
  const { name, indices } = busiest();
  write(1, indices[0] ?? 0, 10, 20);
  const first = traffic.report(ORDER);
  expect(first).toMatchObject({ overMs: null, totals: null });
  expect(first.rows.find(({ service }) => service === name)).toMatchObject({
    ...{ flows: 1, outPerSecond: null, inPerSecond: null },
  });
  nowMs += 2000;
  counted = 8;
  write(1, indices[0] ?? 0, 16, 20);
  write(2, indices[1] ?? 0, 4, 2);
  const { overMs, totals, rows } = traffic.report(ORDER);
  expect(overMs).toBe(2000);
  expect(totals).toEqual({ outPackets: 4, outBytes: 400, inPackets: 0, inBytes: 0, dropped: 4 });
  expect(rows[0]).toMatchObject({ service: name, instance: null, flows: 2, outPerSecond: 5, inPerSecond: 1 });
});

test("by instance, sorted, and no more than asked for", () => {
  const { name, indices } = busiest();
  traffic.report(ORDER);
  nowMs += 1000;
  write(1, indices[0] ?? 0, 1, 0);
  write(2, indices[0] ?? 0, 1, 0);
  write(3, indices[1] ?? 0, 50, 0);
  const numbers = store
    .snapshot()
    .services.find((one) => one.name === name)
    ?.instances.map(({ number }) => number);
  const first = (order: Partial<TrafficOrder>) => traffic.report({ ...ORDER, by: "instance", limit: 1, ...order });
  expect(first({}).rows).toMatchObject([{ instance: numbers?.[1], flows: 1, outPerSecond: 50 }]);
  expect(first({ sort: "flows" }).rows).toMatchObject([{ instance: numbers?.[0], flows: 2, outPerSecond: 2 }]);
  expect(first({}).rowCount).toBeGreaterThan(1);
});

test("a record that another flow got counts that one's packets, and a flow that ended none", () => {
  const { indices } = busiest();
  const instance = indices[0] ?? 0;
  write(1, instance, 100, 0);
  write(2, instance, 100, 0);
  traffic.report(ORDER);
  nowMs += 1000;
  write(1, instance, 3, 0); // another one
  write(2, instance, 0, 0, FlowState.free);
  expect(traffic.report(ORDER).rows[0]).toMatchObject({ flows: 1, outPerSecond: 3 });
  nowMs += 1000;
  write(2, instance, 7, 0);
  expect(traffic.report(ORDER).rows[0]).toMatchObject({ flows: 2, outPerSecond: 7 });
});

test("flows of an instance that is gone are nobody's", () => {
  const { indices } = busiest();
  write(1, indices[0] ?? 0, 5, 0);
  const at = shared.at(Region.flows) + FlowLayout.SIZE + FlowLayout.INSTANCE_INCARNATION;
  shared.u32[at >>> 2] = 99;
  expect(traffic.report(ORDER).rows.every(({ flows }) => flows === 0)).toBe(true);
});

test("several that ask at once get the same look, and an old one says nothing", () => {
  traffic.report(ORDER);
  nowMs += 1000;
  const first = traffic.report(ORDER);
  nowMs += 50;
  expect(traffic.report(ORDER)).toEqual(first);
  nowMs += 121_000;
  expect(traffic.report(ORDER).overMs).toBeNull();
});
