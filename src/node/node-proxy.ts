// A node's proxy: opens everything in order, applies changes while it runs, closes everything in reverse order.
// Promises: a start that fails leaves no device, route, kernel parameter or socket behind.

import { availableParallelism } from "node:os";
import { dirname } from "node:path";
import {
  ACCEPT_STRANGERS,
  ANSWER_LOST,
  ANSWER_LOST_WITH_RESET,
  ANSWER_WITH_ICMP,
  ANSWER_WITH_RESET,
  CLAMP_MSS,
  WORKER_MAX,
} from "../../assembly/shared/layout.ts";
import { SapwoodError } from "../base/errors.ts";
import type { Logger } from "../base/log.ts";
import { UndoStack } from "../base/undo-stack.ts";
import { ControlApi } from "../control/api/api.ts";
import { claimSocketPath } from "../control/api/control-socket.ts";
import { type Config, loadConfig, parseTables, parseTablesPatch } from "../control/config/config.ts";
import { ConfigWatcher } from "../control/config/config-watcher.ts";
import { offloadsSwitchedOff } from "../control/config/offload-config.ts";
import { loadBuiltModules } from "../control/modules/built-modules.ts";
import { ModuleControl } from "../control/modules/module-control.ts";
import { ModuleReporter } from "../control/modules/module-reporter.ts";
import { Modules, type ModulesOptions } from "../control/modules/modules.ts";
import { readKernelDrops } from "../control/observe/kernel-drops.ts";
import { NodeWatch } from "../control/observe/node-watch.ts";
import { Reporter } from "../control/observe/reporter.ts";
import { statusReport } from "../control/observe/status.ts";
import { WorkerWatch } from "../control/observe/worker-watch.ts";
import type { ProviderSink } from "../control/providers/provider.ts";
import { type Reloadable, Reloader } from "../control/providers/reloader.ts";
import { knownPolicies } from "../control/state/module-store.ts";
import { addressCandidates } from "../control/tables/address-candidates.ts";
import { policyUses } from "../control/tables/policy-bindings.ts";
import { Questions } from "../control/tables/questions.ts";
import { TableStore, type TableStoreOptions } from "../control/tables/table-store.ts";
import { EncryptedUnderlay } from "../control/underlay/encrypted-underlay.ts";
import { keyFiles } from "../control/underlay/key-file.ts";
import { type Kept, NetworkWatch } from "../control/underlay/network-watch.ts";
import { PacketGuard } from "../control/underlay/packet-guard.ts";
import { memoryPages } from "../dataplane/modules/policy-module.ts";
import { OffloadSwitch } from "../dataplane/worker/offload-switch.ts";
import { Supervisor } from "../dataplane/worker/supervisor.ts";
import { createSharedMemory } from "../memory/shared-memory.ts";
import { TableWriter } from "../memory/table-writer.ts";
import type { StatusReport } from "../model/reports.ts";
import type { Tables } from "../model/tables.ts";
import { chooseMtu, findUnderlay, TunInterface, type Underlay } from "../sys/interface.ts";
import { RouteEvents } from "../sys/route-events.ts";
import { sysctlStateFile } from "../sys/sysctl.ts";
import { openTun } from "../sys/tun.ts";
import { openUdpSockets, type UdpSocket } from "../sys/udp-socket.ts";
import { providerSink } from "./provider-sink.ts";

export interface NodeProxyOptions {
  readonly configFile: string;
  /** Path of the control socket; the configuration's unless given. */
  readonly socket: string | undefined;
  readonly version: string;
  readonly log: Logger;
  /** The level was given to the command: the configuration's does not count. */
  readonly isLevelFixed: boolean;
}

/** Of all proxies of a machine. */
const RUN_FOLDER = "/run/sapwood";
/** Addresses that bind a socket to all of the machine's. */
const UNSPECIFIED: readonly string[] = ["::", "0.0.0.0"];

/** What the end depends on. */
interface Ending {
  keepsGuard: boolean;
}

type LoadedConfig = Reloadable & { readonly config: Config };

export class NodeProxy {
  /** Rejects when the data path is lost for good; otherwise it stays pending. */
  readonly failure: Promise<never>;
  /** For a provider beside the configuration. */
  readonly sink: ProviderSink;
  readonly #undo: UndoStack;
  readonly #watcher: ConfigWatcher<LoadedConfig>;
  readonly #status: () => StatusReport;
  readonly #ending: Ending;

