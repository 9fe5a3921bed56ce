// What one packet costs in the engine, beside the slow twin that its tests hold it against: parse, a known flow, a new
// flow with a policy's choice, an answer from the tunnel, and the checksum by itself.
//
// One call of the engine handles a whole batch, as in a worker. The engine translates in place, so each batch is first
// copied to where the device would leave it; that is part of the figure (some 5 ns a packet). The twin copies anyway.
import {
  BATCH_SIZE,
  FLOW_BUCKET_SIZE,
  HEADER_AT,
  HEADER_FLOW_COUNT,
  HEADER_FLOW_FREE,
  HEADER_FLOW_NEXT,
  Region,
  SLOT_HEADROOM,
  SLOT_SIZE,
  WORKER_TUN_SLOTS,
  WORKER_UDP_SLOTS,
} from "../assembly/shared/layout.ts";
import { VIRTIO_NET_HDR_SIZE } from "../assembly/shared/protocols.ts";
import type { Instance, Tables } from "../src/control/model.ts";
import type { EngineExports } from "../src/dataplane/engine-contract.ts";
import { PolicyHost } from "../src/dataplane/policies.ts";
import { POLICY_SHAPE } from "../src/dataplane/policy-module.ts";
import { builtModulePath, compileFile, ENGINE_SHAPE, instantiateEngine } from "../src/dataplane/wasm.ts";
import { createSharedMemory, type SharedMemory } from "../src/memory/shared-memory.ts";
import { TableWriter } from "../src/memory/table-writer.ts";
import { parsePrefix } from "../src/net/address.ts";
import { EngineMemory } from "../test/support/engine-memory.ts";
import { packet } from "../test/support/packet-builder.ts";
import { loadProbeModule, type ProbeModule } from "../test/support/probe-module.ts";
import { sumWords } from "../test/support/reference/checksum.ts";
import { parse } from "../test/support/reference/parser.ts";
import { type CountName, ReferenceTranslator } from "../test/support/reference/translator.ts";
import type { Case } from "./harness.ts";

