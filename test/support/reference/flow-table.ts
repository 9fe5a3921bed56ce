// What must be true of the flow table when no worker is in a call: counted and compared record by record, entry by
// entry, with the hash written out in whole numbers.

import * as FlowLayout from "../../../assembly/shared/layout/flow.ts";
import { FlowState } from "../../../assembly/shared/layout/flow.ts";
import * as HeaderLayout from "../../../assembly/shared/layout/header.ts";
import { Region } from "../../../assembly/shared/layout/header.ts";
import * as InstanceLayout from "../../../assembly/shared/layout/instance.ts";
import * as WorkerLayout from "../../../assembly/shared/layout/worker.ts";
import type { SharedMemory } from "../../../src/memory/shared-memory.ts";
import { addressBytes } from "../packet-builder.ts";
import { V4_MAPPED } from "./tables.ts";

const WORD = 0xffffffffffffffffn;

/** What was found: how many flows live, and a sentence per rule that is broken. */
interface FlowTableState {
  readonly live: number;
  readonly broken: readonly string[];
}

export function inspectFlowTable(shared: SharedMemory): FlowTableState {
  const table = new FlowTable(shared);
  return { live: table.live.size, broken: table.broken };
}

/** What a packet's flow is known by. */
interface FlowKey {
  readonly source: string;
  readonly destination: string;
  readonly sport: number;
  readonly dport: number;
  readonly protocol: number;
}

/** The bucket with the entry of a flow with this key. */
export function bucketOf(shared: SharedMemory, { source, destination, sport, dport, protocol }: FlowKey): number {
  const words = [source, destination].flatMap((text) => {
    const raw = addressBytes(text);
    const mapped = Buffer.from(raw.length === 4 ? [...Buffer.from(V4_MAPPED, "latin1"), ...raw] : raw);
    return [mapped.readBigUInt64LE(0), mapped.readBigUInt64LE(8)];
  });
  const ports = Buffer.alloc(4);
  ports.writeUInt16BE(sport, 0);
  ports.writeUInt16BE(dport, 2);
  const last = (BigInt(protocol) << 32n) | BigInt(ports.readUInt32LE(0));
  return homeOf(shared, flowHash(new DataView(shared.memory.buffer), [...words, last]));
}

/** By the definition in assembly/table/hash.ts, in whole numbers: two words of 32 bits to each product. */
function flowHash(view: DataView, key: readonly bigint[]): bigint {
  const m = (i: number): bigint => view.getBigUint64(HeaderLayout.AT + HeaderLayout.FLOW_HASH_KEY + 8 * i, true);
  return key.reduce((sum, words, i) => {
    // The last word has the protocol above the ports, as the addresses have their second half.
    const product = (m(2 * i + 1) + (words & 0xffffffffn)) * (m(2 * i + 2) + (words >> 32n));
    return (sum + product) & WORD;
  }, m(0));
}

function homeOf(shared: SharedMemory, hash: bigint): number {
  return Number((hash >> 34n) & BigInt(shared.records.flowBuckets - 1));
}

class FlowTable {
  readonly broken: string[] = [];
  readonly live = new Map<number, number>(); // record -> its address
  private readonly view: DataView;

  constructor(private readonly shared: SharedMemory) {
    this.view = new DataView(shared.memory.buffer);
    const end = Math.min(
      this.u32(HeaderLayout.AT + HeaderLayout.FLOW_NEXT),
      1 + shared.capacities.flows + FlowLayout.SLACK,
    );
    for (let record = 1; record < end; record++) {
      const at = shared.at(Region.flows) + record * FlowLayout.SIZE;
      if (this.view.getUint8(at + FlowLayout.STATE) !== FlowState.free) this.live.set(record, at);
    }
    const count = this.u32(HeaderLayout.AT + HeaderLayout.FLOW_COUNT);
    this.demand(count === this.live.size, `the header counts ${count} flows, ${this.live.size} are live`);
    this.demand(this.live.size <= shared.capacities.flows, `${this.live.size} flows are more than the limit`);
    this.checkBuckets();
    this.checkKeys();
    this.checkOwnership(end);
    this.checkLoads();
    for (let worker = 0; worker < shared.capacities.workers; worker++) {
      this.demand(this.u32(this.workerAt(worker) + WorkerLayout.SEQUENCE) % 2 === 0, `worker ${worker} is in a call`);
    }
  }

