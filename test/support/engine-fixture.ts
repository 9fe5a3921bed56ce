// One worker's engine on a memory of its own, with tables, a clock and a policy that the test holds, beside the slow
// twin: each batch goes through both, and whatever they disagree about fails the test.
import { readFile } from "node:fs/promises";
import { expect } from "vitest";
import * as CallerLayout from "../../assembly/shared/layout/caller.ts";
import * as CandidateLayout from "../../assembly/shared/layout/candidate.ts";
import * as FlowLayout from "../../assembly/shared/layout/flow.ts";
import { FlowState } from "../../assembly/shared/layout/flow.ts";
import * as HeaderLayout from "../../assembly/shared/layout/header.ts";
import { Region } from "../../assembly/shared/layout/header.ts";
import * as InstanceLayout from "../../assembly/shared/layout/instance.ts";
import * as KernelLayout from "../../assembly/shared/layout/kernel.ts";
import * as RefusalLayout from "../../assembly/shared/layout/refusal.ts";
import * as ServiceLayout from "../../assembly/shared/layout/service.ts";
import * as WorkerLayout from "../../assembly/shared/layout/worker.ts";
import type { EngineExports, EngineImports } from "../../src/dataplane/modules/engine-contract.ts";
import { builtModulePath, instantiateEngine } from "../../src/dataplane/modules/wasm.ts";
import { addressHash } from "../../src/memory/hash.ts";
import type { InstanceHealthName } from "../../src/memory/instance-health.ts";
import { writeOwnAddresses } from "../../src/memory/own-addresses.ts";
import { refuseAddress } from "../../src/memory/questions.ts";
import {
  createSharedMemory,
  DEFAULT_PROBE_INTERVAL_MS,
  type MemoryOptions,
  type SharedMemory,
} from "../../src/memory/shared-memory.ts";
import { TableWriter } from "../../src/memory/table-writer.ts";
import type { Tables } from "../../src/model/tables.ts";
import { parsePrefix } from "../../src/net/address.ts";
import { type Endpoint, EngineMemory, type ErrorAbout, originOf, type SentMessage } from "./engine-memory.ts";
import { compareLists, cutUp, datagramsOf, grouped, type Result, sameCounts } from "./engine-result.ts";
import { FixtureHealth } from "./fixture-health.ts";
import { expectSame } from "./quick-expect.ts";
import type { Counts } from "./reference/counts.ts";
import type { Choice } from "./reference/flows.ts";
import type { Place } from "./reference/ledger.ts";
import { rawAddress, V4_MAPPED } from "./reference/tables.ts";
import { type Message, ReferenceTranslator } from "./reference/translator.ts";
import { difference } from "./table-difference.ts";

/** What a test's policy is asked: how many candidates there are, and which of them drain. */
type Policy = (choice: Omit<Choice, "index">, serviceAt: number) => number;

export interface FixtureOptions {
  readonly nodeId: string;
  readonly ranges: readonly string[];
  readonly tables: Tables;
  readonly policy?: Policy;
  readonly memory?: Omit<MemoryOptions, "ranges">;
  /** Of the node itself; OWN_ADDRESSES unless given. */
  readonly ownAddresses?: readonly string[];
  /** Without the twin: for what it does not know, as a full flow table. */
  readonly withoutTwin?: boolean;
  /** Makes the engine, in the place of that of the build. */
  readonly instantiate?: (memory: WebAssembly.Memory, choose: EngineImports["policy"]["choose"]) => EngineExports;
}

/** Counted by the host around its system calls, or by the engine for the host; no rule of translation. */
const IO_COUNTERS = ["tunReadFrames", "tunWrittenFrames", "udpReceivedMessages", "udpSentMessages"] as const;

