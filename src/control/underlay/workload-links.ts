// Follows the interfaces by which the node's kernel reaches the workloads, a bridge mostly. They are the node's own, so
// nothing is put back: when one goes while the tables still have its workloads, that is told.

import type { Alarms } from "../../model/alarms.ts";
import type { Routes } from "../../sys/links.ts";

export class WorkloadLinks {
  readonly #alarms: Alarms;
  readonly #linkOf = new Map<string, string>(); // by namespace address, the last one
  #lost = new Set<string>(); // links that were told

  constructor(alarms: Alarms) {
    this.#alarms = alarms;
  }

  /** `workloads` are the namespace addresses of this node's, `tun` the interface that leads to none of them. */
  look(routes: Pick<Routes, "nearLinksTo">, workloads: readonly string[], tun: string): void {
    const unreachable = new Map<string, string[]>(); // namespace addresses by the link that they had
    const present = new Set(workloads);
    for (const address of this.#linkOf.keys()) if (!present.has(address)) this.#linkOf.delete(address);
    for (const address of workloads) {
      const link = [...routes.nearLinksTo([address])].find((one) => one !== tun);
      const before = this.#linkOf.get(address);
      if (link !== undefined) this.#linkOf.set(address, link);
      else if (before !== undefined) unreachable.set(before, [...(unreachable.get(before) ?? []), address]);
    }
    for (const [link, addresses] of unreachable) if (!this.#lost.has(link)) this.#tell(link, addresses);
    for (const link of this.#lost) {
      if (!unreachable.has(link)) this.#alarms.end(link, `The workloads that ${link} led to can be reached again.`);
    }
    this.#lost = new Set(unreachable.keys());
  }

  #tell(link: string, [first = "", ...others]: readonly string[]): void {
    const whom = others.length === 0 ? first : `${first} and ${others.length} more`;
    this.#alarms.tell({
      kind: "workloads-unreachable",
      subject: link,
      message: `No route leads to workloads of this node any more (${whom}); ${link} led there before.`,
      advice: `Put ${link} and its addresses back, or take the instances out of the tables.`,
    });
  }
}
