// Tells in the log which nodes are lost and which return, as the data plane's probes find out.

import type { Logger } from "../../base/log.ts";
import { healthEpoch, type NodeHealthName, nextHealthEpoch, readNodeMetrics } from "../../memory/measurements.ts";
import type { SharedMemory } from "../../memory/shared-memory.ts";
import type { Node } from "../../model/tables.ts";

interface NodeWatchOptions {
  readonly shared: SharedMemory;
  /** The other nodes in force, and where their records are. */
  readonly store: {
    readonly nodes: readonly Node[];
    nodeIndex(id: string): number | undefined;
  };
  /** Milliseconds of the workers' clock. */
  readonly nowMs: () => number;
  readonly log: Logger;
}

export class NodeWatch {
  readonly #options: NodeWatchOptions;
  readonly #lostSinceMs = new Map<string, number>();
  #epoch = 0;
  #isClosed = false;

  constructor(options: NodeWatchOptions) {
    this.#options = options;
    void this.#watch();
  }

  close(): void {
    this.#isClosed = true;
  }

  /** Looks when the data plane says that the health of a node changed. */
  async #watch(): Promise<void> {
    while (!this.#isClosed) {
      this.look();
      await nextHealthEpoch(this.#options.shared, this.#epoch);
    }
  }

  look(): void {
    const { shared, store, nowMs } = this.#options;
    const epoch = healthEpoch(shared);
    if (epoch === this.#epoch) return;
    this.#epoch = epoch;
    const now = nowMs();
    const gone = new Set(this.#lostSinceMs.keys());
    for (const node of store.nodes) {
      gone.delete(node.id);
      const index = store.nodeIndex(node.id);
      if (index === undefined) continue;
      const { health, lastReplyAgeMs } = readNodeMetrics(shared, index, now);
      this.#tell(node, health, now, Math.round(lastReplyAgeMs ?? 0));
    }
    for (const id of gone) this.#lostSinceMs.delete(id); // no longer in the tables
  }

  #tell({ id, underlay }: Node, health: NodeHealthName, nowMs: number, lastReplyAgeMs: number): void {
    const { log } = this.#options;
    const sinceMs = this.#lostSinceMs.get(id);
    if (health === "lost" && sinceMs === undefined) {
      this.#lostSinceMs.set(id, nowMs);
      log.warn({ node: id, underlay, lastReplyAgeMs }, `node ${id} is lost: it does not answer any more`);
    } else if (health !== "lost" && sinceMs !== undefined) {
      this.#lostSinceMs.delete(id);
      const lostForMs = Math.round(nowMs - sinceMs);
      log.info({ node: id, underlay, lostForMs }, `node ${id} has returned: it answers again`);
    }
  }
}
