// Random traffic of all kinds through two engines that differ in the bytes of their free memory (canary-pair.ts).
import * as WorkerLayout from "../../assembly/shared/layout/worker.ts";
import { CanaryPair } from "./canary-pair.ts";
import { liveFlows } from "./live-flows.ts";
import { Random } from "./random.ts";
import type { Counts } from "./reference/counts.ts";
import { Traffic, type TrafficShares } from "./traffic.ts";
import { TrafficEvents } from "./traffic-events.ts";
import { trafficMemory } from "./traffic-memory.ts";
import { TrafficWorld } from "./traffic-world.ts";
import { RANGES, THIS_NODE } from "./world.ts";

const FLOWS = 8192;
/** Flows that a batch may go on with. */
const SAMPLE = 48;
const SHARES: TrafficShares = {
  ...{ mutated: 0.15, superPackets: 0.03, large: 0.05, syns: 0.02 },
  ...{ otherKinds: 0.1, errors: 0.08, fragments: 0.15, runs: 0.03, classes: 0.3 },
};

interface FuzzOptions {
  readonly module: WebAssembly.Module;
  readonly seed: number;
  /** Frames and messages that go in. */
  readonly packets: number;
}

interface FuzzResult {
  /** Frames and messages that went in. */
  readonly packetsIn: number;
  /** Datagrams and TUN writes that came out, and their bytes; each was compared. */
  readonly packetsOut: number;
  readonly bytesOut: number;
  readonly counts: Counts;
}

/** Throws when something that comes out holds or depends on foreign memory. */
export async function fuzz({ module, seed, packets }: FuzzOptions): Promise<FuzzResult> {
  const random = new Random(seed);
  const world = new TrafficWorld(random, THIS_NODE);
  const traffic = new Traffic(random, world, { ...SHARES, mutated: 0.1 * (seed % 4) });
  const pair = new CanaryPair(random, {
    ...{ module, nodeId: THIS_NODE, ranges: RANGES },
    memory: trafficMemory(seed, FLOWS, random),
  });
  await pair.apply(world.tables());
  const events = new TrafficEvents(random, world, pair);
  const before = pair.first.io.snapshot();
  let packetsIn = 0;
  for (let batch = 0; packetsIn < packets; batch++) {
    const flows = liveFlows(pair.first.shared, pair.first.tables, world.nodes, random, SAMPLE);
    try {
      if (batch % 2 === 0) pair.egress(...traffic.frames(WorkerLayout.BATCH_SIZE, flows));
      else pair.ingress(...traffic.messages(WorkerLayout.BATCH_SIZE, flows));
      packetsIn += WorkerLayout.BATCH_SIZE;
      await events.follow(batch);
    } catch (error) {
      throw new Error(`seed ${seed}, after ${packetsIn} packets`, { cause: error });
    }
  }
  const counts = pair.first.io.countsSince(before);
  return { packetsIn, packetsOut: pair.packets, bytesOut: pair.bytes, counts };
}
