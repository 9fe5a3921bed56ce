// Creates the one memory that control and workers share: places the regions for the configured capacities and writes
// the header. Pages are touched only when they are used, so a generous capacity costs address space, not memory.

import { createHash, randomBytes, randomFillSync, randomInt } from "node:crypto";
import * as Ecn from "../../assembly/shared/ecn.ts";
import * as AddressLayout from "../../assembly/shared/layout/address.ts";
import * as CandidateLayout from "../../assembly/shared/layout/candidate.ts";
import * as FlowLayout from "../../assembly/shared/layout/flow.ts";
import { FlowState } from "../../assembly/shared/layout/flow.ts";
import * as HeaderLayout from "../../assembly/shared/layout/header.ts";
import { Region } from "../../assembly/shared/layout/header.ts";
import * as HealthPageLayout from "../../assembly/shared/layout/health-page.ts";
import * as InstanceLayout from "../../assembly/shared/layout/instance.ts";
import * as NodeLayout from "../../assembly/shared/layout/node.ts";
import * as NodeMetricsLayout from "../../assembly/shared/layout/node-metrics.ts";
import * as OutlierLayout from "../../assembly/shared/layout/outlier.ts";
import * as ServiceLayout from "../../assembly/shared/layout/service.ts";
import { LAYOUT_VERSION } from "../../assembly/shared/layout/version.ts";
import * as WorkerLayout from "../../assembly/shared/layout/worker.ts";
import { SapwoodError } from "../base/errors.ts";
import { WASM_PAGE_BYTES } from "../base/wasm-page.ts";
import { ADDRESS_SIZE, type Prefix } from "../net/address.ts";

/** How much may be in force at once. */
export interface Capacities {
  readonly flows: number;
  readonly addresses: number; // service and instance addresses of all services
  readonly instances: number;
  readonly workloads: number; // namespace addresses of this node's workloads
  readonly nodes: number; // other nodes
  readonly workers: number;
}

export const DEFAULT_CAPACITIES: Capacities = {
  flows: 262_144,
  addresses: 65_536,
  instances: 65_536,
  workloads: 4_096,
  nodes: 1_024,
  workers: 1,
};

/** The most, and the field of the config file that sets it. */
export const CAPACITY_LIMITS: Readonly<Record<keyof Capacities, { field: string; max: number }>> = {
  flows: { field: "flows.limit", max: FlowLayout.LIMIT_MAX },
  addresses: { field: "tables.addresses", max: 8_388_608 },
  // There are 1 + 2 * capacity records, and the index of each has to fit into so many bits.
  instances: { field: "tables.instances", max: 2 ** (OutlierLayout.INDEX_BITS - 1) - 1 },
  workloads: { field: "tables.workloads", max: 1_048_576 },
  nodes: { field: "tables.nodes", max: 32_767 }, // the node of a flow is a u16, and two records may be in use per node
  workers: { field: "tun.queues", max: WorkerLayout.MAX },
};

type FlowStateName = Exclude<keyof typeof FlowState, "free" | "count">;

/** Idle times after which a flow ends; docs/protocols.md says why they are as they are. */
export const DEFAULT_TIMEOUTS_MS: Readonly<Record<FlowStateName, number>> = {
  udpUnreplied: 120_000,
  udpStream: 300_000,
  tcpOpening: 240_000,
  tcpEstablished: 86_400_000,
  tcpHalfClosed: 7_440_000,
  tcpClosed: 240_000,
  icmpQuery: 60_000,
  otherUnreplied: 120_000,
  otherStream: 300_000,
};

export const DEFAULT_PROBE_INTERVAL_MS = 400;

export interface MemoryOptions {
  readonly capacities?: Partial<Capacities> | undefined;
  readonly timeoutsMs?: Partial<Record<FlowStateName, number>> | undefined;
  readonly ranges?: readonly Prefix[] | undefined;
  readonly probeIntervalMs?: number | undefined; // 0 = never
  readonly offloads?: number | undefined; // HeaderLayout.OFFLOAD_* that the engine may use; default HeaderLayout.OFFLOAD_UDP_GSO
  readonly answers?: number | undefined; // HeaderLayout.ANSWER_* and HeaderLayout.CLAMP_MSS; default: none of them
  readonly tunMtu?: number | undefined; // default: not known
  /**
   * What may wait for an address that is asked for; packets per address, bytes in all. Absent: nothing is asked for.
   */
  readonly park?: { readonly timeoutMs: number; readonly packets: number; readonly bytes: number } | undefined;
  readonly outerClass?: OuterClass | undefined; // default: DEFAULT_OUTER_CLASS
  readonly passiveHealth?: PassiveHealth | undefined; // default: openings are not judged
  readonly hashSeed?: number | undefined; // the hash keys follow from it, so that a run can be repeated; random unless given
}

