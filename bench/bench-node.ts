// A node for benchmarks: the engine on a memory with tables, and the round robin policy, as a worker has them, without
// devices. Frames and messages wait in memory and are copied to where a device would leave them.

import * as FlowLayout from "../assembly/shared/layout/flow.ts";
import * as HeaderLayout from "../assembly/shared/layout/header.ts";
import { Region } from "../assembly/shared/layout/header.ts";
import * as WorkerLayout from "../assembly/shared/layout/worker.ts";
import type { EngineExports, EngineImports } from "../src/dataplane/modules/engine-contract.ts";
import { POLICY_SHAPE } from "../src/dataplane/modules/policy-module.ts";
import { builtModulePath, compileFile, ENGINE_SHAPE, instantiateEngine } from "../src/dataplane/modules/wasm.ts";
import { PolicyHost } from "../src/dataplane/worker/policies.ts";
import {
  type Capacities,
  createSharedMemory,
  DEFAULT_PASSIVE_HEALTH,
  type SharedMemory,
} from "../src/memory/shared-memory.ts";
import { TableWriter } from "../src/memory/table-writer.ts";
import type { Instance, Service, Tables } from "../src/model/tables.ts";
import { parsePrefix } from "../src/net/address.ts";
import { EngineMemory } from "../test/support/engine-memory.ts";
import type { CountName } from "../test/support/reference/counts.ts";
import { loadWorkbench, type Workbench } from "../test/support/workbench.ts";

export const NODE = "node-a";
export const PEER = { address: "192.0.2.2", port: 50103 };
export const RANGES = ["10.30.0.0/16", "fdff::/16"];
export const NOW_US = 1e9;
/** Distance of the frames that wait to be copied. */
const STRIDE = 128;
export const TABLES: Tables = {
  nodes: [{ id: "node-b", underlay: PEER }],
  services: [
    {
      name: "client",
      addresses: [],
      instances: [instance(NODE, ["10.18.0.2", "fc00::18:2"], ["10.30.1.1", "fdff::101"])],
    },
    {
      name: "server",
      addresses: [
        { address: "10.30.0.1", policy: "round-robin" },
        { address: "fdff:2000::1", policy: "round-robin" },
      ],
      instances: [instance("node-b", ["10.19.0.2", "fc00::19:2"], ["10.30.1.2", "fdff::102"])],
    },
  ],
};

interface BenchNodeOptions {
  readonly capacities?: Partial<Capacities>;
  /** HeaderLayout.OFFLOAD_* in force. */
  readonly offloads?: number;
  readonly services?: readonly Service[];
  /** In the place of the round robin policy in its module. */
  readonly choose?: (memory: WebAssembly.Memory) => Promise<Choose>;
  /** Module file of another engine than the one of this build. */
  readonly engineFile?: string | undefined;
  /** What takes the engine's place. */
  readonly around?: (engine: EngineExports, shared: SharedMemory) => EngineExports;
}

type Choose = EngineImports["policy"]["choose"];

/** A node with an engine and the round robin policy, as a worker has them, without devices. */
export class BenchNode {
  readonly io: EngineMemory;
  readonly workerAt: number;

  private constructor(
    readonly shared: SharedMemory,
    readonly engine: EngineExports,
    readonly workbench: Workbench,
  ) {
    this.workerAt = shared.at(Region.workers);
    this.io = new EngineMemory(shared.memory, this.workerAt);
  }

  static async create(options: BenchNodeOptions = {}): Promise<BenchNode> {
    const shared = createSharedMemory({
      capacities: {
        flows: 8192,
        addresses: 64,
        instances: 64,
        workloads: 64,
        nodes: 8,
        workers: 1,
        ...options.capacities,
      },
      ranges: RANGES.map(parsePrefix),
      passiveHealth: DEFAULT_PASSIVE_HEALTH,
      offloads: options.offloads,
      hashSeed: 1,
    });
    const tables = new TableWriter(shared, { nodeId: NODE, policySlot: () => 0 });
    await tables.apply({
      setNodes: [{ id: "node-b", underlay: PEER, distanceKm: Number.NaN }],
      setServices: options.services ?? TABLES.services,
    });
    await tables.settled();
    const choose = await (options.choose ?? roundRobin)(shared.memory);
    const module = await compileFile(options.engineFile ?? builtModulePath("engine"), ENGINE_SHAPE);
    const engine = instantiateEngine(module, shared.memory, choose);
    engine.attach(0, 0n);
    return new BenchNode(shared, options.around?.(engine, shared) ?? engine, await loadWorkbench(shared));
  }

