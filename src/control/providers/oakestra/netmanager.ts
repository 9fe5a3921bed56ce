// The part that Oakestra's NetManager plays on a worker node: registered by its NodeEngine, it gives containers their
// network and the node's tables their services.

import { reasonOf, SapwoodError } from "../../../base/errors.ts";
import { valueText } from "../../../base/issues.ts";
import type { Logger } from "../../../base/log.ts";
import { shortageOf } from "../../../base/shortage.ts";
import { Turns } from "../../../base/turns.ts";
import type { ProviderReport } from "../../../model/reports.ts";
import { canonicalAddress, parsePrefix } from "../../../net/address.ts";
import type { ProviderSink } from "../provider.ts";
import { AddressWatch } from "./address-watch.ts";
import { closeBridge, hasBridge, openBridge } from "./bridge.ts";
import { BridgeWatch } from "./bridge-watch.ts";
import { Connections } from "./connections.ts";
import type { Container, SavedContainers } from "./container.ts";
import { ContainerNetwork } from "./container-network.ts";
import { Containers } from "./containers.ts";
import type { Firewall } from "./firewall-rules.ts";
import { endForwarding } from "./forwarding.ts";
import { type Deployed, type Host, isJobName } from "./messages.ts";
import type { Netcfg } from "./netcfg.ts";
import { parsePortMappings } from "./port-mappings.ts";
import type { SavedState, StateFile } from "./state-file.ts";
import { type AddressPair, isInSubnet, type Subnet } from "./subnet.ts";
import type { Tuncfg } from "./tuncfg.ts";
import { Worker } from "./worker.ts";

interface NetmanagerOptions {
  readonly netcfg: Netcfg;
  readonly tuncfg: Tuncfg;
  readonly mtu: number; // of the bridge and of containers
  readonly policyOf: (job: string, address: string) => string | undefined; // bound by the operator
  readonly sink: ProviderSink;
  readonly state: StateFile;
  readonly firewall: Firewall;
  readonly log: Logger;
  /** Finds out the node's address anew. */
  readonly findAddress: () => Promise<string>;
  readonly address: string; // what that was at the start
}

interface DeployOrder {
  readonly pid: number | undefined; // undefined = a unikernel
  readonly serviceName: string;
  readonly instanceNumber: number;
  readonly portMappings: string;
}

interface Registered {
  readonly subnet: Subnet;
  readonly worker: Worker;
  readonly containers: Containers;
  readonly network: ContainerNetwork;
}

/** The subject of events about it. */
const STATE = "netmanager.json";
/** How long the NodeEngine waits for an answer. */
const NODE_ENGINE_MS = 10_000;
/** For all that a registration waits for. Its failure takes a second more. */
const REGISTER_MS = NODE_ENGINE_MS - 1500;
/** When a registration is answered at the latest, whatever holds it up: a command that hangs, say. */
const ANSWER_MS = NODE_ENGINE_MS - 500;
/** Of that, how long the old worker's interests may be ended at least. */
const LEAVE_MIN_MS = 500;
/** How long a deploy waits for the cluster to know the instance. */
const ANNOUNCE_MS = 4000;
/** How often what could not be removed is tried again, and how long that may hold up a deploy. */
const LEFT_EVERY_MS = 5000;
const LEFT_MS = 2000;
/** What may stand in an MQTT topic and is nobody else's. */
const WORKER_ID = /^[\w-]{1,64}$/;

export class Netmanager {
  readonly #options: NetmanagerOptions;
  readonly #turns = new Turns();
  readonly #timer: NodeJS.Timeout;
  readonly #address: AddressWatch;
  readonly #bridge: BridgeWatch;
  #registered: Registered | undefined;
  /** What workers before have counted. */
  #oddBefore = { oddRecords: 0, oddMessages: 0 };
  /** Containers of a worker that another one was to take the place of. */
  #left: readonly Container[] = [];
  /** Something of the bridge or the rules could not be removed, and nobody needs it. */
  #isNetworkLeft = false;
  #isUnsaved = false;

