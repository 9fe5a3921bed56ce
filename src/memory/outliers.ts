// Reads which instances new flows avoid because openings failed. The engine writes it (assembly/table/outlier.ts).

import * as HeaderLayout from "../../assembly/shared/layout/header.ts";
import { Region } from "../../assembly/shared/layout/header.ts";
import * as InstanceLayout from "../../assembly/shared/layout/instance.ts";
import * as OutlierLayout from "../../assembly/shared/layout/outlier.ts";
import { OutlierCause } from "../../assembly/shared/layout/outlier.ts";
import type { SharedMemory } from "./shared-memory.ts";

export type OutlierCauseName = keyof typeof OutlierCause;

export interface Outlier {
  readonly instance: number; // of its record
  /** Record of the client whose flows avoid it; undefined: everybody's do. */
  readonly client: number | undefined;
  readonly protocol: "TCP" | "UDP";
  readonly port: number;
  readonly cause: OutlierCauseName;
  readonly failures: number; // in a row; 255 = or more
  /** The port has answered somebody before. Told of an outlier for everybody alone. */
  readonly hasAnswered: boolean;
  readonly leftMs: number;
}

const KEY_USED = 1n << 63n;
const INDEX_MASK = (1n << BigInt(OutlierLayout.INDEX_BITS)) - 1n;
const PORT_MASK = 0xffffn;
const MIX_SHIFT = 16;

/** Those in force. `nowMs` is of the workers' clock. */
export function readOutliers(shared: SharedMemory, nowMs: number): Outlier[] {
  if (header(shared, HeaderLayout.OUTLIER_UNTIL_MS) === 0) return [];
  const view = new DataView(shared.memory.buffer);
  const start = shared.at(Region.outliers);
  const end = start + OutlierLayout.SETS * OutlierLayout.WAYS * OutlierLayout.SIZE;
  const found: Outlier[] = [];
  for (let at = start; at < end; at += OutlierLayout.SIZE) {
    const outlier = readOne(shared, view, at, nowMs);
    if (outlier !== undefined) found.push(outlier);
  }
  return found;
}

/** Another number whenever an instance is avoided or, by a success, not any more. */
export function outlierEpoch(shared: SharedMemory): number {
  return Atomics.load(shared.i32, (HeaderLayout.AT + HeaderLayout.OUTLIER_EPOCH) >>> 2);
}

/** Resolves when the epoch is another one than `known`. Keeps no process alive. */
export async function nextOutlierEpoch(shared: SharedMemory, known: number): Promise<void> {
  await Atomics.waitAsync(shared.i32, (HeaderLayout.AT + HeaderLayout.OUTLIER_EPOCH) >>> 2, known).value;
}

function readOne(shared: SharedMemory, view: DataView, at: number, nowMs: number): Outlier | undefined {
  const key = view.getBigUint64(at + OutlierLayout.KEY, true);
  const failures = view.getUint8(at + OutlierLayout.FAILURES);
  if (key === 0n || failures < header(shared, HeaderLayout.OUTLIER_FAILURES)) return undefined;
  const clientIndex = Number(((key & ~KEY_USED) >> BigInt(OutlierLayout.CLIENT_SHIFT)) & INDEX_MASK);
  const client = clientIndex === OutlierLayout.EVERYBODY ? undefined : clientIndex;
  const clients = view.getUint8(at + OutlierLayout.CLIENT_COUNT);
  if (client === undefined && clients < OutlierLayout.CLIENTS_MIN) return undefined;
  const instance = Number((key >> BigInt(OutlierLayout.INSTANCE_SHIFT)) & INDEX_MASK);
  const ageMs = (Math.floor(nowMs) - view.getUint32(at + OutlierLayout.USED_MS, true)) | 0; // below 0: just now
  const leftMs = header(shared, HeaderLayout.OUTLIER_PAUSE_MS) - Math.max(0, ageMs);
  if (leftMs <= 0) return undefined;
  const own = incarnation(shared, instance);
  const mixed = client === undefined ? own : (rotated(incarnation(shared, client)) ^ own) >>> 0;
  if (view.getUint32(at + OutlierLayout.INCARNATION, true) !== mixed) return undefined;
  return {
    ...{ instance, client, failures, leftMs },
    protocol: ((key >> BigInt(OutlierLayout.UDP_SHIFT)) & 1n) === 1n ? "UDP" : "TCP",
    port: Number(key & PORT_MASK),
    cause: OutlierCause[view.getUint8(at + OutlierLayout.CAUSE)] as OutlierCauseName,
    hasAnswered: view.getUint8(at + OutlierLayout.HAS_ANSWERED) !== 0,
  };
}

function rotated(word: number): number {
  return ((word << MIX_SHIFT) | (word >>> MIX_SHIFT)) >>> 0;
}

function incarnation(shared: SharedMemory, instance: number): number {
  const at = shared.at(Region.instances) + instance * InstanceLayout.SIZE + InstanceLayout.INCARNATION;
  return shared.u32[at >>> 2] ?? 0;
}

function header(shared: SharedMemory, offset: number): number {
  return Atomics.load(shared.u32, (HeaderLayout.AT + offset) >>> 2);
}
