// Service addresses that workloads call and the tables do not hold. An orchestrator answers by setting the address in
// the tables, or by refusing it; a question that nobody answers is over after the configured time.

import { SapwoodError } from "../../base/errors.ts";
import { type Question, readQuestions, refuseAddress } from "../../memory/questions.ts";
import type { SharedMemory } from "../../memory/shared-memory.ts";
import { canonicalAddress } from "../../net/address.ts";

export interface QuestionsOptions {
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

  /** Ends a question; for a second the address is refused without asking. */
  refuse(text: string): void {
    const address = canonicalAddress(text);
    if (address === undefined) {
      throw new SapwoodError("usage", `"address" must be an IPv4 or IPv6 address; found "${text}".`);
    }
    const now = this.#options.nowMs();
    this.#refusedMs.set(address, now);
    refuseAddress(this.#options.shared, address, now);
  }
}
