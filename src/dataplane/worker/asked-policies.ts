// The policies of a node whose packets are to be explained: they choose as a worker's do, and what each was told of its
// candidates is kept, with what it answered.

import * as ServiceLayout from "../../../assembly/shared/layout/service.ts";
import { RECORD_SIZE } from "../../../assembly/shared/policies.ts";
import { CandidateReader } from "../modules/candidate-reader.ts";
import { type PolicyCandidate, readCandidate } from "../modules/candidate-record.ts";
import { PolicyHost } from "./policies.ts";
import type { PolicyModule } from "./worker-contract.ts";

/** A policy was asked for an instance. */
export interface AskedChoice {
  readonly slot: number;
  /** As the policy saw them: their round-trip times and, unless it asks for those of the moment, flows may be older. */
  readonly candidates: readonly PolicyCandidate[];
  readonly choice: number; // index of a candidate; anything else: none
}

export class AskedPolicies {
  readonly #candidates: NotingReader;
  readonly #host: PolicyHost;
  #asked: { readonly serviceAt: number; readonly choice: number } | undefined;

  /** Throws module-refused. */
  constructor(memory: WebAssembly.Memory, modules: readonly PolicyModule[], clockMs?: () => number) {
    this.#candidates = new NotingReader(memory);
    this.#host = new PolicyHost(memory, modules, 0, { candidates: this.#candidates, ...(clockMs && { clockMs }) });
  }

  /** The engine's import. */
  choose(serviceAt: number, flowHash: number, clientHash: number): number {
    const choice = this.#host.choose(serviceAt, flowHash, clientHash);
    this.#asked = { serviceAt: serviceAt >>> 0, choice };
    return choice;
  }

  forget(): void {
    this.#asked = undefined;
  }

  /** The last question since forget(); of the tables that it was asked on. */
  asked(): AskedChoice | null {
    if (this.#asked === undefined) return null;
    const { serviceAt, choice } = this.#asked;
    const records = this.#candidates.told(serviceAt);
    return {
      slot: this.#candidates.view.getUint32(serviceAt + ServiceLayout.POLICY, true),
      candidates: Array.from({ length: records.byteLength / RECORD_SIZE }, (_, index) =>
        readCandidate(records, index * RECORD_SIZE),
      ),
      choice,
    };
  }
}

/** Keeps what it has copied for a policy, because the policy may write over it. */
class NotingReader extends CandidateReader {
  readonly #told = new Map<number, DataView<ArrayBuffer>>(); // by address of the service record

  /** What was copied last; without a policy that asked for it, what is so now. */
  told(serviceAt: number): DataView<ArrayBuffer> {
    return this.#told.get(serviceAt) ?? this.#copyOf(serviceAt);
  }

  override copy(serviceAt: number, records: DataView, recordsAt: number): void {
    super.copy(serviceAt, records, recordsAt);
    this.#told.set(serviceAt, this.#copyOf(serviceAt));
  }

  override copyFlows(serviceAt: number, recordWords: Int32Array, recordsAt: number): void {
    super.copyFlows(serviceAt, recordWords, recordsAt);
    super.copyFlows(serviceAt, new Int32Array(this.told(serviceAt).buffer), 0);
  }

  #copyOf(serviceAt: number): DataView<ArrayBuffer> {
    const count = this.view.getUint32(serviceAt + ServiceLayout.CANDIDATE_COUNT, true);
    const records = new DataView(new ArrayBuffer(count * RECORD_SIZE));
    super.copy(serviceAt, records, 0);
    return records;
  }
}
