// The containers of this node and their addresses. Promises: a deploy that fails at any step leaves nothing of it, and
// what is undeployed leaves nothing either. What cannot be removed at once keeps its addresses, is removed by a later
// attempt, and is known to the next start: it is saved before the first step that it could be left over from.

import { reasonOf, SapwoodError } from "../../../base/errors.ts";
import { isInNetns, OpenNetns } from "../../../sys/process-netns.ts";
import type { Container, SavedContainers } from "./container.ts";
import type { ContainerNetwork } from "./container-network.ts";
import type { TapLayout } from "./guest-network.ts";
import type { PortMapping } from "./port-mappings.ts";
import { AddressPool, type Subnet } from "./subnet.ts";

interface ContainerOrder {
  /** Undefined for a unikernel, whose namespace is made for it. */
  readonly pid: number | undefined;
  readonly job: string;
  readonly number: number;
  readonly mappings: readonly PortMapping[];
}

interface ContainersOptions {
  readonly subnet: Subnet;
  readonly found: SavedContainers;
  /** UDP port of the node itself. */
  readonly tunnelPort: number;
  readonly tap: TapLayout;
  readonly network: ContainerNetwork;
  /** Saves what this has to say; throws when it cannot. */
  readonly save: () => void;
  readonly tell: (sentence: string) => void;
}

export class Containers {
  readonly #options: ContainersOptions;
  readonly #pool: AddressPool;
  readonly #containers = new Map<string, Container>();
  readonly #leaving = new Map<string, Container>();

  /** Those that were found are kept if they still run. */
  constructor(options: ContainersOptions) {
    this.#options = options;
    const { containers, leaving } = options.found;
    for (const one of leaving) this.#leaving.set(keyOf(one), one);
    for (const one of containers) (this.#isRunning(one) ? this.#containers : this.#leaving).set(keyOf(one), one);
    const taken = [...this.all, ...this.leaving].map(({ addresses }) => addresses);
    this.#pool = new AddressPool(options.subnet, taken);
  }

  get all(): readonly Container[] {
    return [...this.#containers.values()];
  }

  get leaving(): readonly Container[] {
    return [...this.#leaving.values()];
  }

  find(job: string, number: number): Container | undefined {
    return this.#containers.get(keyOf({ job, number }));
  }

  hasJob(job: string): boolean {
    return this.all.some((container) => container.job === job);
  }

  /** One that has the name already is replaced if its process has ended. */
  async deploy({ pid, job, number, mappings }: ContainerOrder): Promise<Container> {
    const netns = pid === undefined ? undefined : OpenNetns.ofProcess(pid);
    try {
      await this.#makePlace(job, number);
      this.#requireFree(mappings);
      const process = pid === undefined || netns === undefined ? undefined : { pid, inode: netns.inode };
      const guest = pid === undefined ? { netns: `${job}.instance.${number}`, tap: this.#options.tap } : undefined;
      const device = this.#options.network.deviceOf(job, number);
      const container = { job, number, addresses: this.#pool.take(), device, mappings, process, guest };
      await this.#add(container, netns);
      return container;
    } finally {
      netns?.close();
    }
  }

  /** False when there is no such container. Throws when something of it is left, which `removeLeft` tries again. */
  async undeploy(job: string, number: number): Promise<boolean> {
    const key = keyOf({ job, number });
    const container = this.#containers.get(key) ?? this.#leaving.get(key);
    if (container === undefined) return false;
    this.#containers.delete(key);
    this.#leaving.set(key, container);
    await this.#remove(container);
    return true;
  }

  /** Tries again to remove what could not be removed; begins with nothing more after `timeoutMs`. */
  async removeLeft(timeoutMs: number): Promise<void> {
    const deadlineMs = performance.now() + timeoutMs;
    for (const container of this.leaving) {
      if (performance.now() >= deadlineMs) return;
      await this.#tryToRemove(container);
    }
  }

  async #makePlace(job: string, number: number): Promise<void> {
    const before = this.find(job, number);
    if (before !== undefined && this.#isRunning(before)) {
      throw new SapwoodError("already-running", `${nameOf(before)} is deployed already.`);
    }
    await this.undeploy(job, number);
  }

  #requireFree(mappings: readonly PortMapping[]): void {
    for (const { protocol, host } of mappings) {
      if (protocol === "udp" && host === this.#options.tunnelPort) {
        throw new SapwoodError("network-setup", `portMappings: ${host}/udp is the tunnel's.`);
      }
      const owner = this.all.find((one) => one.mappings.some((its) => its.protocol === protocol && its.host === host));
      if (owner === undefined) continue;
      throw new SapwoodError("already-running", `portMappings: ${host}/${protocol} leads to ${nameOf(owner)} already.`);
    }
  }

  async #add(container: Container, netns: OpenNetns | undefined): Promise<void> {
    const { network, save } = this.#options;
    const key = keyOf(container);
    this.#leaving.set(key, container);
    try {
      save();
      await network.add(container, netns);
      await network.mapPortsOf(container, this.all);
      if (!this.#isRunning(container)) throw new SapwoodError("not-found", `${nameOf(container)} ended meanwhile.`);
      this.#leaving.delete(key);
      this.#containers.set(key, container);
      save();
    } catch (error) {
      this.#containers.delete(key);
      this.#leaving.set(key, container);
      await this.#tryToRemove(container);
      throw error;
    }
  }

  async #tryToRemove(container: Container): Promise<void> {
    try {
      await this.#remove(container);
    } catch (error) {
      this.#options.tell(`something of ${nameOf(container)} is left: ${reasonOf(error)}`);
      // Others have their turn before it the next time.
      this.#leaving.delete(keyOf(container));
      this.#leaving.set(keyOf(container), container);
    }
  }

  /** The steps of #add, the last one first; each may have been done or not. */
  async #remove(container: Container): Promise<void> {
    const { network, save } = this.#options;
    if (container.mappings.length > 0) await network.mapPorts(this.all);
    await network.remove(container);
    await network.forgetConnections(container);
    this.#pool.release(container.addresses);
    this.#leaving.delete(keyOf(container));
    save();
  }

  /** A unikernel is there as long as its namespace is. */
  #isRunning(container: Container): boolean {
    const { process } = container;
    return this.#options.network.has(container) && (process === undefined || isInNetns(process));
  }
}

function nameOf({ job, number }: Pick<Container, "job" | "number">): string {
  return `${job}, instance ${number},`;
}

function keyOf({ job, number }: Pick<Container, "job" | "number">): string {
  return `${job}.${number}`;
}
