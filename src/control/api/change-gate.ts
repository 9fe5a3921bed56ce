// Changes of tables and modules over the control socket. While another process takes over, it would not know of one that
// this process makes: so those that are under way come to their end first, and later ones are refused until it is over.

import { SapwoodError } from "../../base/errors.ts";

export type Changed = "tables" | "modules";

export class ChangeGate {
  readonly #closed = new Set<Changed>();
  readonly #underWay = new Map<Promise<unknown>, Changed>();

  /** Throws already-running where changes have to wait. */
  async run<Result>(what: Changed, change: () => Result | Promise<Result>): Promise<Result> {
    if (this.#closed.has(what)) {
      const message = `Another process is about to take over, and would not know of a change of ${what}: ask again in some seconds.`;
      throw new SapwoodError("already-running", message);
    }
    const changing = Promise.resolve().then(change);
    this.#underWay.set(changing, what);
    try {
      return await changing;
    } finally {
      this.#underWay.delete(changing);
    }
  }

  /** Resolves when nobody changes these any more. */
  async close(what: Changed): Promise<void> {
    this.#closed.add(what);
    await Promise.allSettled(
      [...this.#underWay].filter(([, changed]) => changed === what).map(([changing]) => changing),
    );
  }

  open(): void {
    this.#closed.clear();
  }
}