/** When an instance gets no new flows because openings failed (docs/reliability.md). */
export interface PassiveHealth {
  readonly failures: number; // in a row
  readonly pauseMs: number;
  readonly unansweredMs: number;
}

export const DEFAULT_PASSIVE_HEALTH: PassiveHealth = { failures: 3, pauseMs: 10_000, unansweredMs: 3000 };

/** What the outer header of a packet gets of its DSCP and ECN. */
interface OuterClass {
  /** The packet's own, or a fixed value from 0 to 63. */
  readonly dscp: "copy" | number;
  /**
   * The packet's own: to every node, to none, or to those whose answers say that they take over CE marks (RFC 6040).
   */
  readonly ecn: "copy" | "clear" | "auto";
}

export const DEFAULT_OUTER_CLASS: OuterClass = { dscp: "copy", ecn: "auto" };

/** The shared memory as the host sees it. Workers need only `memory`: everything else is in the header. */
export interface SharedMemory {
  readonly memory: WebAssembly.Memory;
  readonly capacities: Capacities;
  /** Records per region, more than the capacities: old and new records exist side by side while a generation passes. */
  readonly records: Records;
  /** A view of HeaderLayout.ADDRESS_HASH_KEY. */
  readonly addressHashKey: Uint32Array;
  readonly bytes: Uint8Array;
  readonly u32: Uint32Array;
  readonly i32: Int32Array; // for Atomics
  readonly f64: Float64Array;
  /** Address of a region's first byte. */
  at(region: Region): number;
}

interface Records {
  readonly nodes: number;
  readonly instances: number;
  readonly services: number;
  readonly candidates: number;
  readonly addressSlots: number;
  readonly workloadSlots: number;
  readonly senderSlots: number;
  readonly flowBuckets: number;
  /** Flow records, the one that is never used included. */
  readonly flows: number;
}

/** The refusal of more than a capacity allows, named by the field of the config file that sets it. */
export function capacityExceeded(name: keyof Capacities, capacities: Capacities, found: number): SapwoodError {
  const { field } = CAPACITY_LIMITS[name];
  return new SapwoodError(
    "capacity-exceeded",
    `${field}: expected at most ${capacities[name]} ${name}, found ${found}`,
  );
}

const PAGE_MAX = 65_536;
const CACHE_LINE = 64;
/** A file may be mapped over the flows (dataplane/io/flow-file.ts), by whole pages: of 64 KiB on some machines. */
const ALIGNMENTS: ReadonlyMap<Region, number> = new Map([
  [Region.flows, WASM_PAGE_BYTES],
  [Region.workers, WASM_PAGE_BYTES],
]);
/** Of a process before this one, that are looked at at once. */
export const ADOPTION_RECORDS = 4096;
const PROBE_KEY_SIZE = 16;
const HEALTH_PAGES_MAX = 1024;
// Of a TOS or traffic class
const DSCP_MASK = 0xff & ~Ecn.MASK;
const DSCP_SHIFT = 2;
/** Most nodes send from one address and port. */
const SENDERS_PER_NODE = 2;

export function createSharedMemory(options: MemoryOptions = {}): SharedMemory {
  const capacities = { ...DEFAULT_CAPACITIES, ...definedOf(options.capacities) };
  checkCapacities(capacities);
  const records = recordsOf(capacities);
  const regions = placeRegions(capacities, records);
  const pages = Math.ceil(regions.end / WASM_PAGE_BYTES);
  if (pages > PAGE_MAX) {
    throw new SapwoodError(
      "capacity-exceeded",
      `flows.limit and tables together need ${Math.ceil(regions.end / 2 ** 20)} MiB, expected at most 4096 MiB`,
    );
  }
  const memory = reserve(pages);
  const shared = viewsOf({ memory, capacities, records }, (region) => regions.at[region] ?? 0);
  writeHeader(shared, regions.at, options);
  return shared;
}

function reserve(pages: number): WebAssembly.Memory {
  try {
    return new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
  } catch (cause) {
    const message = `The machine has no memory for the tables and flows, ${(pages * WASM_PAGE_BYTES) / 2 ** 20} MiB: lower flows.limit or tables, or give the process more.`;
    throw new SapwoodError("system-call", message, { cause });
  }
}

/** The views of a memory whose regions are `at` these addresses. */
export function viewsOf(
  { memory, capacities, records }: Pick<SharedMemory, "memory" | "capacities" | "records">,
  at: SharedMemory["at"],
): SharedMemory {
  return {
    memory,
    capacities,
    records,
    addressHashKey: new Uint32Array(
      memory.buffer,
      HeaderLayout.AT + HeaderLayout.ADDRESS_HASH_KEY,
      2 * HeaderLayout.ADDRESS_HASH_KEY_WORDS,
    ),
    bytes: new Uint8Array(memory.buffer),
    u32: new Uint32Array(memory.buffer),
    i32: new Int32Array(memory.buffer),
    f64: new Float64Array(memory.buffer),
    at,
  };
}

