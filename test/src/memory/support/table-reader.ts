// The read side of the tables in slow and obvious TypeScript: what a worker at a given generation sees. The look-ups
// are generators that stop after every load, so that a test can let the writer store something in between.

import * as AddressLayout from "../../../../assembly/shared/layout/address.ts";
import * as CandidateLayout from "../../../../assembly/shared/layout/candidate.ts";
import { Region } from "../../../../assembly/shared/layout/header.ts";
import * as InstanceLayout from "../../../../assembly/shared/layout/instance.ts";
import * as KernelLayout from "../../../../assembly/shared/layout/kernel.ts";
import * as NodeLayout from "../../../../assembly/shared/layout/node.ts";
import * as ServiceLayout from "../../../../assembly/shared/layout/service.ts";
import { ServiceKind } from "../../../../assembly/shared/layout/service.ts";
import { addressHash } from "../../../../src/memory/hash.ts";
import type { SharedMemory } from "../../../../src/memory/shared-memory.ts";
import { formatAddress, parseAddress } from "../../../../src/net/address.ts";

export interface SeenInstance {
  readonly number: number;
  readonly isAlive: boolean;
  readonly namespaceAddresses: readonly string[];
  readonly instanceAddresses: readonly string[];
  readonly endpoint: string; // "local" or "address port"
}

export interface SeenCandidate extends SeenInstance {
  readonly weight: number;
  readonly draining: boolean;
  readonly local: boolean;
}

export type Seen =
  | undefined
  | { readonly kind: "balanced"; readonly policy: number; readonly candidates: readonly SeenCandidate[] }
  | { readonly kind: "instance"; readonly instance: SeenInstance };

export type Look<T> = Generator<undefined, T, undefined>;

/** Runs a look-up at once, with no store in between. */
export function now<T>(look: Look<T>): T {
  for (;;) {
    const step = look.next();
    if (step.done === true) return step.value;
  }
}

export class TableReader {
  readonly #shared: SharedMemory;
  readonly #view: DataView;

  constructor(shared: SharedMemory) {
    this.#shared = shared;
    this.#view = new DataView(shared.memory.buffer);
  }

