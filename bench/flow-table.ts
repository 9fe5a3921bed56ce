// What a packet of a known flow costs when there are few, many and very many flows, in random order: the cost is the
// cache's. Beside it the same look-up in a Map of the same size.
//
// Each batch is made of packets of other flows (two bytes of port and one of address are set in each, some 5 ns a
// packet), because the same 64 flows would stay in the cache, however many there are.
import * as WorkerLayout from "../assembly/shared/layout/worker.ts";
import * as Virtio from "../assembly/shared/virtio.ts";
import type { Service } from "../src/model/tables.ts";
import { packet } from "../test/support/packet-builder.ts";
import { BenchNode, instance, NODE, NOW_US, TABLES } from "./bench-node.ts";
import type { Case, Work } from "./harness.ts";

const FLOW_COUNTS = [
  { name: "1 k flows", count: 1_000 },
  { name: "64 k flows", count: 64_000 },
  { name: "1 M flows", count: 1_000_000 },
] as const;
const BATCHES = 64; // per call
/** Flows of one client: so many of its ports are used. */
const PORTS = 32_768;
const FIRST_PORT = 1024;
const CLIENTS = 32;
const CALLED = "10.30.0.1";

/** Where the flow's number goes in a frame. */
const CLIENT_AT = Virtio.SIZE + 15;
const PORT_AT = Virtio.SIZE + 20;

export async function flowTableCases(): Promise<readonly Case[]> {
  return Promise.all(
    FLOW_COUNTS.map(async ({ name, count }): Promise<Case> => {
      const node = await BenchNode.create({
        capacities: { flows: count, workloads: 64, instances: 128, addresses: 128 },
        services: [...clients(), ...TABLES.services.filter((service) => service.name === "server")],
      });
      return { name: `egress, random one of ${name}`, unit: "ns", fast: lookUps(node, count), twin: mapLookUps(count) };
    }),
  );
}

function clients(): Service[] {
  return Array.from({ length: CLIENTS }, (_, i) => ({
    name: `client-${i}`,
    addresses: [],
    instances: [instance(NODE, [`10.18.0.${i}`], [`10.30.2.${i}`])],
  }));
}

function lookUps(node: BenchNode, count: number): Work {
  const { bytes } = node.shared;
  const frame = packet().ip("10.18.0.0", CALLED).tcp({ sport: FIRST_PORT, dport: 80 }).payload(24).frame();
  const from = node.workerAt + WorkerLayout.UDP_SLOTS;
  const to = node.workerAt + WorkerLayout.TUN_SLOTS + WorkerLayout.SLOT_HEADROOM;
  bytes.set(frame, from);
  for (let slot = 0; slot < WorkerLayout.BATCH_SIZE; slot++) node.io.putFrame(slot, frame);
  const batch = (flowOf: (slot: number) => number): void => {
    node.workbench.exports.copyEach(from, 0, to, WorkerLayout.SLOT_SIZE, frame.length, WorkerLayout.BATCH_SIZE);
    for (let slot = 0; slot < WorkerLayout.BATCH_SIZE; slot++) {
      const flow = flowOf(slot);
      const at = to + slot * WorkerLayout.SLOT_SIZE;
      const port = FIRST_PORT + (flow % PORTS);
      bytes[at + CLIENT_AT] = flow / PORTS;
      bytes[at + PORT_AT] = port >>> 8;
      bytes[at + PORT_AT + 1] = port;
    }
    node.engine.egress(0, WorkerLayout.BATCH_SIZE, NOW_US);
  };
  let isFilled = false;
  const random = generator(count);
  return {
    amount: BATCHES * WorkerLayout.BATCH_SIZE,
    run: () => {
      if (!isFilled) {
        const fill = (): void => {
          for (let first = 0; first < count; first += WorkerLayout.BATCH_SIZE)
            batch((slot) => Math.min(first + slot, count - 1));
        };
        node.expectAll(fill, "flowsOpened", count);
        isFilled = true;
      }
      for (let i = 0; i < BATCHES; i++) batch(random);
    },
  };
}

/** A Map by client and port, as a proxy in plain JavaScript would keep it. */
function mapLookUps(count: number): Work {
  const flows = new Map<string, number>();
  const key = (flow: number): string =>
    `10.18.0.${Math.floor(flow / PORTS)} ${FIRST_PORT + (flow % PORTS)} ${CALLED} 80`;
  const random = generator(count);
  let found = 0;
  return {
    amount: BATCHES * WorkerLayout.BATCH_SIZE,
    run: () => {
      if (flows.size === 0) for (let flow = 0; flow < count; flow++) flows.set(key(flow), flow);
      for (let i = 0; i < BATCHES * WorkerLayout.BATCH_SIZE; i++) found += flows.get(key(random())) ?? 0;
      if (found < 0) throw new Error("unreachable, but keeps the look-ups");
    },
  };
}

/** Numbers below `limit`, the same in each run; a linear congruential generator costs next to nothing. */
function generator(limit: number): () => number {
  let state = 1;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * limit);
  };
}