const START_US = 1_000_000_000;
/** How often a worker looks at the other nodes. */
const LOOK_MS = 50;
const PROBE_MAGIC = [0x53, 0x57] as const;
/** From which the node's kernel sends ICMP errors. */
export const OWN_ADDRESSES = ["10.18.0.254", "fc00::254", "192.0.2.1", "2001:db8::1"];
const REFUSAL_SETS = RefusalLayout.REFUSED_MAX / RefusalLayout.REFUSED_SET;
const SMALL = { flows: 4096, addresses: 1024, instances: 1024, workloads: 256, nodes: 64, workers: 1 };

let engineModule: Promise<WebAssembly.Module> | undefined;

export function loadEngineModule(): Promise<WebAssembly.Module> {
  engineModule ??= readFile(builtModulePath("engine")).then((bytes) => WebAssembly.compile(bytes));
  return engineModule;
}

export class EngineFixture {
  readonly shared: SharedMemory;
  readonly engine: EngineExports;
  readonly io: EngineMemory;
  readonly tables: TableWriter;
  readonly twin: ReferenceTranslator | undefined;
  nowUs = START_US;
  /** Stands for the policy modules. */
  policy: Policy;
  private readonly health: FixtureHealth;
  private readonly atStart: BigUint64Array;
  private inForce: Tables = { nodes: [], services: [] };
  private choices: Choice[] = [];
  private pending: Choice[] = [];
  private result: Result | undefined;
  private byEndpoint = new Map<string, Uint8Array[]>();

  static async create(options: FixtureOptions): Promise<EngineFixture> {
    const fixture = new EngineFixture(await loadEngineModule(), options);
    await fixture.apply(options.tables);
    return fixture;
  }

  private constructor(module: WebAssembly.Module, options: FixtureOptions) {
    this.policy = options.policy ?? (() => 0);
    this.shared = createSharedMemory({
      capacities: SMALL,
      hashSeed: 0x5eed,
      ...options.memory,
      ranges: options.ranges.map(parsePrefix),
    });
    const { ownAddresses = OWN_ADDRESSES } = options;
    writeOwnAddresses(this.shared, ownAddresses);
    this.tables = new TableWriter(this.shared, { nodeId: options.nodeId, policySlot: () => 0 });
    this.io = new EngineMemory(this.shared.memory, this.shared.at(Region.workers));
    const { instantiate = (memory, choose) => instantiateEngine(module, memory, choose) } = options;
    this.engine = instantiate(this.shared.memory, (serviceAt, flowHash, clientHash) =>
      this.choose(serviceAt, flowHash >>> 0, clientHash >>> 0),
    );
    this.engine.attach(0, 0n);
    this.health = new FixtureHealth(this.shared, this.tables, () => this.twin);
    this.atStart = this.io.snapshot();
    if (options.withoutTwin) return;
    const {
      answers = 0,
      tunMtu,
      park,
      outerClass,
      passiveHealth,
      probeIntervalMs = DEFAULT_PROBE_INTERVAL_MS,
    } = options.memory ?? {};
    this.twin = new ReferenceTranslator(
      {
        nodeId: options.nodeId,
        ranges: options.ranges,
        ownAddresses,
        timeoutsMs: this.timeouts(),
        answers: {
          icmp: (answers & HeaderLayout.ANSWER_WITH_ICMP) !== 0,
          reset: (answers & HeaderLayout.ANSWER_WITH_RESET) !== 0,
          lost: lostAnswer(answers),
        },
        clampMss: (answers & HeaderLayout.CLAMP_MSS) !== 0,
        acceptsStrangers: (answers & HeaderLayout.ACCEPT_STRANGERS) !== 0,
        probeIntervalMs,
        passiveHealth,
        ...(tunMtu !== undefined && { tunMtu }),
        ...(outerClass !== undefined && { outerClass }),
        ...(park !== undefined && {
          park: {
            ...park,
            placeOf: (address: string) => this.hashOf(address) % REFUSAL_SETS,
            callerPlaceOf: (caller: string, workload: string) => this.callerPlace(caller, workload),
          },
        }),
      },
      {
        nextChoice: () => this.pending.shift(),
        identification: (place, at) => this.identificationAt(place, at),
      },
    );
  }

