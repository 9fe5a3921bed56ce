// Built policy modules without the host: candidates are written into the module's memory as the host would.

import { readFile } from "node:fs/promises";
import {
  RECORD_DISTANCE_KM,
  RECORD_DRAINING,
  RECORD_FLAGS,
  RECORD_FLOWS,
  RECORD_HEALTHY,
  RECORD_INSTANCE,
  RECORD_LOCAL,
  RECORD_RTT_US,
  RECORD_SIZE,
  RECORD_WEIGHT,
  UPDATE_DONE,
  UPDATE_FULL,
} from "../../assembly/shared/policies.ts";
import { instantiatePolicy, type PolicyExports } from "../../src/dataplane/policy-module.ts";
import { builtModulePath } from "../../src/dataplane/wasm.ts";

export interface Candidate {
  readonly instance: number;
  readonly weight?: number;
  readonly flows?: number;
  readonly rttUs?: number;
  readonly distanceKm?: number;
  readonly isLocal?: boolean;
  readonly isDraining?: boolean;
  readonly isHealthy?: boolean;
}

export async function compilePolicy(name: string): Promise<WebAssembly.Module> {
  return WebAssembly.compile(await readFile(builtModulePath(`policies/${name}`)));
}

/** A fresh instance of a built policy, and what its services were last told. */
export class LoadedPolicy {
  readonly exports: PolicyExports;
  readonly #candidates = new Map<number, readonly Candidate[]>();
  readonly #recordsAt = new Map<number, number>();

  constructor(exports: PolicyExports) {
    this.exports = exports;
  }

  static async load(name: string): Promise<LoadedPolicy> {
    return new LoadedPolicy(instantiatePolicy(await compilePolicy(name), name));
  }

  /** False if the module has no room, for the records or for what it builds of them. */
  set(service: number, candidates: readonly Candidate[]): boolean {
    const recordsAt = this.exports.reserve(service, candidates.length) >>> 0;
    if (recordsAt === 0) return false;
    const records = new DataView(this.exports.memory.buffer, recordsAt, candidates.length * RECORD_SIZE);
    candidates.forEach((candidate, index) => {
      writeRecord(records, index * RECORD_SIZE, candidate);
    });
    const answer = this.exports.update(service, candidates.length);
    if (answer === UPDATE_FULL) return false;
    if (answer !== UPDATE_DONE) throw new Error(`update answered ${answer}`);
    this.#candidates.set(service, candidates);
    this.#recordsAt.set(service, recordsAt);
    return true;
  }

  /** Writes the flow counts anew, as the host does before each choice of a policy with `liveFlows`. */
  setFlows(service: number, flows: readonly number[]): void {
    const records = new DataView(this.exports.memory.buffer, this.#recordsAt.get(service) ?? 0);
    flows.forEach((count, index) => {
      records.setUint32(index * RECORD_SIZE + RECORD_FLOWS, count, true);
    });
  }

  /** Instance number of the choice, undefined for none. */
  choose(service: number, flowHash = 0, clientHash = 0): number | undefined {
    const choice = this.exports.choose(service, flowHash, clientHash);
    if (choice === -1) return undefined;
    const chosen = this.#candidates.get(service)?.[choice];
    if (chosen === undefined) throw new Error(`choose answered ${choice}`);
    return chosen.instance;
  }

  chooseMany(service: number, count: number): (number | undefined)[] {
    return Array.from({ length: count }, () => this.choose(service));
  }
}

function writeRecord(records: DataView, at: number, candidate: Candidate): void {
  const flags =
    (candidate.isDraining === true ? RECORD_DRAINING : 0) |
    (candidate.isLocal === true ? RECORD_LOCAL : 0) |
    (candidate.isHealthy === false ? 0 : RECORD_HEALTHY);
  for (let offset = 0; offset < RECORD_SIZE; offset += 4) records.setUint32(at + offset, 0, true);
  records.setUint32(at + RECORD_INSTANCE, candidate.instance, true);
  records.setUint32(at + RECORD_WEIGHT, candidate.weight ?? 1, true);
  records.setUint32(at + RECORD_FLOWS, candidate.flows ?? 0, true);
  records.setUint32(at + RECORD_RTT_US, candidate.rttUs ?? 0, true);
  records.setFloat32(at + RECORD_DISTANCE_KM, candidate.distanceKm ?? Number.NaN, true);
  records.setUint32(at + RECORD_FLAGS, flags, true);
}

/** How often each value occurs, by value. */
export function countEach(values: readonly (number | undefined)[]): Map<number | undefined, number> {
  const counts = new Map<number | undefined, number>();
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  return counts;
}

/** Candidates 1...count, all alike. */
export function candidates(count: number): Candidate[] {
  return Array.from({ length: count }, (_, index) => ({ instance: index + 1 }));
}

/** Candidates 1, 2 ... with these weights. */
export function weighted(...weights: readonly number[]): Candidate[] {
  return weights.map((weight, index) => ({ instance: index + 1, weight }));
}