  /** Each live record has one entry per direction, where its hash says; no other entries; no lock is held. */
  private checkBuckets(): void {
    const found = new Map<string, number>();
    for (let bucket = 0; bucket < this.shared.records.flowBuckets; bucket++) {
      const at = this.shared.at(Region.flowBuckets) + bucket * FlowLayout.BUCKET_SIZE;
      this.demand(this.u32(at + FlowLayout.BUCKET_LOCK) === 0, `bucket ${bucket} is locked`);
      for (let i = 0; i < FlowLayout.BUCKET_ENTRY_COUNT; i++) {
        const entry = this.u32(at + FlowLayout.BUCKET_ENTRIES + 4 * i);
        if (entry === 0) continue;
        const record = (entry >>> 1) & FlowLayout.INDEX_MASK;
        const direction = entry & 1;
        const flow = this.live.get(record);
        if (flow === undefined) {
          this.broken.push(`bucket ${bucket} leads to the free record ${record}`);
          continue;
        }
        const hash =
          direction === 0 ? flowHash(this.view, this.forwardKey(flow)) : flowHash(this.view, this.reverseKey(flow));
        const home = homeOf(this.shared, hash);
        this.demand(home === bucket, `record ${record}, direction ${direction}: in bucket ${bucket}, not ${home}`);
        this.demand(entry >>> FlowLayout.TAG_SHIFT === Number(hash >> 53n), `record ${record}: wrong tag`);
        const name = `${record} ${direction}`;
        found.set(name, (found.get(name) ?? 0) + 1);
      }
    }
    for (const record of this.live.keys()) {
      for (const direction of [0, 1]) {
        const entries = found.get(`${record} ${direction}`) ?? 0;
        this.demand(entries === 1, `record ${record}, direction ${direction}: ${entries} entries`);
      }
    }
  }

  private checkKeys(): void {
    for (const keyOf of [this.forwardKey, this.reverseKey]) {
      const owners = new Map<string, number>();
      for (const [record, at] of this.live) {
        const key = keyOf.call(this, at).join(" ");
        const other = owners.get(key);
        this.demand(other === undefined, `records ${other} and ${record} have the same ${keyOf.name} ${key}`);
        owners.set(key, record);
      }
    }
  }

  /** Every record that was handed out is live, on the free stack or in one worker's limbo, and in one of them only. */
  private checkOwnership(end: number): void {
    const owners = new Map<number, string>([...this.live.keys()].map((record) => [record, "the live"]));
    const walk = (first: number, name: string): void => {
      for (let record = first; record !== 0; ) {
        const other = owners.get(record);
        this.demand(other === undefined, `record ${record} is among ${name} and among ${other}`);
        if (other === name) return; // a circle
        owners.set(record, name);
        record = this.u32(this.shared.at(Region.flows) + record * FlowLayout.SIZE + FlowLayout.FREE_NEXT);
      }
    };
    walk(this.u32(HeaderLayout.AT + HeaderLayout.FLOW_FREE), "the free");
    for (let worker = 0; worker < this.shared.capacities.workers; worker++) {
      walk(this.u32(this.workerAt(worker) + WorkerLayout.LIMBO_YOUNG), `worker ${worker}'s young limbo`);
      walk(this.u32(this.workerAt(worker) + WorkerLayout.LIMBO_OLD), `worker ${worker}'s old limbo`);
    }
    for (let record = 1; record < end; record++) this.demand(owners.has(record), `record ${record} is lost`);
  }