  private constructor(
    undo: UndoStack,
    watcher: ConfigWatcher<LoadedConfig>,
    status: () => StatusReport,
    failure: Promise<never>,
    ending: Ending,
    sink: ProviderSink,
  ) {
    this.sink = sink;
    this.#undo = undo;
    this.#watcher = watcher;
    this.#status = status;
    this.failure = failure;
    failure.catch(() => undefined); // may happen before anybody waits for it
    this.#ending = ending;
  }

  /** Resolves when packets are served and the control socket answers. */
  static async start(options: NodeProxyOptions): Promise<NodeProxy> {
    const undo = new UndoStack((what, error) => options.log.error({ err: error }, `could not ${what}`));
    try {
      return await NodeProxy.#open(options, undo);
    } catch (error) {
      await undo.run();
      throw error;
    }
  }

  status(): StatusReport {
    return this.#status();
  }

  /** Reads the config file again, whether it changed or not. */
  reload(): Promise<void> {
    return this.#watcher.reload();
  }

  /**
   * Control socket, workers, routes and kernel parameters, TUN, tunnel: in this order. After a failure the unreachable
   * routes of the ranges stay, as they do when the process is killed.
   */
  close(hasFailed = false): Promise<void> {
    this.#ending.keepsGuard ||= hasFailed;
    return this.#undo.run();
  }

  static async #open(options: NodeProxyOptions, undo: UndoStack): Promise<NodeProxy> {
    const { configFile, version, log, isLevelFixed } = options;
    let names: (stateDirectory: string) => readonly string[] = knownPolicies;
    let inForce = (): Tables => ({ nodes: [], services: [] }); // until there are tables
    const watcher = new ConfigWatcher(configFile, (path) =>
      reloadable(loadConfig(path, { policies: (directory) => names(directory), inForce: () => inForce() })),
    );
    const started = await watcher.load();
    const { config } = started;
    if (!isLevelFixed) log.level = config.log.level;
    const socket = options.socket ?? config.control.socket;
    await claimSocketPath(socket); // before anything is opened that a running proxy might share

    const clock = (): Date => new Date();
    const [built, underlay] = await Promise.all([loadBuiltModules(clock()), findUnderlay(underlayAddress(config))]);
    const encrypted = await openEncrypted(config, underlay, log, undo);
    const queues = chooseQueues(config.tun.queues, availableParallelism());
    const sockets = openSockets(config, queues, undo);
    encrypted?.restrict(sockets.map(({ fd }) => fd));
    const switchedOff = offloadsSwitchedOff(config.offloads);
    const tun = openTun({ name: config.tun.name, queues, switchedOff });
    undo.add("close the TUN", () => tun.close());
    const mtu = chooseMtu(config.tun.mtu, encrypted?.mtu ?? underlay?.mtu);
    const shared = createSharedMemory({
      capacities: { ...config.capacities, flows: config.flows.limit, workers: queues },
      timeoutsMs: config.flows.timeouts,
      ranges: config.ranges,
      probeIntervalMs: config.probe.interval,
      answers: answersOf(config),
      tunMtu: mtu,
      outerClass: config.tunnel,
      park: config.unknown.ask ? { ...config.unknown, timeoutMs: config.unknown.timeout } : undefined,
    });
    const { port } = socketAt(sockets, 0);
    const offloads = new OffloadSwitch({ shared, tun, sockets, switchedOff });
    let candidates: ModulesOptions["candidates"] = () => []; // until there are tables
    let uses: ModulesOptions["uses"] = (policy) => policyUses(policy, config.tables, config.bindings);
    const modules = await Modules.open({
      built,
      stateDirectory: config.state.directory,
      configFile,
      files: config.policies,
      callTimeMs: config.policyLimits.time,
      memoryPagesMax: memoryPages(config.policyLimits.memory),
      candidates: (policy) => candidates(policy),
      uses: (policy) => uses(policy),
      clock,
      log,
    });
    undo.add("stop watching the modules' files", () => modules.close());
    names = () => modules.policies.names;
    const rules: TableStoreOptions = {
      nodeId: config.node.id,
      ranges: config.ranges,
      location: config.node.location,
      own: config.node.underlay,
      isEncrypted: encrypted !== undefined,
      underlay: encrypted,
      get policies() {
        return modules.policies.names;
      },
    };
    const policySlot = (name: string): number => modules.policies.slot(name);
    const store = new TableStore(new TableWriter(shared, { nodeId: config.node.id, policySlot }), rules);
    await store.apply(config.tables);
    inForce = () => store.snapshot();
    encrypted?.onMoved((ids) => store.moveNodes(ids));