  get nowMs(): number {
    return Math.floor(this.nowUs / 1000);
  }

  advance(milliseconds: number): void {
    this.nowUs += milliseconds * 1000;
  }

  /** Whether strangers may send, from the next generation on. */
  acceptStrangers(may: boolean): void {
    const at = HeaderLayout.AT + HeaderLayout.ANSWERS;
    const others = this.io.view.getUint32(at, true) & ~HeaderLayout.ACCEPT_STRANGERS;
    this.io.view.setUint32(at, others | (may ? HeaderLayout.ACCEPT_STRANGERS : 0), true);
    if (this.twin !== undefined) this.twin.tables.acceptsStrangers = may;
  }

  /** Makes the tables the next generation. */
  async apply(tables: Tables): Promise<void> {
    await this.tables.apply(difference(this.inForce, tables));
    await this.tables.settled();
    this.inForce = tables;
    this.twin?.apply(tables);
  }

  /** Checks say so of an instance. */
  setHealth(service: string, number: number, health: InstanceHealthName): void {
    this.health.set(this.inForce, service, number, health);
  }

  /** The control plane has something to tell of this node's instances; each is a whole page. */
  tellHealth(revision: number, pages: readonly Uint8Array[]): void {
    this.health.tell(revision, pages);
  }

  /** The control plane wants a page of a node, or none. */
  wantPage(id: string, page: number | undefined): void {
    this.health.want(id, page);
  }

  /** Any number of frames from the TUN. */
  egress(...frames: readonly Uint8Array[]): Result {
    return this.run(
      frames,
      (slot, frame) => this.io.putFrame(slot, frame),
      (first, count) => this.engine.egress(first, count, this.nowUs),
      (frame) => this.twin?.egress(frame, this.nowMs),
    );
  }

  /** Any number of messages from the tunnel. */
  ingress(...messages: readonly Message[]): Result {
    return this.run(
      messages,
      (index, message) => this.io.putMessage(index, message),
      (first, count) => this.engine.ingress(first, count, this.nowUs),
      (message) => this.twin?.ingress(message, this.nowMs),
      (write) => cutUp(write),
    );
  }

  /** Walks the whole flow table once. */
  sweep(): Result {
    let ended = 0;
    const result = this.compare(
      () => {
        ended = this.engine.sweep(this.nowUs, this.shared.capacities.flows + FlowLayout.SLACK);
      },
      () => this.twin?.sweep(this.nowMs),
    );
    expectSame(ended, result.counts.flowsExpired ?? 0, "sweep's result");
    return result;
  }

  /** Lets go what waited for its address, as far as it is known or given up. */
  unpark(): Result {
    return this.compare(
      (collect) => {
        let left: number;
        do {
          left = this.engine.unpark(this.nowUs);
          collect();
        } while (left > 0);
      },
      () => this.twin?.unpark(this.nowMs),
    );
  }

  /** The control plane says that there is no such address. */
  refuse(address: string): void {
    refuseAddress(this.shared, address, this.nowMs);
    this.twin?.parked.refuse(rawAddress(address), this.nowMs);
  }

  /** Time passes in which the nodes are looked at, as a running worker does. */
  attend(milliseconds: number): void {
    for (let left = milliseconds; left > 0; left -= LOOK_MS) {
      this.advance(Math.min(left, LOOK_MS));
      this.probe();
    }
  }

  /**
   * Sees to the nodes and sends the probes that are due; the twin takes over what only the engine knows, the nonces.
   */
  probe(): Result {
    return this.compare(
      (collect) => {
        this.engine.probe(this.nowUs);
        collect();
      },
      () => {
        this.twin?.nodes.attend(this.nowMs, (endpoint) => this.byEndpoint.get(endpoint) ?? []);
      },
    );
  }