  private checkLoads(): void {
    const loads = new Map<number, number>();
    const called = new Map<number, number>();
    const add = (counts: Map<number, number>, instance: number) =>
      counts.set(instance, (counts.get(instance) ?? 0) + 1);
    for (const at of this.live.values()) {
      const client = this.u32(at + FlowLayout.CLIENT_INSTANCE);
      if (this.u32(at + FlowLayout.CLIENT_INCARNATION) === this.incarnation(client)) add(called, client);
      if ((this.view.getUint8(at + FlowLayout.SEEN) & FlowLayout.IS_BALANCED) === 0) continue;
      if (this.view.getUint8(at + FlowLayout.STATE) === FlowState.tcpClosed) continue;
      const instance = this.u32(at + FlowLayout.INSTANCE);
      if (this.u32(at + FlowLayout.INSTANCE_INCARNATION) === this.incarnation(instance)) add(loads, instance);
    }
    for (let instance = 0; instance < this.shared.records.instances; instance++) {
      const loadAt = this.shared.at(Region.instanceLoads) + instance * InstanceLayout.LOAD_SIZE;
      for (const [what, offset, counts] of [
        ["serves", InstanceLayout.LOAD_SERVED, loads],
        ["has", InstanceLayout.LOAD_CALLED, called],
      ] as const) {
        const [found, expected] = [this.view.getInt32(loadAt + offset, true), counts.get(instance) ?? 0];
        this.demand(
          found === expected,
          `instance ${instance} ${what} ${found} flows by its count, in fact ${expected}`,
        );
        const incarnation = this.u32(loadAt + offset + 4);
        this.demand(incarnation === this.incarnation(instance), `a count of instance ${instance} is of ${incarnation}`);
      }
    }
    const clients = this.u32(HeaderLayout.AT + HeaderLayout.CLIENT_COUNT);
    this.demand(clients === called.size, `the header counts ${clients} clients, ${called.size} have flows`);
  }

  private incarnation(instance: number): number {
    return this.u32(this.shared.at(Region.instances) + instance * InstanceLayout.SIZE + InstanceLayout.INCARNATION);
  }

  /** Source and destination (each two words), ports as they are in the packet, protocol. */
  private forwardKey(at: number): bigint[] {
    return this.key(
      at + FlowLayout.CLIENT,
      at + FlowLayout.CALLED,
      at + FlowLayout.CLIENT_PORT,
      at + FlowLayout.CALLED_PORT,
      at,
    );
  }

  /** Answers that come in another family name the client's address of that family. */
  private reverseKey(at: number): bigint[] {
    const crosses = (this.view.getUint8(at + FlowLayout.SEEN) & FlowLayout.ANSWERS_CROSS) !== 0;
    return this.key(
      at + FlowLayout.TARGET_INSTANCE_ADDRESS,
      at + (crosses ? FlowLayout.ANSWERED : FlowLayout.CLIENT),
      at + FlowLayout.CALLED_PORT,
      at + FlowLayout.WIRE_PORT,
      at,
    );
  }

  private key(
    source: number,
    destination: number,
    sourcePort: number,
    destinationPort: number,
    flow: number,
  ): bigint[] {
    const word = (at: number): bigint => this.view.getBigUint64(at, true);
    const ports = this.view.getUint16(sourcePort, true) + this.view.getUint16(destinationPort, true) * 0x10000;
    const protocol = this.view.getUint8(flow + FlowLayout.PROTOCOL);
    const last = (BigInt(protocol) << 32n) | BigInt(ports);
    return [word(source), word(source + 8), word(destination), word(destination + 8), last];
  }

  private workerAt(worker: number): number {
    return this.shared.at(Region.workers) + worker * WorkerLayout.SIZE;
  }

  private u32(at: number): number {
    return this.view.getUint32(at, true);
  }

  private demand(isTrue: boolean, sentence: string): void {
    if (!isTrue) this.broken.push(sentence);
  }
}