    const ending: Ending = { keepsGuard: config.guard.keep };
    const network = await TunInterface.open({
      device: tun.name,
      mtu,
      ranges: config.ranges.map((range) => range.text),
      underlayDevice: underlay?.device,
      stateFile: sysctlStateFile(RUN_FOLDER, dirname(socket)),
      isGuarded: isGuarded(config, process.env),
    });
    undo.add("restore the network", async () => {
      for (const sentence of await network.close(ending.keepsGuard)) log.error(sentence);
    });

    const guard = await PacketGuard.open({
      nodeId: config.node.id,
      tun: tun.name,
      ports: encrypted === undefined ? [port] : [port, config.node.underlay.wireguardPort],
      underlayDevice: underlay?.device,
      guardsWorkloads: config.guard.workloads,
      tables: () => store.snapshot(),
    });
    undo.add("remove the packet filter", () => guard.close());
    store.onChange(() => guard.follow());

    const networkWatch = watchNetwork(network, encrypted === undefined ? [guard] : [guard, encrypted], config, log);
    undo.add("stop watching the network", () => networkWatch.close());

    const watch = new WorkerWatch(tun.fds.length, log);
    const forWorkers = modules.forWorkers();
    const supervisor = await Supervisor.start({
      memory: shared.memory,
      ...forWorkers,
      policyTimeMs: config.policyLimits.time,
      queues: tun.fds.map((tunFd, i) => ({ tunFd, udpFd: socketAt(sockets, i).fd })),
      onWorkerEnd: (end) => watch.onEnd(end),
    });
    undo.add("stop the workers", () => supervisor.close());
    const nowMs = (): number => supervisor.nowMs();
    candidates = (policy) => addressCandidates({ shared, node: config.node, store, nowMs }, policy);
    await modules.connect(supervisor, forWorkers);

    const reloader = new Reloader<LoadedConfig>({
      file: configFile,
      started,
      target: store,
      prepare: ({ config: { policies } }) => modules.files.follow(policies),
      parseTables: (text, { config: { bindings } }, allowEmpty) =>
        parseTables(text, "tables", { bindings, rules, inForce: store.snapshot(), allowEmpty }),
      parseTablesPatch: (text, { config: { bindings } }, allowEmpty) =>
        parseTablesPatch(text, "tables", { bindings, allowEmpty }),
      log,
      isLevelFixed,
      clock,
    });
    uses = (policy) => policyUses(policy, store.snapshot(), reloader.inForce.config.bindings);
    const nodeWatch = new NodeWatch({ shared, store, nowMs, log });
    undo.add("stop watching the nodes", () => nodeWatch.close());
    const reporter = new Reporter({
      shared,
      node: config.node,
      store,
      nowMs,
      publicKey: () => encrypted?.report().publicKey,
      kernelDrops: () => readKernelDrops(tun.name, sockets),
    });
    const status = () =>
      statusReport({
        version,
        node: config.node,
        tun: { name: tun.name, mtu, queues: tun.fds.length },
        tunnel: { address: config.node.underlay.bind, port, encryption: config.node.underlay.encryption },
        network: networkWatch.report,
        offloads: offloads.states,
        shared,
        workerRestarts: watch.restarts,
        store,
        config: watcher.following,
        lastReload: reloader.last,
      });
    const fileOf = (policy: string): string | undefined => modules.files.of(policy)?.path;
    const moduleReporter = new ModuleReporter({ board: supervisor.board, shared, store, fileOf });
    const questions = new Questions({
      shared,
      timeoutMs: config.unknown.timeout,
      nowMs,
      isKnown: (address) => store.hasAddress(address),
    });
    const key = (): EncryptedUnderlay => encrypted ?? refuseKey();
    const parts = {
      status,
      reporter,
      tables: reloader,
      questions,
      offloads,
      key,
      modules: new ModuleControl(modules, moduleReporter),
    };
    const api = await ControlApi.listen(socket, parts, (error) =>
      log.error({ err: error }, "a request to the control socket met an unexpected error"),
    );
    undo.add("close the control socket", () => api.close());
    watcher.watch(reloader);
    undo.add("stop watching the configuration", () => watcher.close());
    const failure = Promise.race([watch.failure, networkWatch.failure]);
    const policies = () => modules.policies.names;
    const sink = providerSink({ nodeId: config.node.id, store, questions, shared, policies });
    return new NodeProxy(undo, watcher, status, failure, ending, sink);
  }
}

