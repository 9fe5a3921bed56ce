// A node for the live page: real tables in a real shared memory, flows written as a worker would, and reports made of
// constants.

import * as FlowLayout from "../../assembly/shared/layout/flow.ts";
import { FlowState } from "../../assembly/shared/layout/flow.ts";
import * as HeaderLayout from "../../assembly/shared/layout/header.ts";
import { Region } from "../../assembly/shared/layout/header.ts";
import * as InstanceLayout from "../../assembly/shared/layout/instance.ts";
import * as Protocol from "../../assembly/shared/protocol.ts";
import type { PageSource } from "../../src/control/page/page-source.ts";
import { TableStore } from "../../src/control/tables/table-store.ts";
import { createSharedMemory, type SharedMemory } from "../../src/memory/shared-memory.ts";
import { TableWriter } from "../../src/memory/table-writer.ts";
import type { CountersReport, NodeReport, StatusReport } from "../../src/model/reports.ts";
import type { Service } from "../../src/model/tables.ts";
import { parseAddress, parsePrefix } from "../../src/net/address.ts";
import { FakeSource } from "./control-source.ts";
import { EVENT, STATUS } from "./sample-reports.ts";

const RANGES = ["10.0.0.0/8"].map(parsePrefix);
const NODES = ["node-b", "node-c"].map((id, i) => ({ id, underlay: { address: `192.0.2.${2 + i}`, port: 50103 } }));

/** A node of which all is well. */
const WELL: StatusReport = {
  ...STATUS,
  config: { file: "/etc/sapwood/node.yaml", isFollowed: true },
  lastReload: undefined,
  network: { ...STATUS.network, problems: [] },
};

export class PageWorld {
  readonly shared: SharedMemory;
  readonly store: TableStore;
  /** How often the reports were read. */
  reads = 0;
  status = WELL;
  nodes: readonly NodeReport[];
  counters: CountersReport = { counters: {}, drops: { egress: {}, ingress: {} }, kernel: {} };
  unhealthy: readonly string[] = []; // "b 1"
  epochMs = 1_800_000_000_000;
  #nextRecord = 1;

  private constructor(shared: SharedMemory, store: TableStore) {
    this.shared = shared;
    this.store = store;
    const [example] = new FakeSource().nodes();
    if (example === undefined) throw new Error("no node");
    const own: NodeReport = { ...example, id: "node-a", isLocal: true, rttMs: 0 };
    this.nodes = [own, ...NODES.map(({ id }, i): NodeReport => ({ ...example, id, rttMs: 1 + i }))];
  }

  static async open(services: readonly Service[]): Promise<PageWorld> {
    const capacities = { flows: 20_000, addresses: 65_536, instances: 65_536, workloads: 16, nodes: 8, workers: 1 };
    const shared = createSharedMemory({ capacities, ranges: RANGES });
    const writer = new TableWriter(shared, { nodeId: "node-a", policySlot: () => 0 });
    const store = new TableStore(writer, { nodeId: "node-a", ranges: RANGES });
    await store.apply({ nodes: NODES, services });
    return new PageWorld(shared, store);
  }

  get source(): PageSource {
    const fake = new FakeSource();
    return {
      status: () => {
        this.reads += 1;
        return this.status;
      },
      nodes: () => this.nodes,
      counters: () => this.counters,
      policies: () => fake.policies().map((policy) => ({ ...policy, state: "in force", lastError: null })),
      engine: () => ({ ...fake.engine(), lastError: null }),
      probeLoss: () => 0,
      workerCpuMs: () => [1],
      events: () => [EVENT],
      healthOf: (service, instance) => {
        const isUnhealthy = this.unhealthy.includes(`${service} ${instance}`);
        return isUnhealthy
          ? { health: "unhealthy", healthReason: "nobody listens" }
          : { health: "healthy", healthReason: null };
      },
      shared: this.shared,
      store: this.store,
      nowMs: () => this.epochMs % 2 ** 32,
      epochMs: () => {
        this.epochMs += 1000;
        return this.epochMs;
      },
    };
  }

  /** A flow of a client to an instance of a service; returns its record. */
  addFlow(service: string, instance: number, called: string, packets = 10, state = FlowState.tcpEstablished): number {
    const { shared, store } = this;
    const view = new DataView(shared.memory.buffer);
    const record = this.#nextRecord++;
    const at = shared.at(Region.flows) + record * FlowLayout.SIZE;
    const index = store.instanceIndices(service)[instance] ?? 0;
    shared.bytes.set(parseAddress("10.101.3.23") ?? [], at + FlowLayout.CLIENT);
    shared.bytes.set(parseAddress(called) ?? [], at + FlowLayout.CALLED);
    view.setUint16(at + FlowLayout.CLIENT_PORT, 40_000 + record);
    view.setUint16(at + FlowLayout.CALLED_PORT, 80);
    shared.bytes[at + FlowLayout.PROTOCOL] = Protocol.TCP;
    view.setUint32(at + FlowLayout.INSTANCE, index, true);
    view.setUint32(at + FlowLayout.INSTANCE_INCARNATION, incarnationOf(shared, index), true);
    shared.bytes[at + FlowLayout.STATE] = state;
    this.setPackets(record, packets);
    view.setUint32(HeaderLayout.AT + HeaderLayout.FLOW_NEXT, this.#nextRecord, true);
    return record;
  }

  setPackets(record: number, packets: number): void {
    const at = this.shared.at(Region.flows) + record * FlowLayout.SIZE;
    new DataView(this.shared.memory.buffer).setUint32(at + FlowLayout.FORWARD_PACKETS, packets, true);
  }
}

function incarnationOf(shared: SharedMemory, index: number): number {
  const at = shared.at(Region.instances) + index * InstanceLayout.SIZE + InstanceLayout.INCARNATION;
  return new DataView(shared.memory.buffer).getUint32(at, true);
}

/** A service with a service address and instances on other nodes. */
export function pageService(name: string, host: number, instances = 2): Service {
  const address = (first: string): string => `${first}.${host >> 8}.${host & 255}`;
  return {
    name,
    addresses: [{ address: address("10.30"), policy: "round-robin" }],
    instances: Array.from({ length: instances }, (_, i) => ({
      number: i + 1,
      node: NODES[i % NODES.length]?.id ?? "",
      namespaceAddresses: [address(`172.${i}`)],
      instanceAddresses: [address(`10.${100 + i}`)],
      weight: 1,
      draining: false,
    })),
  };
}
