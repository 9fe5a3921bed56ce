// One breath of the data path: wait, read a batch from each device, let the engine translate it, write what it queued.
// Between two breaths it carries out orders; only then is the engine replaced.
// Knows no descriptor and no clock of its own: all is passed in. Promises: neither direction starves the other, a
// busy loop still attends to sweeping and probing, an idle one wakes as seldom as that allows.

import * as WorkerLayout from "../../../assembly/shared/layout/worker.ts";
import { READY_TUN, READY_UDP, type WorkerDevices } from "../io/device.ts";
import type { EngineExports } from "../modules/engine-contract.ts";
import type { Spin } from "./spin.ts";

/** Holds the engine in force. */
export interface EngineSeat {
  current: EngineExports;
}

interface LoopOptions extends WorkerDevices {
  readonly engine: EngineSeat;
  /** Monotonic microseconds, the same for all workers. */
  readonly clock: () => number;
  /** Flow records that this worker has to sweep. */
  readonly flowRecords: () => number;
  /** Packets of this worker that wait for their address to become known. */
  readonly parkedPackets: () => number;
  /** The worker that probes the other nodes: microseconds in which nothing is due for them; undefined = another one. */
  readonly probePauseUs: (() => number) | undefined;
  /** Undefined: sleeps as soon as nothing comes any more. */
  readonly spin?: Spin | undefined;
  /** Carries out what was ordered since the last breath; false = return. */
  readonly attendOrders: () => boolean;
}

/** An idle flow is ended at most this long after its timeout. */
const SWEEP_ROUND_US = 2_000_000;
/** Under load the table is swept in small pieces, so that no packet waits for a large one. */
const SWEEP_PAUSE_US = 10_000;
/**
 * A loop that did not come around for so long was stopped: no sleep is that long. What came meanwhile still waits, and
 * its flows look idle.
 */
const STOPPED_US = 2_000_000;
/** Then the sweep waits, until all that waits has been read, by each worker. */
const STOPPED_GRACE_US = 2_000_000;
/** The other nodes are looked at no more often, whatever is due. */
const PROBE_PAUSE_MIN_US = 50_000;
const SLEEP_MAX_MS = 400;
/** As long as packets are parked. */
const PARKED_SLEEP_MAX_MS = 10;
/**
 * Looks at the descriptors before sleeping, after a breath that found work. A look costs less than a microsecond and a
 * sleep with its wake-up several; but on two cores whoever is to send the next packet needs this one. Measured with a
 * UDP echo on two busy cores: up to 8 looks change neither latency nor processor time, 64 take 15 % more time and win
 * nothing.
 */
const LOOKS_MAX = 8;
/**
 * When nothing came for so long, packets come too slowly to be met by looking, and the next one comes alone if the
 * last one did. Streams that are faster sleep more often without a look: half as much processor time again.
 */
const QUIET_US = 20;

export class Loop {
  readonly #options: LoopOptions;
  #looks = 0; // how many before sleeping, as it paid lately
  #looksLeft = 0;
  #workedUs = 0; // when the last breath with work ended
  #cameAlone = false; // a single packet was all that came after a quiet time
  #sweptUs: number;
  #probedUs: number;

  constructor(options: LoopOptions) {
    this.#options = options;
    this.#sweptUs = options.clock();
    this.#probedUs = this.#sweptUs;
  }