/** What can change while the proxy runs, and the rest by its names in the file. */
function reloadable(config: Config): LoadedConfig {
  const { tables, capacities, log, bindings: _resolved, policies: _followed, ...fixed } = config;
  return { config, tables, fixed: { ...fixed, tables: capacities }, logLevel: log.level };
}

/**
 * Whether the ranges are to be unreachable while no proxy runs: under a supervisor, which starts a proxy that died
 * again, unless the configuration says it. systemd.exec(5) and sd_notify(3) describe the variables.
 */
export function isGuarded({ guard }: Pick<Config, "guard">, env: NodeJS.ProcessEnv): boolean {
  if (guard.routes !== "auto") return guard.routes;
  return env.INVOCATION_ID !== undefined || env.NOTIFY_SOCKET !== undefined;
}

/** One worker per two processors: workloads and the kernel's part of the way need the others. */
export function chooseQueues(configured: number | "auto", processors: number): number {
  if (configured !== "auto") return configured;
  return Math.min(WORKER_MAX, Math.max(1, Math.floor(processors / 2)));
}

/** What the engine tells clients and whom it hears, as the header has it. */
function answersOf({ node: { acceptStrangers }, errors, tcp }: Config): number {
  return (
    (errors.icmp ? ANSWER_WITH_ICMP : 0) |
    (errors.reset ? ANSWER_WITH_RESET : 0) |
    (errors.lostNode === "none" ? 0 : ANSWER_LOST) |
    (errors.lostNode === "reset" ? ANSWER_LOST_WITH_RESET : 0) |
    (tcp.clampMss ? CLAMP_MSS : 0) |
    (acceptStrangers ? ACCEPT_STRANGERS : 0)
  );
}

/** The address by which the underlay's interface is found. */
function underlayAddress({ node: { underlay } }: Config): string {
  return UNSPECIFIED.includes(underlay.bind) ? underlay.address : underlay.bind;
}

/** WireGuard's interface, if the configuration wants it. */
async function openEncrypted(
  { node: { underlay }, state }: Config,
  found: Underlay | undefined,
  log: Logger,
  undo: UndoStack,
): Promise<EncryptedUnderlay | undefined> {
  if (underlay.encryption === "none") return undefined;
  const encrypted = await EncryptedUnderlay.open({
    device: underlay.wireguardDevice,
    underlay,
    underlayMtu: found?.mtu,
    files: keyFiles(state.directory),
    log,
  });
  undo.add("remove the WireGuard interface", () => encrypted.close());
  return encrypted;
}

/** From now on what this proxy set up in the kernel stays. */
function watchNetwork(tun: TunInterface, others: readonly Kept[], { ranges }: Config, log: Logger): NetworkWatch {
  return new NetworkWatch({
    tun,
    routes: ranges.map(({ text }) => text),
    others,
    events: new RouteEvents(),
    log,
    nowMs: () => performance.now(),
    clock: () => new Date(),
  });
}

function refuseKey(): never {
  throw new SapwoodError(
    "not-found",
    "This node has no key in force: its underlay is not encrypted (node.underlay.encryption).",
  );
}

/** One socket per worker, all on one port. */
function openSockets({ node, offloads }: Config, queues: number, undo: UndoStack): UdpSocket[] {
  const sockets = openUdpSockets(queues, {
    address: node.underlay.bind,
    port: node.underlay.port,
    switchedOff: offloadsSwitchedOff(offloads),
  });
  undo.add("close the tunnel's sockets", () => {
    for (const socket of sockets) socket.close();
  });
  return sockets;
}

function socketAt(sockets: readonly UdpSocket[], worker: number): UdpSocket {
  const found = sockets[worker];
  if (found === undefined) throw new RangeError(`worker ${worker} has no socket`);
  return found;
}
