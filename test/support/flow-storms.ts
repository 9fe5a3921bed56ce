// Four workers on one flow table: they race for the same new flows, answer them, end them by timeout and for want of
// room. Afterwards the table is whole, and no packet of a flow went astray. How many seeds, the caller chooses.
import { Worker } from "node:worker_threads";
import { describe, expect, test } from "vitest";
import { FlowState } from "../../assembly/shared/layout/flow.ts";
import * as HeaderLayout from "../../assembly/shared/layout/header.ts";
import { Region } from "../../assembly/shared/layout/header.ts";
import * as WorkerLayout from "../../assembly/shared/layout/worker.ts";
import * as Protocol from "../../assembly/shared/protocol.ts";
import { EngineFixture, loadEngineModule } from "./engine-fixture.ts";
import { EngineMemory } from "./engine-memory.ts";
import { addressBytes, FLAG, packet } from "./packet-builder.ts";
import { Random, testSeed } from "./random.ts";
import type { Counts } from "./reference/counts.ts";
import { inspectFlowTable } from "./reference/flow-table.ts";
import { A1, B1, B2, B3, C1, CLOSEST, NODE, RANGES, ROUND_ROBIN, THIS_NODE, world } from "./world.ts";

const WORKERS = 4;
const ROUNDS = 120;
const BATCH = 48;
const SERVICE_PORT = 80;
const WORKER_FILE = new URL("../scenarios/in-worker/flow-storm.mjs", import.meta.url);

interface Storm {
  readonly name: string;
  readonly keyCount: number;
  readonly flowLimit: number;
  /** Milliseconds; one passes with each call. */
  readonly timeoutMs: number;
  readonly sweeps: boolean;
  /** Connections are closed and begun anew. */
  readonly closes: boolean;
}

const STORMS: readonly Storm[] = [
  { name: "racing for new flows", keyCount: 720, flowLimit: 4096, timeoutMs: 1e9, sweeps: false, closes: false },
  {
    name: "with timeouts and new connections",
    keyCount: 240,
    flowLimit: 4096,
    timeoutMs: 40,
    sweeps: true,
    closes: true,
  },
  { name: "with too few records", keyCount: 400, flowLimit: 64, timeoutMs: 1e9, sweeps: false, closes: true },
  { name: "with everything, in a tiny table", keyCount: 120, flowLimit: 8, timeoutMs: 12, sweeps: true, closes: true },
];

/** A flow key as the workers know it: addresses in hexadecimal digits. */
interface Key {
  readonly client: string;
  readonly clientInstance: string;
  readonly called: string;
  /** Where an instance address leads. */
  readonly target: string | undefined;
  readonly clientPort: number;
  readonly calledPort: number;
  readonly protocol: number;
}

export function describeStorms(seedCount: number): void {
  describe.each(STORMS)("a storm $name", (storm) => testStorm(storm, seedCount));
}

function testStorm(storm: Storm, seedCount: number): void {
  const isStrict = !storm.sweeps && !storm.closes;
  const first = testSeed(1);

  test.each(Array.from({ length: seedCount }, (_, i) => first + i))(
    "seed %i: the table is whole [defect 9]",
    async (seed) => {
      const fixture = await createTable(storm);
      const { keys, frames } = buildKeys(storm, new Random(seed));
      const translations = await runWorkers(fixture, { seed, keys, frames, storm, isStrict });

      const { live, broken } = inspectFlowTable(fixture.shared);
      expect(broken).toEqual([]);
      const counts = countsOf(fixture);
      const ended = (counts.flowsExpired ?? 0) + (counts.flowsEvicted ?? 0) + (counts.flowsRestarted ?? 0);
      expect((counts.flowsOpened ?? 0) - ended).toBe(live);
      // One flow has one translation: there are no more translations than flows.
      expect(translations.size).toBeLessThanOrEqual(counts.flowsOpened ?? 0);
      if (isStrict) {
        const seen = new Set([...translations].map((one) => one.split(" ")[0]));
        expect(seen.size, "keys").toBe(keys.length);
        expect(translations.size, "each key has one translation, with all workers").toBe(keys.length);
        expect(counts.flowsOpened).toBe(keys.length);
        expect(live).toBe(keys.length);
      } else {
        expect(ended, "flows that ended").toBeGreaterThan(0);
      }
      expireAll(fixture);
      expect(inspectFlowTable(fixture.shared)).toEqual({ live: 0, broken: [] });
    },
  );
}

async function createTable(storm: Storm): Promise<EngineFixture> {
  const { timeoutMs } = storm;
  return EngineFixture.create({
    nodeId: THIS_NODE,
    ranges: RANGES,
    tables: world(),
    withoutTwin: true,
    memory: {
      capacities: { flows: storm.flowLimit, addresses: 64, instances: 64, workloads: 64, nodes: 16, workers: WORKERS },
      offloads: 0, // one datagram per message, one packet per frame
      timeoutsMs: {
        udpUnreplied: timeoutMs,
        udpStream: timeoutMs,
        tcpOpening: timeoutMs,
        tcpEstablished: timeoutMs,
        tcpHalfClosed: timeoutMs,
        tcpClosed: timeoutMs,
      },
    },
  });
}

