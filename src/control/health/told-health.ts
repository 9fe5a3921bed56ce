// What this node tells the others: which of its instances are unhealthy. Promises: changes that come together are told
// together; a node none of whose services asks for checks tells nothing.

import { randomInt } from "node:crypto";
import { writeHealthPages } from "../../memory/health-pages.ts";
import { healthPageRoom, type SharedMemory } from "../../memory/shared-memory.ts";
import type { CheckedInstance } from "./health-book.ts";
import { encodePages, healthKey } from "./health-page.ts";

const TOGETHER_MS = 100;
const REVISION_END = 2 ** 31;

export class ToldHealth {
  readonly #shared: SharedMemory;
  readonly #all: () => Iterable<CheckedInstance>;
  /** Not that of a process before this one. */
  #revision = randomInt(1, REVISION_END);
  #timer: NodeJS.Timeout | undefined;

  constructor(shared: SharedMemory, all: () => Iterable<CheckedInstance>) {
    this.#shared = shared;
    this.#all = all;
  }

  /** Something is different, or will be before the next turn of the event loop. */
  change(): void {
    this.#timer ??= setTimeout(() => this.#tell(), TOGETHER_MS).unref();
  }

  close(): void {
    clearTimeout(this.#timer);
  }

  #tell(): void {
    this.#timer = undefined;
    const unhealthy: string[] = [];
    for (const { isLocal, state, instance } of this.#all()) {
      const key = isLocal && state === "unhealthy" ? healthKey(instance) : undefined;
      if (key !== undefined) unhealthy.push(key);
    }
    const pages = encodePages(unhealthy, healthPageRoom(this.#shared.capacities));
    this.#revision = writeHealthPages(this.#shared, this.#revision + 1, pages);
  }
}