  /** Breathes until told to return. Blocks the thread. */
  run(): void {
    while (this.#options.attendOrders()) this.breathe();
  }

  /** Returns how many frames and messages it handled. */
  breathe(): number {
    const { waiter, clock, spin } = this.#options;
    const begunUs = clock();
    const isSpinning = spin?.mayLook(begunUs) === true;
    const isLooking = isSpinning || this.#looksLeft > 0;
    const ready = waiter.wait(isLooking ? 0 : this.#sleepMs(begunUs));
    const wokenUs = clock();
    const wasQuiet = wokenUs - this.#workedUs >= QUIET_US;

    let handled = 0;
    if ((ready & READY_TUN) !== 0) handled += this.#egress(wasQuiet && this.#cameAlone ? 1 : WorkerLayout.BATCH_SIZE);
    if ((ready & READY_UDP) !== 0) handled += this.#ingress();
    if (handled > 0) this.#cameAlone = wasQuiet && handled === 1;
    spin?.note(begunUs, wokenUs, isSpinning, handled > 0);
    if (!isSpinning) this.#adaptLooks(handled > 0, isLooking, wasQuiet ? 0 : 1);
    this.#attend(clock());
    if (handled > 0) this.#workedUs = clock();
    return handled;
  }

  /**
   * Only a read that finds nothing says that the TUN is empty. Where frames come alone it is left out: the next wait
   * says the same, and tells at once if there is one more.
   */
  #egress(most: number): number {
    const { tun, engine, clock } = this.#options;
    const count = tun.readBatch(most);
    const nowUs = clock();
    for (let next = 0; next < count; ) {
      next = advance(next, engine.current.egress(next, count, nowUs));
      this.#flush();
    }
    return count;
  }

  #ingress(): number {
    const { udp, engine, clock } = this.#options;
    const count = udp.receiveBatch();
    const nowUs = clock();
    for (let next = 0; next < count; ) {
      next = advance(next, engine.current.ingress(next, count, nowUs));
      this.#flush();
    }
    return count;
  }

  #flush(): void {
    this.#options.udp.sendQueue();
    this.#options.tun.writeQueue();
  }

  /** Looking pays when it found work, and did not when it ended in sleep. */
  #adaptLooks(hasWorked: boolean, wasLooking: boolean, least: number): void {
    if (hasWorked) {
      if (wasLooking && this.#looks < LOOKS_MAX) this.#looks += 1;
      this.#looksLeft = Math.max(this.#looks, least);
    } else if (wasLooking) {
      this.#looksLeft -= 1;
      if (this.#looksLeft === 0 && this.#looks > 0) this.#looks -= 1;
    }
  }

  /** What is due by time rather than by packet. */
  #attend(nowUs: number): void {
    const { engine, flowRecords, parkedPackets } = this.#options;
    if (parkedPackets() > 0) this.#unpark(nowUs);
    const sinceSweepUs = nowUs - this.#sweptUs;
    if (sinceSweepUs > STOPPED_US) this.#sweptUs = nowUs + STOPPED_GRACE_US;
    else if (sinceSweepUs >= SWEEP_PAUSE_US) {
      this.#sweptUs = nowUs;
      const share = Math.min(1, sinceSweepUs / SWEEP_ROUND_US);
      engine.current.sweep(nowUs, Math.ceil(flowRecords() * share));
    }
    if (nowUs >= this.#probeDueUs()) {
      this.#probedUs = nowUs;
      engine.current.probe(nowUs);
      this.#flush();
    }
  }

  #unpark(nowUs: number): void {
    let left: number;
    do {
      left = this.#options.engine.current.unpark(nowUs);
      this.#flush();
    } while (left > 0);
  }

  /** How long nothing is due. */
  #sleepMs(nowUs: number): number {
    const longestMs = this.#options.parkedPackets() > 0 ? PARKED_SLEEP_MAX_MS : SLEEP_MAX_MS;
    const leftMs = Math.ceil((this.#probeDueUs() - nowUs) / 1000);
    return Math.max(0, Math.min(longestMs, leftMs));
  }

  #probeDueUs(): number {
    const pauseUs = this.#options.probePauseUs?.() ?? Number.POSITIVE_INFINITY;
    return this.#probedUs + Math.max(PROBE_PAUSE_MIN_US, pauseUs);
  }
}

/** The engine always handles a slot when its queues are empty; one that did not would hold this thread for ever. */
function advance(from: number, next: number): number {
  return next > from ? next : from + 1;
}
