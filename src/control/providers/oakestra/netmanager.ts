// The part that Oakestra's NetManager plays on a worker node: registered by its NodeEngine, it gives containers their
// network and the node's tables their services.

import { SapwoodError } from "../../../base/errors.ts";
import type { Logger } from "../../../base/log.ts";
import { Turns } from "../../../base/turns.ts";
import { parsePrefix } from "../../../net/address.ts";
import type { ProviderSink } from "../provider.ts";
import { BRIDGE, closeBridge, openBridge } from "./bridge.ts";
import { type Container, Containers } from "./containers.ts";
import { closeFirewall, openFirewall } from "./firewall.ts";
import { type Host, isJobName } from "./messages.ts";
import type { Netcfg } from "./netcfg.ts";
import { parsePortMappings } from "./port-mappings.ts";
import type { SavedState, StateFile } from "./state-file.ts";
import { type AddressPair, isInSubnet, type Subnet } from "./subnet.ts";
import type { Tuncfg } from "./tuncfg.ts";
import { Worker } from "./worker.ts";

export interface NetmanagerOptions {
  readonly netcfg: Netcfg;
  readonly tuncfg: Tuncfg;
  readonly mtu: number; // of the bridge and of containers
  readonly policyOf: (job: string, address: string) => string | undefined; // bound by the operator
  readonly sink: ProviderSink;
  readonly state: StateFile;
  readonly log: Logger;
  /** Finds out the node's address anew. */
  readonly findAddress: () => Promise<string>;
  readonly address: string; // what that was at the start
}

export interface DeployOrder {
  readonly pid: number;
  readonly serviceName: string;
  readonly instanceNumber: number;
  readonly portMappings: string;
}

interface Registered {
  readonly clusterAddress: string;
  readonly subnet: Subnet;
  readonly worker: Worker;
  readonly containers: Containers;
}

// Together less than the 10 s that the NodeEngine waits for an answer.
const CONNECT_MS = 4500;
const SUBNET_MS = 3000;
/** How long a deploy waits for the cluster to know the instance. */
const ANNOUNCE_MS = 4000;
const ADDRESS_LOOK_MS = 5000;
/** What may stand in an MQTT topic and is nobody else's. */
const WORKER_ID = /^[\w-]{1,64}$/;

export class Netmanager {
  readonly #options: NetmanagerOptions;
  readonly #turns = new Turns();
  readonly #addressTimer: NodeJS.Timeout;
  #address: string;
  #registered: Registered | undefined;
  #isLooking = false;

  private constructor(options: NetmanagerOptions) {
    this.#options = options;
    this.#address = options.address;
    this.#addressTimer = setInterval(() => void this.#lookAtAddress(), ADDRESS_LOOK_MS);
    this.#addressTimer.unref();
  }

  /** With what a process before left: its registration, subnet and containers. */
  static async open(options: NetmanagerOptions): Promise<Netmanager> {
    const netmanager = new Netmanager(options);
    const saved = options.state.read();
    if (saved !== undefined) await netmanager.#resume(saved);
    return netmanager;
  }

  get workerId(): string | undefined {
    return this.#registered?.worker.workerId;
  }

  /**
   * Resolves when the worker is registered with its cluster and can deploy. Throws within 10 s, and then nothing of it
   * is left and it may be tried again. A worker id that is new takes the place of the one before, whose containers are
   * gone.
   */
  register(workerId: string, clusterAddress: string): Promise<void> {
    if (!WORKER_ID.test(workerId)) {
      throw new SapwoodError("usage", `client_id must be 1 to 64 letters, digits, "_" or "-"; found "${workerId}".`);
    }
    return this.#turns.take(() => this.#register(workerId, clusterAddress || this.#options.netcfg.clusterAddress));
  }