  /** The kernel reports an error about a datagram to an endpoint. */
  pathError(errno: number, to: Endpoint, about: ErrorAbout = {}): void {
    const { mtu = 0, isLocal = false, isOurs = true } = about;
    this.compare(
      () => {
        const quoted = this.io.putError(to, about.quote);
        this.engine.pathError(errno, originOf(about), mtu, quoted);
      },
      () => this.twin?.nodes.pathError({ errno, isLocal, ...to, mtu, isOurs }),
    );
  }

  /** Everything that was counted. */
  countsSinceStart(): Counts {
    return this.io.countsSince(this.atStart);
  }

  private run<T>(
    items: readonly T[],
    put: (index: number, item: T) => void,
    call: (first: number, count: number) => number,
    twin: (item: T) => void,
    packetsOf?: (write: Uint8Array) => Uint8Array[],
  ): Result {
    return this.compare(
      (collect) => {
        for (let start = 0; start < items.length; start += WorkerLayout.BATCH_SIZE) {
          const batch = items.slice(start, start + WorkerLayout.BATCH_SIZE);
          batch.forEach((item, i) => {
            put(i, item);
          });
          for (let first = 0; first < batch.length; ) {
            const next = call(first, batch.length);
            collect(packetsOf);
            if (next <= first || next > batch.length) throw new Error(`the engine came from slot ${first} to ${next}`);
            first = next;
          }
        }
      },
      () => items.forEach(twin),
    );
  }

  /** Lets first the engine and then the twin do something; `collect` is to be called after each call of the engine. */
  private compare(
    engine: (collect: (packetsOf?: (write: Uint8Array) => Uint8Array[]) => void) => void,
    twin: () => void,
  ): Result {
    const before = this.io.snapshot();
    const messages: SentMessage[] = [];
    const tunWrites: Uint8Array[] = [];
    const frames: Uint8Array[] = [];
    this.choices = [];
    this.twin?.searchPortsFrom(this.io.view.getUint32(this.io.workerAt + WorkerLayout.PORT_CURSOR, true));
    engine((packetsOf = (write) => [write]) => {
      messages.push(...this.io.sentMessages());
      for (const { bytes, packetCount } of this.io.tunWrites()) {
        const packets = packetsOf(bytes);
        if (packets.length > 1) expectSame(packetCount, packets.length, "packets that a TUN write says it carries");
        frames.push(bytes);
        tunWrites.push(...packets);
      }
    });
    const datagrams = datagramsOf(messages);
    const counts = this.io.countsSince(before);
    for (const name of IO_COUNTERS) delete counts[name];
    const result = { datagrams, messages, tunWrites, frames, counts, choices: this.choices };
    this.result = result;
    this.byEndpoint = grouped(datagrams);
    this.pending = [...this.choices];
    if (this.twin !== undefined) {
      this.twin.pass(this.nowMs);
      twin();
      this.conclude(result, this.twin.take());
      this.health.conclude(this.inForce);
    }
    return result;
  }

  /** Compares with the twin: bytes, order per endpoint, and every counter. */
  private conclude(result: Result, expected: ReturnType<ReferenceTranslator["take"]>): void {
    if (this.pending.length > 0)
      expect(this.pending, "choices that the engine asked for and the twin did not").toEqual([]);
    compareLists("TUN write", result.tunWrites, expected.output.tunWrites);
    const actual = grouped(result.datagrams);
    const endpoints = (datagrams: ReadonlyMap<string, unknown>): string => [...datagrams.keys()].sort().join();
    expectSame(endpoints(actual), endpoints(expected.output.datagrams), "endpoints");
    for (const [endpoint, datagrams] of expected.output.datagrams) {
      compareLists(`datagram to ${endpoint}`, actual.get(endpoint) ?? [], datagrams);
    }
    if (!sameCounts(result.counts, expected.counts)) expect(result.counts, "counters").toEqual(expected.counts);
    for (const message of result.messages) {
      this.concludeClass(message);
      this.concludeFragments(message);
    }
  }

