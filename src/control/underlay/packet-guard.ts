// Keeps the node's kernel from being used past the tunnel: says what the packet filter is to hold, follows the tables,
// and puts back what somebody took away. A node whose kernel or tools cannot filter goes on, and says what is open.

import { reasonOf } from "../../base/errors.ts";
import { Turns } from "../../base/turns.ts";
import type { Tables } from "../../model/tables.ts";
import type { KeptState } from "../../sys/interface-state.ts";
import { Routes } from "../../sys/links.ts";
import { type FilterTarget, PacketFilter } from "../../sys/packet-filter.ts";
import type { Kept } from "./network-watch.ts";
import type { WorkloadLinks } from "./workload-links.ts";

interface PacketGuardOptions {
  readonly nodeId: string;
  readonly tun: string;
  /** Of the services' addresses. */
  readonly ranges: readonly string[];
  /** UDP ports of the tunnel, and of WireGuard if there is one. */
  readonly ports: readonly number[];
  /** The interface that carries the tunnel, if it is known. */
  readonly underlayDevice: string | undefined;
  /** Whether hosts on the links are kept from the namespace addresses of workloads. */
  readonly guardsWorkloads: boolean;
  readonly tables: () => Tables;
  readonly workloadLinks: WorkloadLinks;
}

export class PacketGuard implements Kept {
  readonly indices: readonly number[] = [];
  readonly #options: PacketGuardOptions;
  readonly #filter: PacketFilter;
  readonly #turns = new Turns();
  #problem: string | undefined;
  #isClosed = false;

  private constructor(options: PacketGuardOptions) {
    this.#options = options;
    this.#filter = new PacketFilter(options.tun);
  }

  static async open(options: PacketGuardOptions): Promise<PacketGuard> {
    const guard = new PacketGuard(options);
    await guard.follow();
    return guard;
  }

  /** After the tables or the routes changed. What fails is told by the next check. */
  follow(): Promise<void> {
    return this.#turns.take(() => this.#follow());
  }

  check(): Promise<KeptState> {
    return this.#turns.take(() => this.#check());
  }

  /** With `keeps` the filter stays, for the process that comes next. */
  close(keeps = false): Promise<void> {
    this.#isClosed = true;
    return this.#turns.take(async () => (keeps ? undefined : this.#filter.remove()));
  }

  async #check(): Promise<KeptState> {
    const wasInForce = this.#problem !== undefined || (await this.#filter.isInForce().catch(() => true));
    await this.#follow(!wasInForce);
    const problems = this.#problem === undefined ? [] : [this.#problem];
    const isRepaired = !wasInForce && this.#problem === undefined;
    const repaired = isRepaired ? ["the packet filter was changed or removed"] : [];
    return { isUp: true, routes: [], repaired, problems, hasActed: isRepaired };
  }

  async #follow(isForced = false): Promise<void> {
    if (this.#isClosed) return;
    try {
      const target = await this.#target();
      if (isForced || !this.#filter.isSet(target)) await this.#filter.set(target);
      this.#problem = undefined;
    } catch (error) {
      this.#problem =
        "No packet filter keeps others from sending with addresses of services, hosts on the links from handing packets " +
        `to workloads past the tunnel, and masqueraded workloads from sending as this node: ${reasonOf(error)}`;
    }
  }

  async #target(): Promise<FilterTarget> {
    const { nodeId, tun, ranges, ports, underlayDevice, guardsWorkloads } = this.#options;
    const { nodes, services } = this.#options.tables();
    const own = services.flatMap(({ instances }) => instances.filter(({ node }) => node === nodeId));
    const workloads = [...new Set(own.flatMap(({ namespaceAddresses }) => namespaceAddresses))].sort();
    const routes = await Routes.read();
    this.#options.workloadLinks.look(routes, workloads, tun);
    const workloadLinks = [...routes.nearLinksTo(workloads)].filter((link) => link !== tun).sort();
    const outer = routes.linksTo(
      nodes.flatMap(({ underlay, accept }) => [underlay.address, ...(accept?.addresses ?? [])]),
    );
    if (underlayDevice !== undefined) outer.add(underlayDevice);
    return {
      tun,
      ranges,
      ports,
      workloads: guardsWorkloads ? workloads : [],
      workloadLinks,
      innerLinks: workloadLinks.filter((link) => !outer.has(link)),
    };
  }
}
