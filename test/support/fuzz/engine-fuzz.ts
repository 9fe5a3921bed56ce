// Mutants of random traffic through one engine, a few microseconds each. Everything follows from the seed of a round.
import * as HealthPageLayout from "../../../assembly/shared/layout/health-page.ts";
import * as ProbeLayout from "../../../assembly/shared/layout/probe.ts";
import * as WorkerLayout from "../../../assembly/shared/layout/worker.ts";
import * as Virtio from "../../../assembly/shared/virtio.ts";
import type { Endpoint, ErrorAbout } from "../engine-memory.ts";
import { liveFlows } from "../live-flows.ts";
import { Random } from "../random.ts";
import type { Counts } from "../reference/counts.ts";
import type { Message } from "../reference/translator.ts";
import { Traffic, type TrafficShares } from "../traffic.ts";
import { TrafficEvents } from "../traffic-events.ts";
import { trafficMemory } from "../traffic-memory.ts";
import { TrafficWorld } from "../traffic-world.ts";
import { THIS_NODE } from "../world.ts";
import type { EngineCase } from "./engine-corpus.ts";
import { endName } from "./features.ts";
import { type Alteration, FuzzedEngine } from "./fuzzed-engine.ts";
import { hasRightChecksum, hasRightHeader } from "./output-judge.ts";
import { checksumAt, ipLength } from "./packet-fields.ts";
import { PacketMutator } from "./packet-mutator.ts";

const FLOWS = 4096;
const SAMPLE = 64;
export const SHARES: TrafficShares = {
  ...{ mutated: 0, superPackets: 0.01, large: 0.02, syns: 0.04 },
  ...{ otherKinds: 0.15, errors: 0.12, fragments: 0.12, runs: 0.03, classes: 0.3 },
};
/** Batches after which what mutants are made of is renewed, by as much as a batch holds. */
const RENEWAL = 256;
/** Batches after which something else happens than packets. */
const EVENT = 24;
/** Of the batches, those whose output is judged byte by byte. */
const LOOK = 64;
const EMSGSIZE = 90;
const { BATCH_SIZE } = WorkerLayout;

interface EngineRound {
  readonly packetsIn: number;
  readonly packetsJudged: number;
  readonly features: number;
  readonly counts: Counts;
  /** The first mutants that ended in their way. */
  readonly kept: readonly EngineCase[];
}

/** Throws when a judge finds a fault, with the seed and the batch in the sentence. */
export async function fuzzEngine(
  module: WebAssembly.Module,
  seed: number,
  packets: number,
  alter?: Alteration,
): Promise<EngineRound> {
  const random = new Random(seed);
  const world = new TrafficWorld(random, THIS_NODE);
  const traffic = new Traffic(random, world, SHARES);
  const engine = new FuzzedEngine(module, trafficMemory(seed, FLOWS, random), alter);
  await engine.apply(world.tables());
  const events = new TrafficEvents(random, world, engine);
  const mutator = new PacketMutator(engine.io.view, engine.frames, engine.messages);
  const before = engine.io.snapshot();
  const renew = (): void => {
    const flows = liveFlows(engine.shared, engine.tables, world.nodes, random, SAMPLE);
    for (const [slot, frame] of traffic.frames(BATCH_SIZE, flows).entries()) {
      engine.io.putFrame(slot, frame);
      engine.frames.keep(slot);
    }
    engine.run(true, BATCH_SIZE, "no");
    for (const [slot, message] of traffic.messages(BATCH_SIZE, flows).entries()) {
      engine.io.putMessage(slot, message);
      engine.messages.keep(slot);
    }
    engine.run(false, BATCH_SIZE, "no");
    for (const [slot, message] of probes(random, world).entries()) {
      engine.io.putMessage(slot, message);
      engine.messages.keep(slot);
    }
  };
  const fill = (isEgress: boolean, batchSeed: number): void => {
    const batchRandom = new Random(batchSeed);
    for (let slot = 0; slot < BATCH_SIZE; slot++) {
      if (isEgress) mutator.frame(slot, batchRandom);
      else mutator.message(slot, batchRandom);
    }
  };
  const kept: EngineCase[] = [];
  let batch = 0;
  try {
    for (let i = 0; i < 8; i++) renew();
    for (; engine.packetsIn < packets; batch++) {
      if (batch % RENEWAL === RENEWAL - 1) renew();
      const isEgress = random.chance(0.5);
      const batchSeed = random.u32();
      fill(isEgress, batchSeed);
      const look = batch % LOOK !== 0 ? "no" : random.chance(0.5) ? "yes" : "whole";
      if (look === "whole") leaveOutWrong(engine, isEgress);
      engine.setNoting(batch % 4 !== 3);
      engine.run(isEgress, BATCH_SIZE, look);
      if (engine.features.fresh.size > 0 && look !== "whole") {
        const fresh = new Map(engine.features.fresh);
        const slots = [...fresh.keys()];
        fill(isEgress, batchSeed);
        for (const slot of slots) (isEgress ? engine.frames : engine.messages).keep(slot);
        for (const slot of slots) {
          kept.push({
            ended: endName(fresh.get(slot) ?? 0),
            ...(isEgress ? { frame: engine.frames.bytesOf(slot) } : { message: engine.messages.messageOf(slot) }),
          });
        }
      }
      if (batch % 4 === 3) engine.advance(random.below(25));
      if (batch % EVENT !== EVENT - 1) continue;
      engine.reject(random);
      engine.pathError(...anyPathError(random, world));
      engine.takePages();
      await events.follow((batch / EVENT) | 0);
    }
    engine.finish();
  } catch (error) {
    throw new Error(`seed ${seed}, batch ${batch}, after ${engine.packetsIn} packets`, { cause: error });
  }
  return {
    packetsIn: engine.packetsIn,
    packetsJudged: engine.packetsJudged,
    features: engine.features.count,
    counts: engine.io.countsSince(before),
    kept,
  };
}

