// Keeps the node's network as this proxy set it up: looks when the kernel tells of a change, and now and then anyway.
// Puts back what is ours; says what is not ours and stands in the way. Whoever changes the same thing again and again
// is answered ever more slowly, so that two programs never fight in a loop.

import { reasonOf, SapwoodError } from "../../base/errors.ts";
import type { Logger } from "../../base/log.ts";
import type { NetworkReport } from "../../model/reports.ts";
import type { KeptState } from "../../sys/interface-state.ts";

const LOOK_MS = 200;
/** Without any event: parameters of the kernel change without one. */
const CHECK_MS = 5000;
const PAUSE_MS = 500;
const PAUSE_MAX_MS = 60_000;
/** This number of repairs within the window wait PAUSE_MS each, each further one twice as long as the one before. */
const QUICK_REPAIRS = 5;
const WINDOW_MS = 600_000;

/** Something in the kernel that this proxy set up. */
export interface Kept {
  /** Interfaces whose changes matter. */
  readonly indices: readonly number[];
  /** Looks, and puts back what differs. */
  check(): Promise<KeptState>;
}

interface KeptTun extends Kept {
  /** Costs next to nothing. Throws tun-unavailable when the device is gone. */
  expectThere(): void;
}

interface NetworkWatchOptions {
  readonly tun: KeptTun;
  readonly routes: readonly string[]; // that the TUN has at first
  readonly others: readonly Kept[];
  readonly events: { concern(interfaces: readonly number[]): boolean; close(): void };
  readonly log: Logger;
  readonly nowMs: () => number; // monotonic
  readonly clock: () => Date;
}

export class NetworkWatch {
  /** Rejects when the TUN is gone; otherwise it stays pending. */
  readonly failure: Promise<never>;
  readonly #options: NetworkWatchOptions;
  readonly #timer: NodeJS.Timeout;
  #fail: (error: SapwoodError) => void = () => undefined;
  #report: NetworkReport;
  #problemsLogged = "";
  #isDue = true;
  #notBeforeMs = 0;
  #checkedMs = 0;
  #repairsMs: number[] = []; // when, within the window
  #checking: Promise<void> | undefined;

  constructor(options: NetworkWatchOptions) {
    this.#options = options;
    this.failure = new Promise((_, reject) => {
      this.#fail = reject;
    });
    this.failure.catch(() => undefined); // may happen before anybody waits for it
    this.#report = { isUp: true, routes: options.routes, problems: [], repairs: 0 };
    this.#timer = setInterval(() => this.look(), LOOK_MS).unref();
  }

  get report(): NetworkReport {
    return this.#report;
  }

  /** Starts a check if one is due. */
  look(): void {
    const { tun, others, events, nowMs, log } = this.#options;
    try {
      tun.expectThere();
    } catch (error) {
      if (!(error instanceof SapwoodError)) throw error;
      clearInterval(this.#timer);
      return this.#fail(error);
    }
    const now = nowMs();
    this.#isDue = events.concern([tun, ...others].flatMap(({ indices }) => indices)) || this.#isDue;
    this.#isDue ||= now - this.#checkedMs >= CHECK_MS;
    if (!this.#isDue || now < this.#notBeforeMs || this.#checking !== undefined) return;
    this.#isDue = false;
    this.#checkedMs = now;
    this.#checking = this.#check()
      .catch((error: unknown) => log.error({ err: error }, "could not see whether the node's network is as it was"))
      .finally(() => {
        this.#checking = undefined;
      });
  }

  /** When this resolves nothing is put back any more. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    this.#options.events.close();
    await this.#checking;
  }

  async #check(): Promise<void> {
    const { tun, others, nowMs, clock, log } = this.#options;
    const own = await tun.check();
    const states = [own];
    for (const other of others) states.push(await other.check().catch(failed));
    const repaired = states.flatMap((state) => state.repaired);
    const problems = states.flatMap((state) => state.problems);
    const { isUp, routes } = own;
    this.#report = { ...this.#report, isUp, routes, problems };
    this.#tellProblems(problems);
    if (repaired.length > 0) this.#pause(nowMs());
    else if (states.some(({ hasActed }) => hasActed)) this.#notBeforeMs = nowMs() + CHECK_MS;
    if (repaired.length === 0) return;
    const { repairs } = this.#report;
    this.#report = { ...this.#report, repairs: repairs + 1, lastRepair: { at: clock().toISOString(), what: repaired } };
    log.warn({ what: repaired }, "somebody changed the node's network; it is as it was before");
  }

  /** Once per change. */
  #tellProblems(problems: readonly string[]): void {
    const all = problems.join(" ");
    if (all === this.#problemsLogged) return;
    this.#problemsLogged = all;
    const { log } = this.#options;
    if (problems.length === 0) log.info("nothing is wrong with the node's network any more");
    for (const problem of problems) log.error(problem);
  }

  #pause(nowMs: number): void {
    this.#repairsMs = [...this.#repairsMs.filter((atMs) => nowMs - atMs < WINDOW_MS), nowMs];
    const slow = Math.max(0, this.#repairsMs.length - QUICK_REPAIRS);
    this.#notBeforeMs = nowMs + Math.min(PAUSE_MAX_MS, PAUSE_MS * 2 ** slow);
  }
}

/** One that cannot be looked at keeps the others from nothing. */
function failed(error: unknown): KeptState {
  const problem = reasonOf(error);
  return { isUp: false, routes: [], repaired: [], problems: [problem], hasActed: true };
}