function writeRanges(shared: SharedMemory, ranges: readonly Prefix[]): void {
  if (ranges.length > HeaderLayout.RANGE_MAX) {
    throw new SapwoodError(
      "capacity-exceeded",
      `ranges: expected at most ${HeaderLayout.RANGE_MAX}, found ${ranges.length}`,
    );
  }
  ranges.forEach((range, i) => {
    const at = HeaderLayout.AT + HeaderLayout.RANGES + i * HeaderLayout.RANGE_SIZE;
    shared.bytes.set(range.bytes, at);
    shared.bytes.set(range.mask, at + ADDRESS_SIZE);
  });
  shared.u32[(HeaderLayout.AT + HeaderLayout.RANGE_COUNT) >>> 2] = ranges.length;
}

function writeHeader(shared: SharedMemory, regionsAt: readonly number[], options: MemoryOptions): void {
  const { capacities, records } = shared;
  const header = (offset: number, value: number): void => {
    shared.u32[(HeaderLayout.AT + offset) >>> 2] = value;
  };
  header(HeaderLayout.LAYOUT_VERSION, LAYOUT_VERSION);
  header(HeaderLayout.WORKER_COUNT, capacities.workers);
  writeKey(shared, HeaderLayout.FLOW_HASH_KEY, HeaderLayout.FLOW_HASH_KEY_WORDS, options.hashSeed);
  writeKey(shared, HeaderLayout.ADDRESS_HASH_KEY, HeaderLayout.ADDRESS_HASH_KEY_WORDS, options.hashSeed);
  header(HeaderLayout.FLOW_LIMIT, capacities.flows);
  header(HeaderLayout.FLOW_NEXT, 1); // record 0 is never used
  header(HeaderLayout.FLOW_ROOM, records.flows);
  header(HeaderLayout.FLOW_BUCKET_MASK, records.flowBuckets - 1);
  header(HeaderLayout.ADDRESS_MASK, records.addressSlots - 1);
  header(HeaderLayout.WORKLOAD_MASK, records.workloadSlots - 1);
  header(HeaderLayout.SENDER_MASK, records.senderSlots - 1);
  header(HeaderLayout.NODE_COUNT, 1); // this node
  header(HeaderLayout.OFFLOADS, options.offloads ?? HeaderLayout.OFFLOAD_UDP_GSO);
  header(HeaderLayout.GSO_TRIAL, 1);
  header(HeaderLayout.OUTER_CLASS, outerClassBits(options.outerClass ?? DEFAULT_OUTER_CLASS));
  header(HeaderLayout.ANSWERS, options.answers ?? 0);
  header(HeaderLayout.TUN_MTU, options.tunMtu ?? 0);
  header(HeaderLayout.PARK_MS, options.park?.timeoutMs ?? 0);
  header(HeaderLayout.PARK_PACKETS, options.park?.packets ?? 0);
  header(HeaderLayout.PARK_BYTES, options.park?.bytes ?? 0);
  header(HeaderLayout.PROBE_INTERVAL_MS, options.probeIntervalMs ?? DEFAULT_PROBE_INTERVAL_MS);
  header(HeaderLayout.OUTLIER_FAILURES, options.passiveHealth?.failures ?? 0);
  header(HeaderLayout.OUTLIER_PAUSE_MS, options.passiveHealth?.pauseMs ?? 0);
  header(HeaderLayout.OUTLIER_UNANSWERED_MS, options.passiveHealth?.unansweredMs ?? 0);
  shared.bytes.set(randomBytes(PROBE_KEY_SIZE), HeaderLayout.AT + HeaderLayout.PROBE_KEY);
  regionsAt.forEach((at, region) => {
    header(HeaderLayout.REGIONS + 4 * region, at);
  });
  for (const [name, timeoutMs] of Object.entries({ ...DEFAULT_TIMEOUTS_MS, ...definedOf(options.timeoutsMs) })) {
    header(HeaderLayout.TIMEOUTS_MS + 4 * FlowState[name as FlowStateName], timeoutMs);
  }
  writeRanges(shared, options.ranges ?? []);
  for (let worker = 0; worker < capacities.workers; worker++) {
    const cursorAt = shared.at(Region.workers) + worker * WorkerLayout.SIZE + WorkerLayout.PORT_CURSOR;
    shared.u32[cursorAt >>> 2] = options.hashSeed ?? randomInt(0x1_0000);
  }
}

