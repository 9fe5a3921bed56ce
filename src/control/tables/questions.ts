// Service addresses that workloads call and the tables do not hold. An orchestrator answers by setting the address in
// the tables, or by refusing it; a question that nobody answers is over after the configured time.

import * as RefusalLayout from "../../../assembly/shared/layout/refusal.ts";
import { SapwoodError } from "../../base/errors.ts";
import { shortText } from "../../base/issues.ts";
import { type Question, readQuestions, refuseAddress } from "../../memory/questions.ts";
import type { SharedMemory } from "../../memory/shared-memory.ts";
import { canonicalAddress } from "../../net/address.ts";

interface QuestionsOptions {
  readonly shared: SharedMemory;
  /** How long a question is open. */
  readonly timeoutMs: number;
  /** The workers' clock. */
  readonly nowMs: () => number;
  readonly isKnown: (address: string) => boolean;
}

/** How often the workers' questions are looked at while somebody waits for one. */
const LOOK_MS = 10;

export class Questions {
  readonly #options: QuestionsOptions;
  readonly #refusedMs = new Map<string, number>();
  /** Refused, and packets may still wait: workers take over a bounded number at a time. */
  readonly #unsettled = new Set<string>();
  #settling: NodeJS.Timeout | undefined;

  constructor(options: QuestionsOptions) {
    this.#options = options;
  }

  /** The open questions, the oldest first. */
  open(): Question[] {
    const { shared, timeoutMs, nowMs, isKnown } = this.#options;
    const now = nowMs();
    for (const [address, refusedMs] of this.#refusedMs) {
      if (now - refusedMs >= timeoutMs) this.#refusedMs.delete(address);
    }
    return readQuestions(shared, now, timeoutMs)
      .filter(({ address, ageMs }) => {
        const refusedMs = this.#refusedMs.get(address);
        return !isKnown(address) && (refusedMs === undefined || now - ageMs > refusedMs);
      })
      .sort((a, b) => b.ageMs - a.ageMs);
  }

  /** The open questions, as soon as there is one; none when `waitMs` are over. */
  async next(waitMs: number): Promise<Question[]> {
    const { nowMs } = this.#options;
    const endMs = nowMs() + waitMs;
    for (;;) {
      const found = this.open();
      if (found.length > 0 || nowMs() >= endMs) return found;
      // Unreferenced: a proxy that ends does not wait for those who ask.
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS).unref());
    }
  }

  /** Ends any number of questions, or none when one is no address; for a second these are refused without asking. */
  refuse(texts: readonly string[]): void {
    const addresses = texts.map((text) => {
      const address = canonicalAddress(text);
      if (address !== undefined) return address;
      throw new SapwoodError("usage", `An IPv4 or IPv6 address is expected to be refused; found "${shortText(text)}".`);
    });
    const now = this.#options.nowMs();
    for (const address of addresses) {
      this.#refusedMs.set(address, now);
      this.#unsettled.add(address);
    }
    this.#tellWorkers();
  }

  /** Tells the workers as many refusals as they take over at once, and looks a moment later what is left. */
  #tellWorkers(): void {
    const { shared, nowMs } = this.#options;
    for (const address of [...this.#unsettled].slice(0, RefusalLayout.MAX)) {
      refuseAddress(shared, address, nowMs());
      this.#unsettled.delete(address);
      this.#unsettled.add(address); // behind the others, should it be needed again
    }
    this.#settling ??= setTimeout(() => this.#settle(), LOOK_MS).unref();
  }

  #settle(): void {
    const { shared, timeoutMs, nowMs } = this.#options;
    this.#settling = undefined;
    const now = nowMs();
    const waiting = readQuestions(shared, now, timeoutMs).filter(({ address, ageMs }) => {
      const refusedMs = this.#refusedMs.get(address);
      return refusedMs !== undefined && now - ageMs <= refusedMs;
    });
    const left = new Set(waiting.map(({ address }) => address));
    for (const address of this.#unsettled) if (!left.has(address)) this.#unsettled.delete(address);
    if (this.#unsettled.size > 0) this.#tellWorkers();
  }
}