  /** What a called address leads to. */
  *service(generation: number, address: string): Look<Seen> {
    const record = yield* this.record(generation, address);
    if (record === 0) return undefined;
    const at = this.#shared.at(Region.services) + record * ServiceLayout.SIZE;
    const first = yield* this.#u32(at + ServiceLayout.CANDIDATES);
    if ((yield* this.#u32(at + ServiceLayout.KIND)) === ServiceKind.instance) {
      return { kind: "instance", instance: yield* this.instance(generation, first) };
    }
    const candidates: SeenCandidate[] = [];
    const count = yield* this.#u32(at + ServiceLayout.CANDIDATE_COUNT);
    for (let i = 0; i < count; i++) {
      const candidateAt = this.#shared.at(Region.candidates) + (first + i) * CandidateLayout.SIZE;
      const flags = this.#view.getUint16(candidateAt + CandidateLayout.FLAGS, true);
      candidates.push({
        ...(yield* this.instance(generation, yield* this.#u32(candidateAt))),
        weight: this.#view.getUint16(candidateAt + CandidateLayout.WEIGHT, true),
        draining: (flags & CandidateLayout.DRAINING) !== 0,
        local: (flags & CandidateLayout.LOCAL) !== 0,
      });
    }
    return { kind: "balanced", policy: yield* this.#u32(at + ServiceLayout.POLICY), candidates };
  }

  /** Index of the service record of a called address, 0 = unknown. */
  record(generation: number, address: string): Look<number> {
    return this.#find(generation, address, Region.addresses, this.#shared.records.addressSlots);
  }

  /** The instance of this node with a namespace address. */
  *workload(generation: number, address: string): Look<SeenInstance | undefined> {
    const index = yield* this.#find(generation, address, Region.workloads, this.#shared.records.workloadSlots);
    return index === 0 ? undefined : yield* this.instance(generation, index);
  }

  *instance(generation: number, index: number): Look<SeenInstance> {
    const at = this.#shared.at(Region.instances) + index * InstanceLayout.SIZE;
    const isAlive = (yield* this.#u32(at + InstanceLayout.DIED)) > generation;
    const placeAt = at + inForce(yield* this.#u32(at + InstanceLayout.VERSION), generation) * InstanceLayout.PLACE_SIZE;
    const namespaceAddresses = [
      ...(yield* this.#address(placeAt + InstanceLayout.NAMESPACE_V4)),
      ...(yield* this.#address(placeAt + InstanceLayout.NAMESPACE_V6)),
    ];
    const instanceAddresses = [
      ...(yield* this.#address(placeAt + InstanceLayout.ADDRESS_V4)),
      ...(yield* this.#address(placeAt + InstanceLayout.ADDRESS_V6)),
    ];
    const number = yield* this.#u32(at + InstanceLayout.NUMBER);
    const endpoint = yield* this.endpoint(generation, yield* this.#u32(placeAt + InstanceLayout.NODE));
    return { number, isAlive, namespaceAddresses, instanceAddresses, endpoint };
  }

  *endpoint(generation: number, node: number): Look<string> {
    if (node === 0) return "local";
    const at = this.#shared.at(Region.nodes) + node * NodeLayout.SIZE;
    if ((yield* this.#u32(at + NodeLayout.STATE)) !== AddressLayout.SLOT_USED) return "unknown node";
    const place = inForce(yield* this.#u32(at + NodeLayout.VERSION), generation);
    const endpointAt = at + NodeLayout.ENDPOINTS + place * NodeLayout.ENDPOINT_SIZE;
    const [address] = yield* this.#address(endpointAt + KernelLayout.SOCKADDR_ADDRESS);
    return `${address} ${this.#view.getUint16(endpointAt + KernelLayout.SOCKADDR_PORT, false)}`;
  }

  /** What a flow checks before each use of its instance: incarnation first, then the generation of its end. */
  *isAlive(generation: number, index: number, incarnation: number): Look<boolean> {
    const at = this.#shared.at(Region.instances) + index * InstanceLayout.SIZE;
    return (
      (yield* this.#u32(at + InstanceLayout.INCARNATION)) === incarnation &&
      (yield* this.#u32(at + InstanceLayout.DIED)) > generation
    );
  }

  incarnation(index: number): number {
    return now(this.#u32(this.#shared.at(Region.instances) + index * InstanceLayout.SIZE + InstanceLayout.INCARNATION));
  }

  *#find(generation: number, address: string, region: Region, slotCount: number): Look<number> {
    const key = parseAddress(address);
    if (key === undefined) throw new TypeError(address);
    const [w0 = 0, w1 = 0, w2 = 0, w3 = 0] = new Uint32Array(key.buffer);
    let slot = addressHash(this.#shared.addressHashKey, w0, w1, w2, w3) % slotCount;
    for (let probes = 0; probes <= slotCount; probes++) {
      const at = this.#shared.at(region) + slot * AddressLayout.SLOT_SIZE;
      const state = yield* this.#u32(at + AddressLayout.STATE);
      if (state === AddressLayout.SLOT_EMPTY) return 0;
      if (
        state === AddressLayout.SLOT_USED &&
        (yield* this.#u32(at)) === w0 &&
        (yield* this.#u32(at + 4)) === w1 &&
        (yield* this.#u32(at + 8)) === w2 &&
        (yield* this.#u32(at + 12)) === w3
      ) {
        const place = inForce(yield* this.#u32(at + AddressLayout.VERSION), generation);
        return yield* this.#u32(at + AddressLayout.VALUES + 4 * place);
      }
      slot = (slot + 1) % slotCount;
    }
    throw new RangeError("no empty slot ends the probe");
  }

  *#address(at: number): Look<string[]> {
    const bytes = this.#shared.bytes.slice(at, at + 16);
    yield;
    return bytes.some((byte) => byte !== 0) ? [formatAddress(bytes)] : [];
  }

  *#u32(at: number): Look<number> {
    const value = this.#view.getUint32(at, true);
    yield;
    return value;
  }
}

function inForce(word: number, generation: number): number {
  const newer = word & 1;
  return generation >= word >>> 1 ? newer : newer ^ 1;
}
