// Keeps the node's network as this proxy set it up: looks when the kernel tells of a change, and now and then anyway.
// Puts back what is ours; says what is not ours and stands in the way. Whoever changes the same thing again and again
// is answered ever more slowly, so that two programs never fight in a loop. A look takes processes of other programs,
// so there is none while nothing happens.

import { reasonOf, SapwoodError } from "../../base/errors.ts";
import type { Logger } from "../../base/log.ts";
import type { NetworkReport } from "../../model/reports.ts";
import type { KeptState } from "../../sys/interface-state.ts";
import type { NetworkEvents } from "../../sys/network-events.ts";

/** From an event of ours to the look: the changes of one command are looked at together. */
const SETTLE_MS = 200;
/**
 * What happens elsewhere is looked at so often at most: addresses of the node, ways to workloads, packet filters. So
 * often, too, it is asked what changes without an event, and all is looked at as long as something is wrong.
 */
const CHECK_MS = 5000;
/** All is looked at after this time, in case that an event was missed. */
const QUIET_MS = 60_000;
const PAUSE_MS = 500;
const PAUSE_MAX_MS = 60_000;
/** This number of repairs within the window wait PAUSE_MS each, each further one twice as long as the one before. */
const QUICK_REPAIRS = 5;
const WINDOW_MS = 600_000;

/** Something in the kernel that this proxy set up. */
export interface Kept {
  /** Interfaces whose changes matter. */
  readonly indices: readonly number[];
  /** Interfaces of which the link and the addresses matter, and the routes do not. */
  readonly linkIndices?: readonly number[];
  /** Looks, and puts back what differs. */
  check(): Promise<KeptState>;
  /** Whether something differs that changes without an event, as kernel parameters do. Costs next to nothing. */
  hasDrifted?(): boolean;
}

interface KeptTun extends Kept {
  /** Costs next to nothing. Throws tun-unavailable when the device is gone. */
  expectThere(): void;
}

interface NetworkWatchOptions {
  readonly tun: KeptTun;
  readonly routes: readonly string[]; // that the TUN has at first
  readonly others: readonly Kept[];
  readonly events: Pick<NetworkEvents, "tellsFilters" | "listen" | "look" | "close">;
  readonly log: Logger;
  readonly nowMs: () => number; // monotonic
  readonly clock: () => Date;
}

export class NetworkWatch {
  /** Rejects when the TUN is gone; otherwise it stays pending. */
  readonly failure: Promise<never>;
  readonly #options: NetworkWatchOptions;
  #fail: (error: SapwoodError) => void = () => undefined;
  #report: NetworkReport;
  #problemsLogged = "";
  #timer: NodeJS.Timeout | undefined;
  #lookAtMs = Number.POSITIVE_INFINITY; // when the timer ends
  #dueMs = 0; // when to check
  #notBeforeMs = 0;
  #checkedMs = 0;
  #repairsMs: number[] = []; // when, within the window
  #checking: Promise<void> | undefined;
  #isPaused = false;
  #isClosed = false;

  constructor(options: NetworkWatchOptions) {
    this.#options = options;
    this.failure = new Promise((_, reject) => {
      this.#fail = reject;
    });
    this.failure.catch(() => undefined); // may happen before anybody waits for it
    this.#report = { isUp: true, routes: options.routes, problems: [], repairs: 0 };
    options.events.listen(() => this.#lookBy(options.nowMs() + SETTLE_MS));
    // What changed since it was set up and before the events were listened to.
    this.#lookBy(options.nowMs() + SETTLE_MS);
  }

  get report(): NetworkReport {
    return this.#report;
  }

  /** Starts a check if one is due. */
  look(): void {
    const { tun, others, events, nowMs } = this.#options;
    if (this.#isClosed) return;
    this.#lookAtMs = Number.POSITIVE_INFINITY;
    if (this.#isPaused) return;
    try {
      tun.expectThere();
    } catch (error) {
      if (!(error instanceof SapwoodError)) throw error;
      this.#stop();
      return this.#fail(error);
    }
    const kept = [tun, ...others];
    const now = nowMs();
    const change = events.look(
      kept.flatMap(({ indices }) => indices),
      kept.flatMap(({ linkIndices }) => linkIndices ?? []),
    );
    if (change === "ours") this.#dueMs = Math.min(this.#dueMs, now);
    else if (change === "elsewhere" || kept.some((one) => one.hasDrifted?.())) {
      this.#dueMs = Math.min(this.#dueMs, this.#checkedMs + CHECK_MS);
    }
    if (this.#checking !== undefined) return; // another look follows its end
    const startMs = Math.max(this.#dueMs, this.#notBeforeMs);
    if (now < startMs) return this.#lookBy(Math.min(startMs, now + CHECK_MS));
    this.#checkedMs = now;
    this.#dueMs = Number.POSITIVE_INFINITY;
    this.#checking = this.#check()
      .catch((error: unknown) => {
        if (!(error instanceof SapwoodError && error.code === "tun-unavailable")) this.#noteUnseen(error);
        this.#dueMs = Math.min(this.#dueMs, now + CHECK_MS);
      })
      .finally(() => {
        this.#checking = undefined;
        const isWell = this.#report.problems.length === 0 && events.tellsFilters;
        this.#dueMs = Math.min(this.#dueMs, now + (isWell ? QUIET_MS : CHECK_MS));
        this.#lookBy(nowMs() + SETTLE_MS); // there may be more events than were read at once
      });
  }

  /** When this resolves nothing is put back until resume(). */
  async pause(): Promise<void> {
    this.#isPaused = true;
    await this.#checking;
  }

  /** Looks at all, and puts back what differs. */
  resume(): void {
    this.#isPaused = false;
    this.#dueMs = 0;
    this.#lookBy(this.#options.nowMs());
  }

  /** When this resolves nothing is put back any more. */
  async close(): Promise<void> {
    this.#stop();
    this.#options.events.close();
    await this.#checking;
  }

  #stop(): void {
    this.#isClosed = true;
    clearTimeout(this.#timer);
  }

  /** Looks at this time or before. */
  #lookBy(atMs: number): void {
    if (this.#isClosed || atMs >= this.#lookAtMs) return;
    this.#lookAtMs = atMs;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.look(), Math.max(0, atMs - this.#options.nowMs())).unref();
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

  /** Nobody can say what is wrong; perhaps nothing is. */
  #noteUnseen(error: unknown): void {
    const problems = [`Whether the node's network is as it was set up cannot be seen: ${reasonOf(error)}`];
    this.#report = { ...this.#report, problems };
    this.#tellProblems(problems);
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
