// What a rehearsal on a copy of the memory tells of a packet that is dropped is what then becomes of the packet, for every
// reason that there is. Random traffic goes by twice: first to learn which packets meet which reason, and then, the same
// again, with a rehearsal before some packets of each.
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import * as AddressLayout from "../../assembly/shared/layout/address.ts";
import * as HeaderLayout from "../../assembly/shared/layout/header.ts";
import { Region } from "../../assembly/shared/layout/header.ts";
import * as NodeLayout from "../../assembly/shared/layout/node.ts";
import { DropReason } from "../../assembly/shared/verdicts.ts";
import type { TestPacket } from "../../src/dataplane/modules/played-node.ts";
import { builtModulePath } from "../../src/dataplane/modules/wasm.ts";
import { type Rehearsal, Stage } from "../../src/dataplane/worker/rehearsal.ts";
import { copyMemory, refreshCopy } from "../../src/memory/memory-copy.ts";
import { EngineFixture, loadEngineModule } from "../support/engine-fixture.ts";
import { liveFlows } from "../support/live-flows.ts";
import { packet } from "../support/packet-builder.ts";
import { Random, testSeed } from "../support/random.ts";
import type { DropName } from "../support/reference/counts.ts";
import type { Message } from "../support/reference/translator.ts";
import { ALL_KINDS, Traffic } from "../support/traffic.ts";
import { TrafficEvents, type TrafficTarget } from "../support/traffic-events.ts";
import { trafficMemory } from "../support/traffic-memory.ts";
import { TrafficWorld } from "../support/traffic-world.ts";
import { C1, RANGES, ROUND_ROBIN, THIS_NODE, world } from "../support/world.ts";

type Outcome = `${TestPacket["direction"]} ${DropName}`;

/** So few that some are ended for want of room. */
const FLOWS = 256;
const BATCHES = 700;
const BATCH = 32;
const SAMPLE = 64;
/** Of each outcome. */
const REHEARSED = 3;
const NO_REASON = new Set(["none", "count"]);
/** Not met by random traffic: tables that nobody can write, a moment between two threads, and what the kernel refuses. */
const RARE: readonly DropName[] = ["noNode", "flowTableFull", "queueFull", "sendFailed"];

/** A node that plays every packet by itself, and some of them on a copy of its memory before. */
class RehearsingNode {
  readonly #fixture: EngineFixture;
  readonly #real: Stage;
  readonly #copy: Stage;
  readonly #refresh: () => void;
  readonly #isDue: (packet: number) => boolean;
  readonly outcomes = new Map<number, readonly Outcome[]>(); // by packet
  #packets = 0;

  constructor(fixture: EngineFixture, engine: WebAssembly.Module, isDue: (packet: number) => boolean) {
    // Remembers nothing between two choices, so that one that was not asked about the packets before chooses the same.
    const module = new WebAssembly.Module(readFileSync(builtModulePath("policies/consistent-hash")));
    const policies = [{ slot: 0, name: "consistent-hash", module }];
    const copy = copyMemory(fixture.shared).shared;
    this.#fixture = fixture;
    const clockMs = (): number => fixture.nowMs; // so that no policy is found too slow
    this.#real = new Stage({ shared: fixture.shared, engine, policies, clockMs });
    this.#copy = new Stage({ shared: copy, engine, policies, clockMs });
    this.#refresh = () => void refreshCopy(fixture.shared, copy);
    this.#isDue = isDue;
  }

