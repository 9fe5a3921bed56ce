// Compares an engine with the one in force: both get the same thousands of packets, calls and pauses, on memories that
// were the same at the beginning; what leaves, what is counted and what the calls answer must be the same. Then the two
// take turns on one memory, beside the engine in force on another.

import * as WorkerLayout from "../../../assembly/shared/layout/worker.ts";
import { SapwoodError } from "../../base/errors.ts";
import { ownCpuMs } from "../../sys/thread-clock.ts";
import type { EngineExports } from "./engine-contract.ts";
import type { SentMessage, TestMessage, TestPeer } from "./played-node.ts";
import { TestNode, type TestWorld } from "./test-node.ts";
import { Dice, type Ends, TrialTraffic } from "./trial-traffic.ts";

const [SELF, NEAR, FAR] = ["self", "near", "far"];
const PEERS: readonly TestPeer[] = [
  { id: NEAR, address: "192.0.2.2", port: 50103 },
  { id: FAR, address: "2001:db8::3", port: 50103 },
];
const STRANGER = { address: "198.51.100.7", port: 50103 };

/** Namespace and instance addresses, IPv4 and IPv6. */
interface Workload {
  readonly node: string;
  readonly own: readonly [string, string];
  readonly instance: readonly [string, string];
}

const CLIENT: Workload = { node: SELF, own: ["10.18.0.2", "fc00::12:2"], instance: ["10.30.1.1", "fdff::101"] };
const SERVERS: readonly Workload[] = [
  { node: NEAR, own: ["10.19.0.2", "fc00::13:2"], instance: ["10.30.1.2", "fdff::102"] },
  { node: FAR, own: ["10.20.0.2", "fc00::14:2"], instance: ["10.30.1.3", "fdff::103"] },
  { node: SELF, own: ["10.18.0.3", "fc00::12:3"], instance: ["10.30.1.4", "fdff::104"] },
];
const CALLED: readonly (readonly [string, string])[] = [
  ["10.30.0.1", "fdff::1"],
  ...SERVERS.map((one) => one.instance),
];
const UNKNOWN = ["10.30.99.9", "fdff::9999"] as const;

const WORLD: TestWorld = {
  nodeId: SELF,
  nodes: PEERS,
  ranges: ["10.30.0.0/16", "fdff::/16"],
  services: [
    { name: "client", addresses: [], instances: [instanceOf(CLIENT, 1)] },
    {
      name: "server",
      addresses: ["10.30.0.1", "fdff::1"].map((address) => ({ address, policy: "any" })),
      instances: SERVERS.map((server, i) => instanceOf(server, i + 1)),
    },
  ],
  memory: {
    capacities: { flows: 512, addresses: 32, instances: 16, workloads: 16, nodes: 8, workers: 1 },
    answers: 7,
    tunMtu: 1450,
    hashSeed: 1,
  },
};

/** Of each of the two comparisons: calls, and of processor time. */
const ROUNDS = 400;
const CPU_MS = 1000;
const START_US = 1_000_000_000;
const PAUSES_US = [0, 100, 2000, 50_000, 400_000, 2_000_000, 31_000_000, 400_000_000];
const SWEEP_BUDGET = 700; // more than there are flow records
// asm-generic/errno.h
const [EMSGSIZE, ECONNREFUSED, EINVAL] = [90, 111, 22];
// linux/errqueue.h
const [SO_EE_ORIGIN_LOCAL, SO_EE_ORIGIN_ICMP] = [1, 2];

/** Throws module-refused. With `isForced` differences are no fault; only that the candidate fails. */
export async function compareEngines(
  candidate: WebAssembly.Module,
  inForce: WebAssembly.Module,
  isForced: boolean,
): Promise<void> {
  for (const [seed, takesTurns] of [false, true].entries()) {
    const [known, tried] = [await TestNode.create(WORLD), await TestNode.create(WORLD)];
    tried.shared.bytes.set(known.shared.bytes);
    const reference = known.attach(inForce, choose);
    const own = tried.attach(candidate, choose);
    const other = takesTurns ? tried.attach(inForce, choose) : own;
    const where = takesTurns ? ", taking turns with the engine in force" : "";
    new Comparison(known, tried, reference, [own, other], where, isForced, new Dice(seed + 1)).run();
  }
}