/** Probes of other nodes, whole but for what only this node knows: questions and answers, with and without a page. */
function probes(random: Random, world: TrafficWorld): Message[] {
  return [ProbeLayout.SIZE, ProbeLayout.SIZE + HealthPageLayout.SIZE].map((length) => {
    const bytes = Buffer.from(random.bytes(length));
    bytes.writeUInt16LE(ProbeLayout.MAGIC, 0);
    bytes[2] = ProbeLayout.VERSION;
    bytes[ProbeLayout.TYPE_AT] = random.pick([ProbeLayout.REQUEST, ProbeLayout.REPLY]);
    return { ...world.senderOf(random.pick(world.nodes)), bytes };
  });
}

/** Any error of the socket about any part of any datagram. */
function anyPathError(random: Random, world: TrafficWorld): [number, Endpoint, ErrorAbout] {
  const to = random.chance(0.8) ? random.pick(world.tables().nodes).underlay : { address: "192.0.2.250", port: 9 };
  const quote = random.bytes(random.below(WorkerLayout.ERROR_QUOTE_SIZE + 1));
  const mtu = random.chance(0.5) ? random.below(2000) : random.u32();
  const errno = random.chance(0.5) ? EMSGSIZE : random.below(140);
  return [errno, to, { mtu, quote, isLocal: random.chance(0.2) }];
}

/** Empties the slots with a packet whose checksum is wrong or cannot be judged, so that none that leaves may be wrong. */
function leaveOutWrong(engine: FuzzedEngine, isEgress: boolean): void {
  const pool = isEgress ? engine.frames : engine.messages;
  for (let slot = 0; slot < BATCH_SIZE; slot++) {
    const inFront = isEgress ? Virtio.SIZE : 0;
    const at = pool.packetAt(slot);
    const end = at + pool.lengthOf(slot);
    const size = isEgress ? Number.POSITIVE_INFINITY : pool.datagramSize(slot);
    let isRight = end - at > inFront && !(isEgress && engine.io.view.getUint16(at) !== 0);
    for (let from = at + inFront; isRight && from < end; from += size) {
      isRight = isJudgedRight(engine.io.view, from, Math.min(size, end - from));
    }
    if (!isRight) pool.setLength(slot, 0);
  }
}

function isJudgedRight(memory: DataView, at: number, length: number): boolean {
  if (checksumAt(memory, at, length) === 0) return false;
  const isPadded = ipLength(memory, at) !== length;
  if (isPadded) return false;
  const view = new DataView(memory.buffer, at, length);
  return hasRightHeader(view) && hasRightChecksum(view, length);
}