  /** All but packets happens to the node itself. */
  get target(): TrafficTarget {
    const fixture = this.#fixture;
    return {
      egress: (...frames) => frames.forEach((frame) => this.#play({ direction: "egress", frame })),
      ingress: (...messages) => messages.forEach((message) => this.#play(received(message))),
      probe: () => fixture.probe(),
      unpark: () => fixture.unpark(),
      sweep: () => fixture.sweep(),
      apply: (tables) => fixture.apply(tables),
      acceptStrangers: (isOn) => fixture.acceptStrangers(isOn),
      refuse: (address) => fixture.refuse(address),
      pathError: (errno, to, about) => fixture.pathError(errno, to, about),
      setHealth: (service, number, health) => fixture.setHealth(service, number, health),
      tellHealth: (revision, pages) => fixture.tellHealth(revision, pages),
      wantPage: (node, page) => fixture.wantPage(node, page),
      advance: (milliseconds) => fixture.advance(milliseconds),
    };
  }

  #play(packet: TestPacket): void {
    const number = this.#packets++;
    const { nowUs } = this.#fixture;
    let told: Rehearsal | undefined;
    if (this.#isDue(number)) {
      this.#refresh();
      told = this.#copy.play(packet, nowUs);
    }
    const came = this.#real.play(packet, nowUs);
    if (told !== undefined) expect(timeless(told), `packet ${number}`).toEqual(timeless(came));
    const drops = Object.keys(came.drops) as DropName[];
    if (drops.length > 0)
      this.outcomes.set(
        number,
        drops.map((drop): Outcome => `${packet.direction} ${drop}`),
      );
  }
}

/** Without numbers of candidates that a policy may know from earlier (AskedChoice). */
function timeless(rehearsal: Rehearsal): unknown {
  const { choice } = rehearsal;
  const candidates = choice?.candidates.map(({ flows, rttUs, ...others }) => others);
  return { ...rehearsal, choice: choice && { ...choice, candidates } };
}

function received({ address, port, bytes, trafficClass = 0 }: Message): TestPacket {
  return { direction: "ingress", message: { bytes, from: { address, port }, trafficClass } };
}

async function play(seed: number, isDue: (packet: number) => boolean): Promise<RehearsingNode> {
  const random = new Random(seed);
  const world = new TrafficWorld(random, THIS_NODE);
  const traffic = new Traffic(random, world, { ...ALL_KINDS, mutated: 0.3 });
  const fixture = await EngineFixture.create({
    nodeId: THIS_NODE,
    ranges: RANGES,
    tables: world.tables(),
    memory: trafficMemory(seed, FLOWS, random),
    withoutTwin: true,
  });
  const node = new RehearsingNode(fixture, await loadEngineModule(), isDue);
  const { target } = node;
  const events = new TrafficEvents(random, world, target);
  for (let batch = 0; batch < BATCHES; batch++) {
    const flows = liveFlows(fixture.shared, fixture.tables, world.nodes, random, SAMPLE);
    if (batch % 2 === 0) target.egress(...traffic.frames(BATCH, flows));
    else target.ingress(...traffic.messages(BATCH, flows));
    await events.follow(batch);
  }
  return node;
}

test("what is told of a drop is what then happens, for every reason", async () => {
  const seed = testSeed(1);
  const { outcomes } = await play(seed, () => false);
  const packetsOf = new Map<Outcome, number[]>();
  for (const [packet, met] of outcomes) {
    for (const outcome of met) packetsOf.set(outcome, [...(packetsOf.get(outcome) ?? []), packet]);
  }
  const met = new Set([...packetsOf.keys()].map((outcome) => outcome.split(" ")[1]));
  const reasons = Object.keys(DropReason).filter((name) => Number.isNaN(Number(name)) && !NO_REASON.has(name));
  expect(reasons.filter((reason) => !met.has(reason))).toEqual(RARE);
  const due = new Set([...packetsOf.values()].flatMap((packets) => packets.slice(0, REHEARSED)));
  const again = await play(seed, (packet) => due.has(packet));
  for (const packet of due) expect(again.outcomes.get(packet), `packet ${packet}`).toEqual(outcomes.get(packet));
});

test.each([
  {
    reason: "noNode",
    make: ({ io, shared, tables }: EngineFixture) => {
      const index = tables.nodeIndex("node-b") as number;
      const stateAt = shared.at(Region.nodes) + index * NodeLayout.SIZE + NodeLayout.STATE;
      io.view.setUint32(stateAt, AddressLayout.SLOT_EMPTY, true);
    },
  },
  {
    reason: "flowTableFull",
    // The record that exists is held by somebody who is still filling it in: it is counted, and no flow yet.
    make: ({ io }: EngineFixture) => io.view.setUint32(HeaderLayout.AT + HeaderLayout.FLOW_COUNT, 1, true),
  },
])("the same for $reason", async ({ reason, make }) => {
  const capacities = { flows: 1, addresses: 64, instances: 64, workloads: 16, nodes: 8, workers: 1 };
  const fixture = await EngineFixture.create({
    ...{ nodeId: THIS_NODE, ranges: RANGES, tables: world(), withoutTwin: true, memory: { capacities } },
  });
  make(fixture);
  const node = new RehearsingNode(fixture, await loadEngineModule(), () => true);
  node.target.egress(packet().ip(C1.v4, ROUND_ROBIN.b.v4).udp({ sport: 1, dport: 53 }).payload("q").frame());
  expect(node.outcomes.get(0)).toEqual([`egress ${reason}`]);
});