const NODE = "node-a";
const PEER = { address: "192.0.2.2", port: 50103 };
const RANGES = ["10.30.0.0/16", "fdff::/16"];
const FAMILIES = [
  { name: "IPv4", version: 4, client: "10.18.0.2", called: "10.30.0.1", answering: "10.30.1.2", payload: 24 },
  { name: "IPv6", version: 6, client: "fc00::18:2", called: "fdff:2000::1", answering: "fdff::102", payload: 4 },
] as const;
const TABLES: Tables = {
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
/** New flows of one call. */
const NEW_FLOWS = 64 * BATCH_SIZE;
const PARSES = 1000;
const FIRST_PORT = 1024;
const NOW_US = 1e9;
const NOW_MS = NOW_US / 1000;
/** Distance of the frames that wait to be copied. */
const STRIDE = 128;

type Family = (typeof FAMILIES)[number];

export async function engineCases(): Promise<readonly Case[]> {
  const probe = await loadProbeModule();
  return [
    ...FAMILIES.map((family) => parseCase(probe, family)),
    ...(await Promise.all(FAMILIES.map(hitCase))),
    ...(await Promise.all(FAMILIES.map(missCase))),
    ...(await Promise.all(FAMILIES.map(ingressCase))),
    ...[64, 1400, 65_536].map((sizeBytes) => checksumCase(probe, sizeBytes)),
  ];
}

function parseCase(probe: ProbeModule, family: Family): Case {
  const bytes = request(family, FIRST_PORT).subarray(VIRTIO_NET_HDR_SIZE);
  probe.shared.bytes.set(bytes, probe.scratchAt + STRIDE * family.version);
  return {
    name: `parse, ${family.name}`,
    unit: "ns",
    fast: {
      amount: PARSES,
      run: () => {
        probe.exports.parseRepeated(probe.scratchAt + STRIDE * family.version, bytes.length, PARSES);
      },
    },
    twin: {
      amount: PARSES,
      run: () => {
        for (let i = 0; i < PARSES; i++) parse(bytes);
      },
    },
  };
}

async function hitCase(family: Family): Promise<Case> {
  const node = await BenchNode.create();
  const frames = requests(family, BATCH_SIZE);
  const twin = twinTranslator();
  return {
    name: `egress, known flow, ${family.name}`,
    unit: "ns",
    fast: { amount: BATCH_SIZE, run: node.egress(frames) },
    twin: { amount: BATCH_SIZE, run: () => twinEgress(twin, frames) },
  };
}

async function missCase(family: Family): Promise<Case> {
  const node = await BenchNode.create();
  const frames = requests(family, NEW_FLOWS);
  const egress = node.egress(frames);
  const twin = twinTranslator();
  return {
    name: `egress, new flow with choice, ${family.name}`,
    unit: "ns",
    fast: {
      amount: NEW_FLOWS,
      run: () => {
        node.forgetFlows();
        egress();
      },
    },
    twin: {
      amount: NEW_FLOWS,
      run: () => {
        twin.flows.clear();
        twin.reverse.clear();
        twinEgress(twin, frames);
      },
    },
  };
}

async function ingressCase(family: Family): Promise<Case> {
  const node = await BenchNode.create();
  const frames = requests(family, BATCH_SIZE);
  const answers = Array.from({ length: BATCH_SIZE }, (_, i) => answer(family, FIRST_PORT + i));
  node.egress(frames)();
  const twin = twinTranslator();
  twinEgress(twin, frames);
  return {
    name: `ingress, answer, ${family.name}`,
    unit: "ns",
    fast: { amount: BATCH_SIZE, run: node.ingress(answers) },
    twin: {
      amount: BATCH_SIZE,
      run: () => {
        for (const bytes of answers) twin.ingress({ ...PEER, bytes }, NOW_MS);
        twin.take();
      },
    },
  };
}

function checksumCase(probe: ProbeModule, sizeBytes: number): Case {
  const bytes = Uint8Array.from({ length: sizeBytes }, (_, i) => (i * 31) & 0xff);
  const at = probe.scratchAt + 2 ** 20;
  probe.shared.bytes.set(bytes, at);
  const times = Math.ceil(1_000_000 / sizeBytes);
  return {
    name: `checksum, ${sizeBytes} B`,
    unit: "GB/s",
    fast: { amount: times * sizeBytes, run: () => void probe.exports.checksumRepeated(at, sizeBytes, times) },
    twin: {
      amount: times * sizeBytes,
      run: () => {
        for (let i = 0; i < times; i++) sumWords(bytes);
      },
    },
  };
}

/** A node with an engine and the round robin policy, as a worker has them, without devices. */
class BenchNode {
  private readonly io: EngineMemory;
  private readonly workerAt: number;

  private constructor(
    private readonly shared: SharedMemory,
    private readonly engine: EngineExports,
    private readonly probe: ProbeModule,
  ) {
    this.workerAt = shared.at(Region.workers);
    this.io = new EngineMemory(shared.memory, this.workerAt);
  }

  static async create(): Promise<BenchNode> {
    const shared = createSharedMemory({
      capacities: { flows: 2 * NEW_FLOWS, addresses: 64, instances: 64, workloads: 64, nodes: 8, workers: 1 },
      ranges: RANGES.map(parsePrefix),
      hashSeed: 1,
    });
    const tables = new TableWriter(shared, { nodeId: NODE, policySlot: () => 0 });
    await tables.apply({
      setNodes: [{ id: "node-b", underlay: PEER, distanceKm: Number.NaN }],
      setServices: TABLES.services,
    });
    await tables.settled();
    const roundRobin = await compileFile(builtModulePath("policies/round-robin"), POLICY_SHAPE);
    const policies = new PolicyHost(shared.memory, [{ slot: 0, name: "round-robin", module: roundRobin }], 0, () => 0);
    const module = await compileFile(builtModulePath("engine"), ENGINE_SHAPE);
    const engine = instantiateEngine(module, shared.memory, (serviceAt, flowHash, clientHash) =>
      policies.choose(serviceAt, flowHash, clientHash),
    );
    engine.attach(0, 0n);
    return new BenchNode(shared, engine, await loadProbeModule(shared));
  }

  /** Hands frames of one length to the engine, batch by batch. They wait where messages would be received. */
  egress(frames: readonly Uint8Array[]): () => void {
    const from = this.store(frames, this.workerAt + WORKER_UDP_SLOTS);
    const to = this.workerAt + WORKER_TUN_SLOTS + SLOT_HEADROOM;
    const length = (frames[0] as Uint8Array).length;
    frames.slice(0, BATCH_SIZE).forEach((frame, slot) => {
      this.io.putFrame(slot, frame);
    });
    const run = (): void => {
      for (let first = 0; first < frames.length; first += BATCH_SIZE) {
        this.probe.exports.copyEach(from + first * STRIDE, STRIDE, to, SLOT_SIZE, length, BATCH_SIZE);
        this.engine.egress(0, BATCH_SIZE, NOW_US);
      }
    };
    this.expectAll(run, "egressPackets", frames.length);
    return run;
  }

  /** Hands a batch of messages of one length to the engine. They wait where frames would be read. */
  ingress(messages: readonly Uint8Array[]): () => void {
    const from = this.store(messages, this.workerAt + WORKER_TUN_SLOTS);
    const to = this.workerAt + WORKER_UDP_SLOTS + SLOT_HEADROOM;
    const length = (messages[0] as Uint8Array).length;
    messages.forEach((bytes, index) => {
      this.io.putMessage(index, { ...PEER, bytes });
    });
    const run = (): void => {
      this.probe.exports.copyEach(from, STRIDE, to, SLOT_SIZE, length, BATCH_SIZE);
      this.engine.ingress(0, BATCH_SIZE, NOW_US);
    };
    this.expectAll(run, "ingressPackets", messages.length);
    return run;
  }

  /** Empties the flow table as a whole: ending each flow is not part of opening it. */
  forgetFlows(): void {
    const { flowBuckets } = this.shared.records;
    const bucketsAt = this.shared.at(Region.flowBuckets);
    this.shared.bytes.fill(0, bucketsAt, bucketsAt + flowBuckets * FLOW_BUCKET_SIZE);
    this.io.view.setUint32(HEADER_AT + HEADER_FLOW_COUNT, 0, true);
    this.io.view.setUint32(HEADER_AT + HEADER_FLOW_NEXT, 1, true);
    this.io.view.setBigUint64(HEADER_AT + HEADER_FLOW_FREE, 0n, true);
  }

  /** Dropping packets is fast, too: the figure means something only if all of them get through. */
  private expectAll(run: () => void, counter: CountName, expected: number): void {
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

/** 64-byte packets, each of another flow of the one client, as frames. */
function requests(family: Family, count: number): Uint8Array[] {
  return Array.from({ length: count }, (_, i) => request(family, FIRST_PORT + i));
}

function request({ client, called, payload }: Family, sport: number): Uint8Array {
  return packet().ip(client, called).tcp({ sport, dport: 80 }).payload(payload).frame();
}

function answer({ answering, client, payload }: Family, dport: number): Uint8Array {
  return packet().ip(answering, client).tcp({ sport: 80, dport }).payload(payload).bytes();
}

function twinTranslator(): ReferenceTranslator {
  const choice = { index: 0, flowHash: 0, candidates: [0], draining: [false] };
  const twin = new ReferenceTranslator(
    { nodeId: NODE, ranges: RANGES, timeoutsMs: {} },
    { nextChoice: () => choice, wirePort: () => undefined },
  );
  twin.apply(TABLES);
  return twin;
}

function twinEgress(twin: ReferenceTranslator, frames: readonly Uint8Array[]): void {
  for (const frame of frames) twin.egress(frame, NOW_MS);
  twin.take();
}

function instance(node: string, namespaceAddresses: readonly string[], instanceAddresses: readonly string[]): Instance {
  return { number: 0, node, namespaceAddresses, instanceAddresses, weight: 1, draining: false };
}