  private constructor(options: NetmanagerOptions) {
    this.#options = options;
    const { findAddress: find, address, log } = options;
    this.#address = new AddressWatch({ find, address, log, onChange: () => this.#onAddressChange() });
    this.#bridge = new BridgeWatch({
      isMissing: () => this.#registered !== undefined && !hasBridge(),
      restore: () => this.#turns.take(() => this.#restoreNetwork()),
      alarms: options.sink.alarms,
    });
    this.#timer = setInterval(() => void this.#removeLeft(), LEFT_EVERY_MS);
    this.#timer.unref();
  }

  /** With what a process before left: its registration, subnet and containers. */
  static async open(options: NetmanagerOptions): Promise<Netmanager> {
    const netmanager = new Netmanager(options);
    options.sink.showStatus(() => netmanager.report);
    const saved = options.state.read();
    if (saved !== undefined) await netmanager.#resume(saved);
    return netmanager;
  }

  get report(): ProviderReport {
    const worker = this.#registered?.worker;
    const { oddRecords, oddMessages } = this.#oddBefore;
    const nothing = { isConnected: false, interests: 0, waitingMessages: 0, oddRecords: 0, oddMessages: 0 };
    const report = worker?.report ?? nothing;
    return {
      ...{ name: "oakestra", worker: worker?.workerId ?? null, cluster: worker?.clusterAddress ?? null },
      ...report,
      oddRecords: oddRecords + report.oddRecords,
      oddMessages: oddMessages + report.oddMessages,
    };
  }

  /**
   * Resolves when the worker is registered with its cluster and can deploy. Throws within 10 s, and then nothing of it
   * is left and it may be tried again. A worker id that is new takes the place of the one before, whose containers are
   * gone. One that is registered keeps its containers, also at another address of its cluster; "" = where it is.
   */
  register(workerId: string, clusterAddress: string): Promise<void> {
    if (!WORKER_ID.test(workerId)) {
      throw new SapwoodError("usage", `client_id must be 1 to 64 letters, digits, "_" or "-"; found "${workerId}".`);
    }
    const deadlineMs = performance.now() + REGISTER_MS;
    const leftMs = () => Math.max(0, deadlineMs - performance.now());
    const registered = this.#turns.take(async () => {
      const worker = this.#registered?.worker;
      if (worker?.workerId !== workerId) return this.#register(workerId, clusterAddress, leftMs);
      if (clusterAddress !== "" && !isSameHost(clusterAddress, worker.clusterAddress)) {
        await this.#move(worker, clusterAddress, leftMs());
      }
      this.#save(); // it may have failed before
    });
    return inTime(registered, ANSWER_MS);
  }

  /**
   * Resolves when the container can be used; throws, and nothing of it is left. `signal` aborts when nobody waits for the
   * answer any more, and what was done is undone.
   */
  async deploy(order: DeployOrder, signal: AbortSignal): Promise<AddressPair> {
    const { pid, serviceName: job, instanceNumber: number, portMappings } = order;
    this.#requireRegistered();
    if (!isJobName(job)) {
      const expected = "four parts of up to 30 letters and digits, joined by dots";
      throw new SapwoodError("network-setup", `serviceName must have ${expected}; found ${valueText(job)}.`);
    }
    const mappings = parsePortMappings(portMappings);
    const { container, confirmed } = await this.#turns.take(async () => {
      requireWanted(signal);
      const { containers, worker } = this.#requireRegistered();
      const container = await containers.deploy({ pid, job, number, mappings });
      // Begun before the next turn, which may undeploy it.
      return { container, confirmed: worker.announce(deployedOf(container), ANNOUNCE_MS) };
    });
    const { log } = this.#options;
    if (!(await Promise.race([confirmed, abortOf(signal)])) && !signal.aborted) {
      log.warn({ job, number }, "the cluster has not confirmed the instance yet; its packets wait for that");
    }
    if (signal.aborted) await this.#remove(job, number, container);
    requireWanted(signal);
    if (this.#registered?.containers.find(job, number) !== container) {
      throw new SapwoodError("not-found", `${job}, instance ${number}, was undeployed while it was being deployed.`);
    }
    log.info({ job, number, ...container.addresses }, "deployed");
    return container.addresses;
  }

  /** An instance that is not there is undeployed already. */
  async undeploy(job: string, number: number): Promise<void> {
    this.#requireRegistered();
    await this.#remove(job, number);
  }

  /** The operator binds addresses to other policies now. Throws when these cannot be in force. */
  async bindAnew(): Promise<void> {
    await this.#registered?.worker.bindAnew();
  }

  /**
   * The registration and the containers' own interfaces stay for the next start. What the node has for all of them stays
   * as well when `isLasting` is false and there are containers; else it is removed.
   */
  close(isLasting: boolean): Promise<void> {
    clearInterval(this.#timer);
    this.#bridge.close();
    this.#address.close();
    return this.#turns.take(async () => {
      const registered = this.#registered;
      this.#registered = undefined;
      if (registered === undefined) return this.#isNetworkLeft ? this.#removeNetwork() : undefined;
      await registered.worker.close();
      if (isLasting || registered.containers.all.length === 0) await this.#removeNetwork();
    });
  }

  /** `expected` is the only container that is meant; undefined = whichever has the name. */
  #remove(job: string, number: number, expected?: Container): Promise<void> {
    return this.#turns.take(async () => {
      const { containers, worker } = this.#requireRegistered();
      const found = containers.find(job, number);
      if (expected !== undefined && found !== expected) return;
      if (found !== undefined) await worker.forget(job, number); // new flows go elsewhere before it is gone
      if (await containers.undeploy(job, number)) this.#options.log.info({ job, number }, "undeployed");
    });
  }

  async #register(workerId: string, given: string, leftMs: () => number): Promise<void> {
    const clusterAddress = given || this.#options.netcfg.clusterAddress;
    this.#logStart(clusterAddress);
    const worker = this.#newWorker(workerId, clusterAddress);
    let subnet: Subnet;
    try {
      await worker.connected(leftMs());
      subnet = await worker.requestSubnet(leftMs());
      await this.#leave(leftMs());
    } catch (error) {
      await worker.close();
      throw error;
    }
    try {
      this.#registered = await this.#start(subnet, { containers: [], leaving: this.#left }, worker);
      this.#save();
    } catch (error) {
      this.#registered = undefined;
      await worker.close();
      await this.#tryToRemoveNetwork();
      throw error;
    }
    this.#left = [];
    worker.beginAnew();
    this.#options.log.info({ workerId, subnet }, "registered");
    // The rest is removed by and by.
    await this.#registered.containers.removeLeft(leftMs());
  }

  /** Ends the worker of another id; its containers are for the next one to remove. */
  async #leave(timeoutMs: number): Promise<void> {
    if (this.#registered === undefined) return;
    const { worker, containers } = this.#registered;
    const { oddRecords, oddMessages } = this.report;
    this.#oddBefore = { oddRecords, oddMessages };
    this.#registered = undefined;
    this.#isNetworkLeft = true; // until the next one takes it over
    this.#left = [...containers.all, ...containers.leaving];
    await worker.leave(Math.max(timeoutMs, LEAVE_MIN_MS));
  }

  async #move(worker: Worker, clusterAddress: string, timeoutMs: number): Promise<void> {
    this.#logStart(clusterAddress);
    await worker.moveTo(clusterAddress, timeoutMs);
    this.#save();
  }

  #logStart(clusterAddress: string): void {
    const { publicPort, clusterMqttPort } = this.#options.netcfg;
    this.#options.log.info(
      `STARTUP_CONFIG: Node=${this.#address.address}:${publicPort} | Cluster=${clusterAddress}:${clusterMqttPort}`,
    );
  }

  async #resume(saved: SavedState): Promise<void> {
    const { workerId, clusterAddress } = saved;
    const worker = this.#newWorker(workerId, clusterAddress);
    try {
      this.#registered = await this.#start(saved.subnet, saved, worker);
    } catch (error) {
      await worker.close();
      if (saved.containers.length === 0) await this.#tryToRemoveNetwork();
      throw error;
    }
    const { containers } = this.#registered;
    await worker.resume(containers.all.map(deployedOf));
    if (saved.address !== this.#address.address) worker.announceAddress(containers.all);
    await containers.removeLeft(LEFT_MS);
    this.#save();
    this.#options.log.info({ workerId, subnet: saved.subnet, containers: containers.all.length }, "resumed");
  }

  async #start(subnet: Subnet, found: SavedContainers, worker: Worker): Promise<Registered> {
    const { mtu, netcfg, tuncfg, firewall, log } = this.#options;
    await openBridge(subnet, mtu);
    const connections = new Connections((sentence) => log.warn(sentence));
    const network = new ContainerNetwork({ subnet, mtu, firewall, connections, tun: tuncfg.device });
    const tell = (sentence: string) => log.error(sentence);
    const containers = new Containers({
      ...{ subnet, found, network, tell },
      tunnelPort: tuncfg.port,
      tap: netcfg.tap,
      save: () => this.#save(),
    });
    await network.restore(containers.all);
    worker.serve();
    this.#isNetworkLeft = false;
    return { subnet, worker, containers, network };
  }

  /** As after a start: the bridge, and all containers on it. */
  async #restoreNetwork(): Promise<void> {
    if (this.#registered === undefined) return;
    const { subnet, containers, network } = this.#registered;
    await openBridge(subnet, this.#options.mtu);
    await network.restore(containers.all);
  }

  /** As much of it as can be; throws when something is left. */
  async #removeNetwork(): Promise<void> {
    const steps = [endForwarding, () => this.#options.firewall.remove(), closeBridge];
    const failures: unknown[] = [];
    for (const step of steps) await step().catch((error: unknown) => failures.push(error));
    this.#isNetworkLeft = failures.length > 0;
    if (this.#isNetworkLeft) throw failures[0];
  }

  async #tryToRemoveNetwork(): Promise<void> {
    try {
      await this.#removeNetwork();
    } catch (error) {
      this.#options.log.error(`something of the node's network is left: ${reasonOf(error)}`);
    }
  }

  #newWorker(workerId: string, clusterAddress: string): Worker {
    const { netcfg, tuncfg, policyOf, sink, state, log } = this.#options;
    return new Worker({
      workerId,
      broker: { host: clusterAddress, port: netcfg.clusterMqttPort },
      stateFolder: state.folder,
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
    return { address: this.#address.address, port: this.#options.netcfg.publicPort };
  }

  #requireRegistered(): Registered {
    if (this.#registered !== undefined) return this.#registered;
    throw new SapwoodError("usage", "The worker is not registered: POST /register comes first.");
  }

  #save(): void {
    if (this.#registered === undefined) return;
    const { subnet, worker, containers } = this.#registered;
    const { workerId, clusterAddress } = worker;
    const { all, leaving } = containers;
    const { address } = this.#address;
    this.#options.state.write({ workerId, clusterAddress, subnet, address, containers: all, leaving });
  }

  async #removeLeft(): Promise<void> {
    await this.#turns.take(async () => {
      if (this.#isUnsaved) this.#tryToSave();
      if (this.#registered !== undefined) await this.#registered.containers.removeLeft(LEFT_MS);
      else if (this.#isNetworkLeft) await this.#tryToRemoveNetwork();
    });
  }

  /** The others must hear of it at once. */
  #onAddressChange(): void {
    this.#registered?.worker.announceAddress(this.#registered.containers.all);
    this.#tryToSave();
  }

  /** Where nobody waits for an answer that says so: what fails is tried again. */
  #tryToSave(): void {
    const { alarms } = this.#options.sink;
    try {
      this.#save();
      if (this.#isUnsaved) alarms.end(STATE, "The state of the worker is written again.");
      this.#isUnsaved = false;
    } catch (error) {
      if (!this.#isUnsaved) {
        const message = `The state of the worker cannot be written: ${reasonOf(error)}`;
        const advice = `${shortageOf(error)?.advice ?? "See who may write to the state folder."} It is tried again.`;
        alarms.tell({ kind: "state-unwritable", subject: STATE, message, advice });
      }
      this.#isUnsaved = true;
    }
  }
}

/** Whether both texts name one host, without asking anybody. */
function isSameHost(...hosts: [string, string]): boolean {
  const [a, b] = hosts.map((host) => {
    const name = host.replace(/^\[(.*)\]$/, "$1");
    return canonicalAddress(name) ?? name.toLowerCase();
  });
  return a === b;
}

function deployedOf({ job, number, addresses }: Container): Deployed {
  return { job, number, nsip: addresses.v4, nsipv6: addresses.v6 };
}

/** What is not finished by then is refused, and goes on. */
async function inTime<Result>(work: Promise<Result>, patienceMs: number): Promise<Result> {
  let timer: NodeJS.Timeout | undefined;
  const patience = new Promise<never>((_resolve, reject) => {
    const message = `The registration has not ended after ${patienceMs} ms. It goes on, and may be asked for again.`;
    timer = setTimeout(() => reject(new SapwoodError("not-running", message)), patienceMs);
  });
  try {
    return await Promise.race([work, patience]);
  } finally {
    clearTimeout(timer);
  }
}

function abortOf(signal: AbortSignal): Promise<false> {
  return new Promise((resolve) => signal.addEventListener("abort", () => resolve(false), { once: true }));
}

function requireWanted(signal: AbortSignal): void {
  if (signal.aborted) throw new SapwoodError("not-running", "Nobody waits for the answer to the deploy any more.");
}