  private concludeClass({ endpoint, datagrams, trafficClass }: SentMessage): void {
    for (const datagram of datagrams) {
      const due = this.twin?.outerClass(endpoint, datagram);
      if (due !== trafficClass) expect(trafficClass, `traffic class of a datagram to ${endpoint}`).toBe(due);
    }
  }

  /** Probes are never cut, and what goes in fragments is a message by itself. */
  private concludeFragments({ endpoint, datagrams, fragments }: SentMessage): void {
    const [first = new Uint8Array()] = datagrams;
    if (this.twin === undefined || (first[0] === PROBE_MAGIC[0] && first[1] === PROBE_MAGIC[1])) return;
    this.twin.nodes.noteDatagram(endpoint, first.length);
    const isAllowed = this.twin.nodes.mayFragment(endpoint, first.length);
    expectSame(
      fragments === KernelLayout.FRAGMENTS_ALLOWED,
      isAllowed,
      `may ${first.length} bytes to ${endpoint} be cut`,
    );
    if (isAllowed) expectSame(datagrams.length, 1, "datagrams of a message that may be cut");
  }

  private choose(serviceAt: number, flowHash: number, clientHash: number): number {
    const { view } = this.io;
    const count = view.getUint32(serviceAt + ServiceLayout.CANDIDATE_COUNT, true);
    const first = view.getUint32(serviceAt + ServiceLayout.CANDIDATES, true);
    const candidates: number[] = [];
    const draining: boolean[] = [];
    for (let i = 0; i < count; i++) {
      const at = this.shared.at(Region.candidates) + (first + i) * CandidateLayout.SIZE;
      const instanceAt =
        this.shared.at(Region.instances) + view.getUint32(at + CandidateLayout.INSTANCE, true) * InstanceLayout.SIZE;
      candidates.push(view.getUint32(instanceAt + InstanceLayout.NUMBER, true));
      draining.push((view.getUint16(at + CandidateLayout.FLAGS, true) & CandidateLayout.DRAINING) !== 0);
    }
    const index = this.policy({ flowHash, clientHash, candidates, draining }, serviceAt);
    this.choices.push({ index, flowHash, clientHash, candidates, draining });
    return index;
  }

  private identificationAt(place: Place, at: number): number | undefined {
    const bytes = this.sent(place);
    return bytes === undefined ? undefined : (bytes[at + 4] as number) * 256 + (bytes[at + 5] as number);
  }

  /** The packet at a place of the engine's output. */
  private sent([endpoint, index]: Place): Uint8Array | undefined {
    return endpoint === "tun" ? this.result?.tunWrites[index]?.subarray(10) : this.byEndpoint.get(endpoint)?.[index];
  }

  private callerPlace(caller: string, workload: string): number {
    const pair = (Math.imul(this.hashOf(caller), 0x9e3779b1) ^ this.hashOf(workload)) >>> 0;
    return Math.max(pair, 1) % (CallerLayout.MAX / CallerLayout.SET);
  }

  /** The host's twin of the hash by which the engine places addresses. */
  private hashOf(address: string): number {
    const bytes = Buffer.from(address.length === 4 ? V4_MAPPED + address : address, "latin1");
    const [w0, w1, w2, w3] = [0, 4, 8, 12].map((at) => bytes.readUInt32LE(at)) as [number, number, number, number];
    return addressHash(this.shared.addressHashKey, w0, w1, w2, w3);
  }

  private timeouts(): Record<number, number> {
    const timeouts: Record<number, number> = {};
    for (let state = 1; state < FlowState.count; state++) {
      timeouts[state] = this.io.view.getUint32(HeaderLayout.AT + HeaderLayout.TIMEOUTS_MS + 4 * state, true);
    }
    return timeouts;
  }
}

function lostAnswer(answers: number): "sent on" | "icmp" | "reset" {
  if ((answers & HeaderLayout.ANSWER_LOST) === 0) return "sent on";
  return (answers & HeaderLayout.ANSWER_LOST_WITH_RESET) === 0 ? "icmp" : "reset";
}
