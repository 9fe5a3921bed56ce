// The same mutants through an engine and its slow twin (test/support/reference): the same bytes out and the same counters.
// Some fifty times as slow as the engine alone with its judges, and the only one that knows what is right for a packet.
import * as WorkerLayout from "../../../assembly/shared/layout/worker.ts";
import { EngineFixture } from "../engine-fixture.ts";
import { Random } from "../random.ts";
import type { Counts } from "../reference/counts.ts";
import { Traffic } from "../traffic.ts";
import { TrafficEvents } from "../traffic-events.ts";
import { trafficMemory } from "../traffic-memory.ts";
import { TrafficWorld } from "../traffic-world.ts";
import { RANGES, THIS_NODE } from "../world.ts";
import { SHARES } from "./engine-fuzz.ts";
import { PacketMutator } from "./packet-mutator.ts";
import { SeedPool } from "./seed-pool.ts";

const FLOWS = 8192;
const SEEDS = 512;
/** Batches after which what mutants are made of is renewed. */
const RENEWAL = 16;
const { BATCH_SIZE } = WorkerLayout;

/** Throws the first difference, with its seed. */
export async function fuzzTwin(seed: number, packets: number): Promise<Counts> {
  const random = new Random(seed);
  const world = new TrafficWorld(random, THIS_NODE);
  const traffic = new Traffic(random, world, SHARES);
  const fixture = await EngineFixture.create({
    ...{ nodeId: THIS_NODE, ranges: RANGES, tables: world.tables() },
    memory: trafficMemory(seed, FLOWS, random),
    policy: ({ candidates }) => (random.chance(0.95) ? random.below(candidates.length) : random.between(-2, 100)),
  });
  const { io } = fixture;
  const frames = new SeedPool(io.view, io.workerAt, false, SEEDS);
  const messages = new SeedPool(io.view, io.workerAt, true, SEEDS);
  const mutator = new PacketMutator(io.view, frames, messages);
  const events = new TrafficEvents(random, world, fixture);
  const renew = (): void => {
    const flows = [...(fixture.twin?.flows.values() ?? [])];
    for (const [slot, frame] of traffic.frames(BATCH_SIZE, flows).entries()) {
      io.putFrame(slot, frame);
      frames.keep(slot);
    }
    for (const [slot, message] of traffic.messages(BATCH_SIZE, flows).entries()) {
      io.putMessage(slot, message);
      messages.keep(slot);
    }
  };
  let done = 0;
  try {
    for (let batch = 0; done < packets; batch++) {
      if (batch % RENEWAL === 0) renew();
      const slots = Array.from({ length: BATCH_SIZE }, (_, slot) => slot);
      if (random.chance(0.5)) {
        for (const slot of slots) mutator.frame(slot, random);
        fixture.egress(...slots.map((slot) => frames.bytesOf(slot)));
      } else {
        for (const slot of slots) mutator.message(slot, random);
        fixture.ingress(...slots.map((slot) => messages.messageOf(slot)));
      }
      done += BATCH_SIZE;
      await events.follow(batch);
    }
  } catch (error) {
    throw new Error(`seed ${seed}, after ${done} packets`, { cause: error });
  }
  return fixture.countsSinceStart();
}