  /** Hands frames of one length to the engine, batch by batch. They wait where messages would be received. */
  egress(frames: readonly Uint8Array[]): () => void {
    const from = this.store(frames, this.workerAt + WorkerLayout.UDP_SLOTS);
    const to = this.workerAt + WorkerLayout.TUN_SLOTS + WorkerLayout.SLOT_HEADROOM;
    const length = (frames[0] as Uint8Array).length;
    frames.slice(0, WorkerLayout.BATCH_SIZE).forEach((frame, slot) => {
      this.io.putFrame(slot, frame);
    });
    const run = (): void => {
      for (let first = 0; first < frames.length; first += WorkerLayout.BATCH_SIZE) {
        this.workbench.exports.copyEach(
          from + first * STRIDE,
          STRIDE,
          to,
          WorkerLayout.SLOT_SIZE,
          length,
          WorkerLayout.BATCH_SIZE,
        );
        this.engine.egress(0, WorkerLayout.BATCH_SIZE, NOW_US);
      }
    };
    this.expectAll(run, "egressPackets", frames.length);
    return run;
  }

  /** Hands the engine one frame with the source port, at `portAt`, of each of `flows` flows from `firstPort` on. */
  egressFlows(frame: Uint8Array, portAt: number, firstPort: number, flows: number): () => void {
    const from = this.store([frame], this.workerAt + WorkerLayout.UDP_SLOTS);
    const to = this.workerAt + WorkerLayout.TUN_SLOTS + WorkerLayout.SLOT_HEADROOM;
    for (let slot = 0; slot < WorkerLayout.BATCH_SIZE; slot++) this.io.putFrame(slot, frame);
    const { copyEach, storePorts } = this.workbench.exports;
    const run = (): void => {
      for (let first = 0; first < flows; first += WorkerLayout.BATCH_SIZE) {
        copyEach(from, 0, to, WorkerLayout.SLOT_SIZE, frame.length, WorkerLayout.BATCH_SIZE);
        storePorts(to + portAt, WorkerLayout.SLOT_SIZE, firstPort + first, WorkerLayout.BATCH_SIZE);
        this.engine.egress(0, WorkerLayout.BATCH_SIZE, NOW_US);
      }
    };
    this.expectAll(run, "egressPackets", flows);
    return run;
  }

  /** Hands a batch of messages of one length to the engine. They wait where frames would be read. */
  ingress(messages: readonly Uint8Array[]): () => void {
    const from = this.store(messages, this.workerAt + WorkerLayout.TUN_SLOTS);
    const to = this.workerAt + WorkerLayout.UDP_SLOTS + WorkerLayout.SLOT_HEADROOM;
    const length = (messages[0] as Uint8Array).length;
    messages.forEach((bytes, index) => {
      this.io.putMessage(index, { ...PEER, bytes });
    });
    const run = (): void => {
      this.workbench.exports.copyEach(from, STRIDE, to, WorkerLayout.SLOT_SIZE, length, WorkerLayout.BATCH_SIZE);
      this.engine.ingress(0, WorkerLayout.BATCH_SIZE, NOW_US);
    };
    this.expectAll(run, "ingressPackets", messages.length);
    return run;
  }

  /** Empties the flow table as a whole: ending each flow is not part of opening it. */
  forgetFlows(): void {
    const { flowBuckets } = this.shared.records;
    const bucketsAt = this.shared.at(Region.flowBuckets);
    this.shared.bytes.fill(0, bucketsAt, bucketsAt + flowBuckets * FlowLayout.BUCKET_SIZE);
    this.io.view.setUint32(HeaderLayout.AT + HeaderLayout.FLOW_COUNT, 0, true);
    this.io.view.setUint32(HeaderLayout.AT + HeaderLayout.FLOW_NEXT, 1, true);
    this.io.view.setBigUint64(HeaderLayout.AT + HeaderLayout.FLOW_FREE, 0n, true);
  }

  /** Runs once. Dropping packets is fast, too: the figure means something only if all of them get through. */
  expectAll(run: () => void, counter: CountName, expected: number): void {
    const before = this.io.snapshot();
    run();
    const found = this.io.countsSince(before)[counter];
    if (found !== expected) throw new Error(`expected ${expected} ${counter}, found ${found}`);
  }

  private store(frames: readonly Uint8Array[], at: number): number {
    frames.forEach((frame, i) => {
      this.shared.bytes.set(frame, at + i * STRIDE);
    });
    return at;
  }
}

/** As a worker asks it. */
async function roundRobin(memory: WebAssembly.Memory): Promise<Choose> {
  const module = await compileFile(builtModulePath("policies/round-robin"), POLICY_SHAPE);
  const policies = new PolicyHost(memory, [{ slot: 0, name: "round-robin", module }], 0, { clockMs: () => 0 });
  return (serviceAt, flowHash, clientHash) => policies.choose(serviceAt, flowHash, clientHash);
}

export function instance(
  node: string,
  namespaceAddresses: readonly string[],
  instanceAddresses: readonly string[],
): Instance {
  return { number: 0, node, namespaceAddresses, instanceAddresses, weight: 1, draining: false };
}