/** A policy that spreads by the flow's hash. */
function choose(_serviceAt: number, flowHash: number): number {
  return (flowHash >>> 0) % SERVERS.length;
}

type Call = (engine: EngineExports) => number | undefined;

class Comparison {
  readonly #known: TestNode;
  readonly #tried: TestNode;
  readonly #reference: EngineExports;
  readonly #candidates: readonly [EngineExports, EngineExports];
  readonly #where: string;
  readonly #isForced: boolean;
  readonly #dice: Dice;
  readonly #traffic: TrialTraffic;
  #queued: readonly SentMessage[] = []; // by the last call of the engine in force
  #sent: Uint8Array[] = []; // by it, lately
  #nowUs = START_US;
  #packets = 0;

  constructor(
    known: TestNode,
    tried: TestNode,
    reference: EngineExports,
    candidates: readonly [EngineExports, EngineExports],
    where: string,
    isForced: boolean,
    dice: Dice,
  ) {
    this.#known = known;
    this.#tried = tried;
    this.#reference = reference;
    this.#candidates = candidates;
    this.#where = where;
    this.#isForced = isForced;
    this.#dice = dice;
    this.#traffic = new TrialTraffic(dice);
  }

  run(): void {
    const endMs = ownCpuMs() + CPU_MS;
    for (let round = 0; round < ROUNDS && ownCpuMs() < endMs; round++) {
      const candidate = this.#candidates[round % 2] as EngineExports;
      this.#nowUs += this.#dice.chance(0.9) ? this.#dice.below(20_000) : this.#dice.pick(PAUSES_US);
      if (this.#dice.chance(0.5)) this.#egress(candidate);
      else this.#ingress(candidate);
      this.#attend(candidate);
    }
  }

  #egress(candidate: EngineExports): void {
    const frames = Array.from({ length: this.#batchSize() }, () => this.#traffic.frame(this.#outwards()));
    for (const node of this.#nodes) node.putFrames(frames);
    this.#whole("frames from the TUN", candidate, frames.length, (engine, next) =>
      engine.egress(next, frames.length, this.#nowUs),
    );
  }

  #ingress(candidate: EngineExports): void {
    const messages = Array.from({ length: this.#batchSize() }, () => this.#message());
    for (const node of this.#nodes) node.putMessages(messages);
    this.#whole("messages from the tunnel", candidate, messages.length, (engine, next) =>
      engine.ingress(next, messages.length, this.#nowUs),
    );
  }

  /** Calls until the whole batch is handled, as the loop does. */
  #whole(
    what: string,
    candidate: EngineExports,
    count: number,
    call: (engine: EngineExports, next: number) => number,
  ): void {
    this.#packets += count;
    for (let next = 0; next < count; ) {
      const from = next;
      next = Math.max(from + 1, this.#both(`${count} ${what}`, candidate, (engine) => call(engine, from)) ?? 0);
      this.#remember(this.#queued);
    }
  }

  /** What is due by time, and what the kernel may say of what was sent. */
  #attend(candidate: EngineExports): void {
    const [dice, nowUs] = [this.#dice, this.#nowUs];
    if (dice.chance(0.3) && this.#queued.length > 0) {
      const message = dice.below(this.#queued.length);
      const errno = dice.pick([EMSGSIZE, EINVAL]);
      this.#both("a message that the kernel refused", candidate, (engine) => engine.udpRejected(message, errno));
    }
    if (dice.chance(0.05)) {
      for (const node of this.#nodes) node.putErrorName(PEERS[0] as TestPeer);
      const errno = dice.pick([EMSGSIZE, ECONNREFUSED]);
      const origin = dice.pick([SO_EE_ORIGIN_LOCAL, SO_EE_ORIGIN_ICMP]);
      this.#both("an error of the path", candidate, (engine) => void engine.pathError(errno, origin, 1400, 0));
    }
    if (dice.chance(0.3)) this.#both("the sweep", candidate, (engine) => engine.sweep(nowUs, SWEEP_BUDGET));
    if (dice.chance(0.1)) this.#probe(candidate);
    if (dice.chance(0.2)) this.#both("the parked packets", candidate, (engine) => engine.unpark(nowUs));
  }

  /** What a probe holds beside its length may be drawn anew by each engine. */
  #probe(candidate: EngineExports): void {
    const probes = (engine: EngineExports, node: TestNode): string => {
      const count = engine.probe(this.#nowUs);
      return [count, ...node.sent().map(({ to, content }) => `${to}:${content.length}`)].join(" ");
    };
    const expected = probes(this.#reference, this.#known);
    this.#compare("the probes", "for the tunnel", expected, probes(candidate, this.#tried));
  }

  /** The same call of both; answers what the engine in force answered. */
  #both(what: string, candidate: EngineExports, call: Call): number | undefined {
    const expected = call(this.#reference);
    let found: number | undefined;
    try {
      found = call(candidate);
    } catch (cause) {
      throw this.#refusal(what, "an answer", `that it failed: ${String(cause)}`);
    }
    this.#compare(what, "an answer of", `${expected}`, `${found}`);
    this.#queued = this.#known.sent();
    this.#compare(what, "for the tunnel", textOf(this.#queued), textOf(this.#tried.sent()));
    this.#compare(what, "for the TUN", this.#known.written().join(" "), this.#tried.written().join(" "));
    this.#compare(what, "as counters", this.#known.counters(), this.#tried.counters());
    return expected;
  }

  #compare(what: string, where: string, expected: string, found: string): void {
    if (expected === found || this.#isForced) return;
    let at = 0;
    while (expected[at] === found[at]) at += 1;
    const part = (text: string): string => {
      const from = Math.max(0, at - 16);
      return `${from > 0 ? "..." : ""}${text.slice(from, at + 32) || "nothing"}`;
    };
    throw this.#refusal(what, `${where} ${part(expected)}`, part(found));
  }

  #refusal(what: string, expected: string, found: string): SapwoodError {
    const hint = "It can be loaded with --force if it shall do otherwise than the engine in force.";
    return new SapwoodError(
      "module-refused",
      `The engine module failed its self-test${this.#where}, after ${this.#packets} packets, at ${what}: ` +
        `expected ${expected}, found ${found}.${this.#isForced ? "" : ` ${hint}`}`,
    );
  }

  get #nodes(): readonly TestNode[] {
    return [this.#known, this.#tried];
  }

  #batchSize(): number {
    return 1 + this.#dice.below(this.#dice.chance(0.1) ? WorkerLayout.BATCH_SIZE : 12);
  }

  /** Ends of a packet that a workload of this node sends. */
  #outwards(): Ends {
    const family = this.#dice.below(2);
    const from = this.#dice.chance(0.9) ? CLIENT : (SERVERS[2] as Workload);
    const called = this.#dice.chance(0.95) ? this.#dice.pick(CALLED) : UNKNOWN;
    return { source: from.own[family] as string, destination: called[family] as string };
  }

  #message(): TestMessage {
    const dice = this.#dice;
    const from = dice.chance(0.95) ? dice.pick(PEERS) : STRANGER;
    const answer = dice.chance(0.7) && this.#sent.length > 0 ? this.#answerTo(dice.pick(this.#sent)) : undefined;
    if (answer !== undefined) return answer;
    const family = dice.below(2);
    const source = dice.pick(SERVERS).instance[family] as string;
    const destination = dice.pick([CLIENT, SERVERS[2] as Workload]).own[family] as string;
    return { bytes: this.#traffic.packet({ source, destination }), from, trafficClass: this.#traffic.trafficClass() };
  }

  /** From the instance that a packet was sent to, by its node. */
  #answerTo(sent: Uint8Array): TestMessage | undefined {
    const isV4 = sent[0] === 0x45;
    const server = this.#dice.pick(SERVERS.slice(0, PEERS.length));
    const peer = PEERS.find(({ id }) => id === server.node);
    const bytes = this.#traffic.answer(sent, server.instance[isV4 ? 0 : 1]);
    if (bytes === undefined || peer === undefined) return undefined;
    return { bytes, from: peer, trafficClass: this.#traffic.trafficClass() };
  }

  #remember(sent: readonly SentMessage[]): void {
    const packets = sent.map(({ content }) => Uint8Array.from(Buffer.from(content.slice(0, 1000), "hex")));
    this.#sent = [...packets, ...this.#sent].slice(0, 64);
  }
}

function textOf(messages: readonly SentMessage[]): string {
  return messages.map(({ to, content, trafficClass }) => `${to}:${trafficClass}:${content}`).join(" ");
}

function instanceOf({ node, own, instance }: Workload, number: number) {
  return { number, node, namespaceAddresses: own, instanceAddresses: instance, weight: 1, draining: false };
}
