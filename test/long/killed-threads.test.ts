// Threads that are ended in the middle of whatever they do, while others go on, a hundred times and more: the table is
// whole after each.
import { setImmediate } from "node:timers/promises";
import { Worker } from "node:worker_threads";
import { expect, test } from "vitest";
import { Region } from "../../assembly/shared/layout/header.ts";
import * as WorkerLayout from "../../assembly/shared/layout/worker.ts";
import { FlowTableRepair } from "../../src/memory/flow-repair.ts";
import { EngineFixture, loadEngineModule } from "../support/engine-fixture.ts";
import { FLAG, packet } from "../support/packet-builder.ts";
import { Random } from "../support/random.ts";
import { inspectFlowTable } from "../support/reference/flow-table.ts";
import { sized } from "../support/size.ts";
import { A1, B2, C1, CLOSEST, RANGES, ROUND_ROBIN, THIS_NODE, world } from "../support/world.ts";

const KILLS = sized(100, 1000);
const WORKERS = 3;
const BATCH = 32;
const TIMEOUT_MS = 30;
const WORKER_FILE = new URL("../scenarios/in-worker/killed-thread.mjs", import.meta.url);

test(`${KILLS} threads that are ended leave a table that others go on with`, async () => {
  const fixture = await EngineFixture.create({
    nodeId: THIS_NODE,
    ranges: RANGES,
    tables: world(),
    withoutTwin: true,
    memory: {
      capacities: { flows: 64, addresses: 64, instances: 64, workloads: 64, nodes: 16, workers: WORKERS },
      timeoutsMs: {
        udpUnreplied: TIMEOUT_MS,
        tcpOpening: TIMEOUT_MS,
        tcpHalfClosed: TIMEOUT_MS,
        tcpClosed: TIMEOUT_MS,
      },
    },
  });
  const { shared } = fixture;
  const module = await loadEngineModule();
  const workersAt = shared.at(Region.workers);
  const gate = new Int32Array(new SharedArrayBuffer(4)); // 1 = open
  const common = { memory: shared.memory, module, workersAt, batch: BATCH, frames: frames(), gate };
  const sequence = (worker: number): number =>
    Atomics.load(shared.i32, (workersAt + worker * WorkerLayout.SIZE + WorkerLayout.SEQUENCE) >>> 2);
  /** Lets the threads go on, until each is at work. */
  const open = async (): Promise<void> => {
    const before = Array.from({ length: WORKERS }, (_, worker) => sequence(worker));
    Atomics.store(gate, 0, 1);
    Atomics.notify(gate, 0);
    while (before.some((value, worker) => sequence(worker) === value)) await setImmediate();
  };
  const start = async (worker: number): Promise<Worker> => {
    const thread = new Worker(WORKER_FILE, { workerData: { ...common, worker } });
    await new Promise((resolve, reject) => {
      thread.once("message", resolve);
      thread.once("error", reject);
    });
    return thread;
  };
  const threads = await Promise.all(Array.from({ length: WORKERS }, (_, worker) => start(worker)));
  const repair = new FlowTableRepair(shared.memory);
  const random = new Random(7);
  let inside = 0;
  try {
    for (let kill = 1; kill <= KILLS; kill++) {
      await open();
      const worker = random.below(WORKERS);
      await threads[worker]?.terminate();
      const at = (workersAt + worker * WorkerLayout.SIZE + WorkerLayout.SEQUENCE) >>> 2;
      const wasInside = (sequence(worker) & 1) === 1;
      if (wasInside) Atomics.add(shared.i32, at, 1);
      repair.releaseLock(worker);
      if (wasInside) {
        inside += 1;
        repair.beginRepair();
        await repair.allOutside();
        repair.repair([worker]);
        expect(inspectFlowTable(shared).broken, `after kill ${kill}`).toEqual([]);
        repair.endRepair();
      }
      Atomics.store(gate, 0, 0); // a thread starts five times as fast while the others rest
      threads[worker] = await start(worker);
    }
  } finally {
    await Promise.all(threads.map((thread) => thread.terminate()));
  }
  expect(inside, "threads that were in a call").toBeGreaterThan(KILLS / 4);
});

function frames(): Uint8Array[] {
  return [A1, C1].flatMap((client) =>
    [ROUND_ROBIN.b, CLOSEST.b, { v4: B2.instanceV4 }].flatMap((called) =>
      Array.from({ length: 40 }, (_, i) =>
        packet()
          .ip(client.v4, called.v4)
          .udp({ sport: 2000 + i, dport: 80 })
          .frame(),
      ).concat(
        [FLAG.SYN, FLAG.ACK, FLAG.FIN | FLAG.ACK, FLAG.RST].flatMap((flags) =>
          Array.from({ length: 10 }, (_, i) =>
            packet()
              .ip(client.v4, called.v4)
              .tcp({ sport: 3000 + i, dport: 80, flags })
              .frame(),
          ),
        ),
      ),
    ),
  );
}