function outerClassBits({ dscp, ecn }: OuterClass): number {
  const ofDscp = dscp === "copy" ? DSCP_MASK : 0;
  const copied = ofDscp | (ecn === "clear" ? 0 : Ecn.MASK);
  const copiedCompatibly = ofDscp | (ecn === "copy" ? Ecn.MASK : 0);
  const fixed = dscp === "copy" ? 0 : dscp << DSCP_SHIFT;
  return (
    (copied << HeaderLayout.OUTER_CLASS_COPIED) |
    (copiedCompatibly << HeaderLayout.OUTER_CLASS_COPIED_COMPATIBLY) |
    (fixed << HeaderLayout.OUTER_CLASS_FIXED)
  );
}

function writeKey(shared: SharedMemory, offset: number, words: number, seed: number | undefined): void {
  const key = new Uint8Array(words * BigUint64Array.BYTES_PER_ELEMENT);
  if (seed === undefined) randomFillSync(key);
  else key.set(createHash("shake256", { outputLength: key.length }).update(`${offset} ${seed}`).digest());
  shared.bytes.set(key, HeaderLayout.AT + offset);
}

function checkCapacities(capacities: Capacities): void {
  for (const [name, { field, max }] of Object.entries(CAPACITY_LIMITS)) {
    const value = capacities[name as keyof Capacities];
    if (!Number.isInteger(value) || value < 1 || value > max) {
      throw new SapwoodError("capacity-exceeded", `${field}: expected a whole number from 1 to ${max}, found ${value}`);
    }
  }
}

function recordsOf(capacities: Capacities): Records {
  return {
    nodes: 1 + 2 * capacities.nodes,
    instances: 1 + 2 * capacities.instances,
    services: 1 + 2 * capacities.addresses,
    // One list per service, rounded up to a power of two, old and new.
    candidates: powerOfTwo(4 * capacities.instances),
    addressSlots: slotsFor(capacities.addresses),
    workloadSlots: slotsFor(capacities.workloads),
    senderSlots: slotsFor(SENDERS_PER_NODE * capacities.nodes),
    // At most two entries per flow and four per bucket on average: buckets of 15 practically never overflow.
    flowBuckets: powerOfTwo(capacities.flows / 2),
    flows: 1 + capacities.flows + FlowLayout.SLACK,
  };
}

function placeRegions(capacities: Capacities, records: Records): { at: number[]; end: number } {
  const sizes: Readonly<Record<Exclude<keyof typeof Region, "count">, number>> = {
    nodes: records.nodes * NodeLayout.SIZE,
    nodeMetrics: records.nodes * NodeMetricsLayout.SIZE,
    instances: records.instances * InstanceLayout.SIZE,
    instanceLoads: records.instances * InstanceLayout.LOAD_SIZE,
    addresses: records.addressSlots * AddressLayout.SLOT_SIZE,
    services: records.services * ServiceLayout.SIZE,
    workloads: records.workloadSlots * AddressLayout.SLOT_SIZE,
    senders: records.senderSlots * AddressLayout.SLOT_SIZE,
    ownAddresses: AddressLayout.OWN_MAX * AddressLayout.OWN_SIZE,
    candidates: records.candidates * CandidateLayout.SIZE,
    flowBuckets: records.flowBuckets * FlowLayout.BUCKET_SIZE,
    flows: records.flows * FlowLayout.SIZE,
    workers: capacities.workers * WorkerLayout.SIZE,
    healthPages: HealthPageLayout.HEAD + healthPageRoom(capacities) * HealthPageLayout.SIZE,
    outliers: OutlierLayout.SETS * OutlierLayout.WAYS * OutlierLayout.SIZE,
    adoption: ADOPTION_RECORDS * FlowLayout.SIZE,
  };
  const at = new Array<number>(Region.count).fill(0);
  let end = HeaderLayout.AT + HeaderLayout.SIZE;
  for (const [name, size] of Object.entries(sizes)) {
    const region = Region[name as keyof typeof sizes];
    end = roundUp(end, ALIGNMENTS.get(region) ?? CACHE_LINE);
    at[region] = end;
    end += size;
  }
  return { at, end };
}

/** Pages that this node may tell: enough for all instances, but for more than anybody would ask for. */
export function healthPageRoom({ instances }: Capacities): number {
  return Math.min(HEALTH_PAGES_MAX, Math.ceil(instances / HealthPageLayout.ADDRESS_MAX) + 1);
}

/** Short probes, and room for old and new keys side by side when most of a full table changes at once. */
function slotsFor(addressCount: number): number {
  return powerOfTwo(Math.max(64, 3.5 * addressCount));
}

/** The least power of two that is not below `count`. */
function powerOfTwo(count: number): number {
  return 2 ** Math.ceil(Math.log2(Math.max(1, count)));
}

function roundUp(value: number, unit: number): number {
  return Math.ceil(value / unit) * unit;
}

function definedOf<T extends object>(values: T | undefined): Partial<T> {
  return Object.fromEntries(Object.entries(values ?? {}).filter(([, value]) => value !== undefined)) as Partial<T>;
}
