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
    this.#turn();
    const version = this.#engine.layoutVersion();
    this.#turn();
    return version;
  }

  attach(worker: number, memoryBase: bigint): void {
    this.#turn();
    this.#engine.attach(worker, memoryBase);
    this.#turn();
  }

  egress(first: number, count: number, nowUs: number): number {
    this.#turn();
    const next = this.#engine.egress(first, count, nowUs);
    this.#turn();
    return next;
  }

  ingress(first: number, count: number, nowUs: number): number {
    this.#turn();
    const next = this.#engine.ingress(first, count, nowUs);
    this.#turn();
    return next;
  }

  probe(nowUs: number): number {
    this.#turn();
    const queued = this.#engine.probe(nowUs);
    this.#turn();
    return queued;
  }

  unpark(nowUs: number): number {
    this.#turn();
    const left = this.#engine.unpark(nowUs);
    this.#turn();
    return left;
  }

  sweep(nowUs: number, budget: number): number {
    this.#turn();
    const ended = this.#engine.sweep(nowUs, budget);
    this.#turn();
    return ended;
  }

  udpRejected(message: number, errno: number): number {
    this.#turn();
    const singles = this.#engine.udpRejected(message, errno);
    this.#turn();
    return singles;
  }

  pathError(errno: number, origin: number, mtu: number, quoted: number): void {
    this.#turn();
    this.#engine.pathError(errno, origin, mtu, quoted);
    this.#turn();
  }

  /** Into the call, or out of it. One that traps ends the worker, and control clears the mark. */
  #turn(): void {
    this.#call[CALL_ENGINE] = ((this.#call[CALL_ENGINE] as number) + 1) | 0;
  }
}
