// Built policy modules without the host: candidates are written into the module's memory as the host would.

import { readFile } from "node:fs/promises";
import { RECORD_FLOWS, RECORD_SIZE, UPDATE_DONE, UPDATE_FULL } from "../../assembly/shared/policies.ts";
import { PLAIN_CANDIDATE, type PolicyCandidate, writeCandidate } from "../../src/dataplane/modules/candidate-record.ts";
import { instantiatePolicy, type PolicyExports } from "../../src/dataplane/modules/policy-module.ts";
import { builtModulePath } from "../../src/dataplane/modules/wasm.ts";

export type Candidate = Pick<PolicyCandidate, "instance"> & Partial<PolicyCandidate>;

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
      writeCandidate(records, index * RECORD_SIZE, { ...PLAIN_CANDIDATE, ...candidate });
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

/** How often each value occurs, by value. */
export function countEach<Value>(values: readonly Value[]): Map<Value, number> {
  const counts = new Map<Value, number>();
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