  /** Resolves when the container can be used; throws, and nothing of it is left. */
  async deploy({ pid, serviceName: job, instanceNumber: number, portMappings }: DeployOrder): Promise<AddressPair> {
    this.#requireRegistered();
    if (!isJobName(job)) {
      const expected = "four parts of up to 30 letters and digits, joined by dots";
      throw new SapwoodError("network-setup", `serviceName must have ${expected}; found ${JSON.stringify(job)}.`);
    }
    const mappings = parsePortMappings(portMappings);
    const { container, worker } = await this.#turns.take(async () => {
      const { containers, worker } = this.#requireRegistered();
      const container = await containers.deploy({ pid, job, number, mappings });
      this.#save();
      return { container, worker };
    });
    const { v4: nsip, v6: nsipv6 } = container.addresses;
    if (!(await worker.announce({ job, number, nsip, nsipv6 }, ANNOUNCE_MS))) {
      this.#options.log.warn(
        { job, number },
        "the cluster has not confirmed the instance yet; its packets wait for that",
      );
    }
    this.#options.log.info({ job, number, nsip, nsipv6 }, "deployed");
    return container.addresses;
  }

  /** An instance that is not there is undeployed already. */
  async undeploy(job: string, number: number): Promise<void> {
    this.#requireRegistered();
    await this.#turns.take(async () => {
      const { containers, worker } = this.#requireRegistered();
      if (containers.find(job, number) === undefined) return;
      await worker.forget(job, number); // new flows go elsewhere before it is gone
      await containers.undeploy(job, number);
      this.#save();
      this.#options.log.info({ job, number }, "undeployed");
    });
  }

  /** Containers keep their network, and what they need of the node's; the registration stays for the next start. */
  close(): Promise<void> {
    clearInterval(this.#addressTimer);
    return this.#turns.take(async () => {
      const registered = this.#registered;
      this.#registered = undefined;
      if (registered === undefined) return;
      await registered.worker.close();
      if (registered.containers.all.length === 0) await removeNetwork();
    });
  }

  async #register(workerId: string, clusterAddress: string): Promise<void> {
    const current = this.#registered;
    if (current?.worker.workerId === workerId && current.clusterAddress === clusterAddress) return;
    const { log } = this.#options;
    const { publicPort, clusterMqttPort } = this.#options.netcfg;
    log.info(`STARTUP_CONFIG: Node=${this.#address}:${publicPort} | Cluster=${clusterAddress}:${clusterMqttPort}`);
    const worker = this.#newWorker(workerId, clusterAddress);
    try {
      await worker.connected(CONNECT_MS);
      const subnet = await worker.requestSubnet(SUBNET_MS);
      if (current !== undefined) await this.#leave(current);
      this.#registered = await this.#start({ workerId, clusterAddress, subnet, containers: [] }, worker);
      this.#save();
      log.info({ workerId, subnet }, "registered");
    } catch (error) {
      await worker.close();
      throw error;
    }
  }

  /** What a worker of another id, or of another cluster, had. */
  async #leave({ worker, containers }: Registered): Promise<void> {
    this.#registered = undefined;
    for (const { job, number } of containers.all) await containers.undeploy(job, number);
    await worker.close();
    await worker.forgetAll();
  }

  async #resume(saved: SavedState): Promise<void> {
    const { workerId, clusterAddress } = saved;
    const worker = this.#newWorker(workerId, clusterAddress);
    try {
      this.#registered = await this.#start(saved, worker);
    } catch (error) {
      await worker.close();
      throw error;
    }
    const { containers } = this.#registered;
    worker.resume(containers.all.map(({ job }) => job));
    this.#save();
    this.#options.log.info({ workerId, subnet: saved.subnet, containers: containers.all.length }, "resumed");
  }

  async #start({ clusterAddress, subnet, containers: found }: SavedState, worker: Worker): Promise<Registered> {
    const { mtu, tuncfg, log } = this.#options;
    try {
      await openBridge(subnet, mtu);
      const onUndoFailure = (what: string, error: unknown) => log.error({ err: error }, `could not ${what}`);
      const containers = new Containers({ subnet, mtu, found, onUndoFailure });
      await openFirewall({ subnet, devices: [BRIDGE, tuncfg.device] }, containers.all);
      worker.serve();
      return { clusterAddress, subnet, worker, containers };
    } catch (error) {
      if (found.length === 0) await removeNetwork();
      throw error;
    }
  }

  #newWorker(workerId: string, clusterAddress: string): Worker {
    const { netcfg, tuncfg, policyOf, sink, log } = this.#options;
    return new Worker({
      workerId,
      broker: { host: clusterAddress, port: netcfg.clusterMqttPort },
      tls: netcfg.tls,
      sink,
      ranges: tuncfg.ranges.map(parsePrefix),
      host: () => this.#host(),
      own: {
        find: (job, number) => this.#registered?.containers.find(job, number)?.addresses,
        isOwnTunnel: (address, port) => address === this.#host().address && port === this.#host().port,
        isOwnNamespace: (address) => this.#registered !== undefined && isInSubnet(this.#registered.subnet, address),
      },
      policyOf,
      isDeployed: (job) => this.#registered?.containers.hasJob(job) ?? false,
      tell: (sentence) => log.warn(sentence),
    });
  }

  #host(): Host {
    return { address: this.#address, port: this.#options.netcfg.publicPort };
  }

  #requireRegistered(): Registered {
    if (this.#registered !== undefined) return this.#registered;
    throw new SapwoodError("usage", "The worker is not registered: POST /register comes first.");
  }

  #save(): void {
    if (this.#registered === undefined) return;
    const { clusterAddress, subnet, worker, containers } = this.#registered;
    const all: readonly Container[] = containers.all;
    this.#options.state.write({ workerId: worker.workerId, clusterAddress, subnet, containers: all });
  }

  /** The others must hear at once when the node's address changed. */
  async #lookAtAddress(): Promise<void> {
    if (this.#isLooking) return;
    this.#isLooking = true;
    const { log, findAddress } = this.#options;
    try {
      const address = await findAddress();
      if (address === this.#address) return;
      log.warn({ before: this.#address, address }, "the node's address changed");
      this.#address = address;
      this.#registered?.worker.announceAddress(this.#registered.containers.all);
    } catch (error) {
      log.debug({ err: error }, "the node's address cannot be found out at the moment");
    } finally {
      this.#isLooking = false;
    }
  }
}

async function removeNetwork(): Promise<void> {
  await closeFirewall();
  await closeBridge();
}