/** Flows of two workloads to both addresses of a service and to its instances, so that many have the same answers. */
function buildKeys(storm: Storm, random: Random): { keys: Key[]; frames: Uint8Array[][] } {
  const keys: Key[] = [];
  const frames: Uint8Array[][] = [];
  const called = [
    { v4: CLOSEST.b.v4, v6: CLOSEST.b.v6, target: undefined },
    { v4: ROUND_ROBIN.b.v4, v6: ROUND_ROBIN.b.v6, target: undefined },
    { v4: B2.instanceV4, v6: B2.instanceV6, target: B2 },
  ];
  const variants = [FLAG.SYN, FLAG.ACK, ...(storm.closes ? [FLAG.FIN | FLAG.ACK, FLAG.RST, FLAG.SYN, FLAG.SYN] : [])];
  for (let number = 0; number < storm.keyCount; number++) {
    const client = random.pick([A1, C1]);
    const isV4 = random.chance(0.5);
    const isTcp = random.chance(0.5);
    const address = called[number % called.length] as (typeof called)[number];
    const clientPort = 2000 + Math.floor(number / called.length);
    const [src, dst] = isV4 ? [client.v4, address.v4] : [client.v6, address.v6];
    const payload = Uint8Array.of(0, 0, number >> 8, number);
    const ports = { sport: clientPort, dport: SERVICE_PORT };
    keys.push({
      client: hex(src),
      clientInstance: hex(isV4 ? client.instanceV4 : client.instanceV6),
      called: hex(dst),
      target: address.target && hex(isV4 ? address.target.v4 : address.target.v6),
      clientPort,
      calledPort: SERVICE_PORT,
      protocol: isTcp ? Protocol.TCP : Protocol.UDP,
    });
    const ip = packet().ip(src, dst);
    frames.push(
      isTcp
        ? variants.map((flags) =>
            ip
              .tcp({ ...ports, flags })
              .payload(payload)
              .frame(),
          )
        : [ip.udp(ports).payload(payload).frame()],
    );
  }
  return { keys, frames };
}

/** Runs the workers to their end; returns every translation that one of them saw: "key target wire-port". */
async function runWorkers(
  fixture: EngineFixture,
  run: { seed: number; keys: Key[]; frames: Uint8Array[][]; storm: Storm; isStrict: boolean },
): Promise<Set<string>> {
  const { seed, keys, frames, storm, isStrict } = run;
  const targets = [
    { instance: B1, node: NODE.b },
    { instance: B2, node: NODE.c },
    { instance: B3, node: NODE.d },
  ].flatMap(({ instance, node }) => {
    const endpoint = { endpoint: mapped(node.underlay.address), port: node.underlay.port };
    return [
      { address: hex(instance.v4), instance: hex(instance.instanceV4), ...endpoint },
      { address: hex(instance.v6), instance: hex(instance.instanceV6), ...endpoint },
    ];
  });
  const common = {
    memory: fixture.shared.memory,
    module: await loadEngineModule(),
    workersAt: fixture.shared.at(Region.workers),
    clock: new SharedArrayBuffer(4),
    barrier: new SharedArrayBuffer(4),
    options: { workers: WORKERS, answers: true, sweeps: storm.sweeps, closes: storm.closes, isStrict },
    ...{ seed, keys, frames, targets, rounds: ROUNDS, batch: BATCH },
  };
  const workers = Array.from(
    { length: WORKERS },
    (_, worker) => new Worker(WORKER_FILE, { workerData: { ...common, worker } }),
  );
  try {
    return new Set((await Promise.all(workers.map(resultOf))).flat());
  } finally {
    await Promise.all(workers.map((worker) => worker.terminate()));
  }
}

function resultOf(worker: Worker): Promise<string[]> {
  return new Promise((resolve, reject) => {
    worker.on("message", resolve);
    worker.on("error", reject);
    worker.on("exit", (code) => reject(new Error(`a worker ended with ${code} and said nothing`)));
  });
}

/** Counters of all workers together; the memory was new. */
function countsOf(fixture: EngineFixture): Counts {
  const sum: Counts = {};
  for (let worker = 0; worker < WORKERS; worker++) {
    const io = new EngineMemory(fixture.shared.memory, fixture.shared.at(Region.workers) + worker * WorkerLayout.SIZE);
    const counts = io.countsSince(io.snapshot().fill(0n));
    for (const name of Object.keys(counts) as (keyof Counts)[]) sum[name] = (sum[name] ?? 0) + (counts[name] ?? 0);
  }
  return sum;
}

/** Every worker sweeps its share, long after the last packet. */
function expireAll(fixture: EngineFixture): void {
  for (let state = FlowState.udpUnreplied; state < FlowState.count; state++) {
    fixture.io.view.setUint32(HeaderLayout.AT + HeaderLayout.TIMEOUTS_MS + 4 * state, 1, true);
  }
  for (let worker = 0; worker < WORKERS; worker++) {
    fixture.engine.attach(worker, 0n);
    fixture.engine.sweep(2_000_000_000, 2 * fixture.shared.capacities.flows + 10_000);
  }
}

function hex(address: string): string {
  return Buffer.from(addressBytes(address)).toString("hex");
}

/** As a sockaddr_in6 has it. */
function mapped(address: string): string {
  const bytes = hex(address);
  return bytes.length === 8 ? `${"0".repeat(20)}ffff${bytes}` : bytes;
}
