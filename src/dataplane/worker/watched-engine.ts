// An engine whose calls the watch over calls that do not return sees. The host marks them, from before the call to
// after it, so that no engine can hide a call; the engine's own WorkerLayout.SEQUENCE says only in which
// generation of the tables a worker is. The marks are plain stores, as those of policies are, twice per batch.

import type { EngineExports } from "../modules/engine-contract.ts";
import { CALL_ENGINE } from "../modules/policy-board.ts";

export class WatchedEngine implements EngineExports {
  readonly #call: Int32Array; // PolicyBoard.call()
  readonly #engine: EngineExports;

  /** `start` instantiates the engine, which may already not return. */
  constructor(call: Int32Array, start: () => EngineExports) {
    this.#call = call;
    this.#turn();
    try {
      this.#engine = start();
    } finally {
      this.#turn();
    }
  }

  layoutVersion(): number {
    return this.#left(this.#entered().layoutVersion());
  }

  attach(worker: number, memoryBase: bigint): void {
    this.#left(this.#entered().attach(worker, memoryBase));
  }

  egress(first: number, count: number, nowUs: number): number {
    return this.#left(this.#entered().egress(first, count, nowUs));
  }

  ingress(first: number, count: number, nowUs: number): number {
    return this.#left(this.#entered().ingress(first, count, nowUs));
  }

  probe(nowUs: number): number {
    return this.#left(this.#entered().probe(nowUs));
  }

  unpark(nowUs: number): number {
    return this.#left(this.#entered().unpark(nowUs));
  }

  sweep(nowUs: number, budget: number): number {
    return this.#left(this.#entered().sweep(nowUs, budget));
  }

  udpRejected(message: number, errno: number): number {
    return this.#left(this.#entered().udpRejected(message, errno));
  }

  pathError(errno: number, origin: number, mtu: number, quoted: number): void {
    this.#left(this.#entered().pathError(errno, origin, mtu, quoted));
  }

  #entered(): EngineExports {
    this.#turn();
    return this.#engine;
  }

  #left<Answer>(answer: Answer): Answer {
    this.#turn();
    return answer;
  }

  /** Into the call, or out of it. One that traps ends the worker, and control clears the mark. */
  #turn(): void {
    this.#call[CALL_ENGINE] = ((this.#call[CALL_ENGINE] as number) + 1) | 0;
  }
}
