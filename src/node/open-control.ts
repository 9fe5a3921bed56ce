// Last stage: who changes the tables, who reports, and the control socket.

import { DropReason } from "../../assembly/shared/verdicts.ts";
import { SapwoodError } from "../base/errors.ts";
import { lostLogLines } from "../base/log.ts";
import type { UndoStack } from "../base/undo-stack.ts";
import { ControlApi, orderListener } from "../control/api/api.ts";
import { ChangeGate } from "../control/api/change-gate.ts";
import { readText } from "../control/config/text-reader.ts";
import { InstanceHealth } from "../control/health/instance-health.ts";
import { ModuleControl } from "../control/modules/module-control.ts";
import { ModuleReporter } from "../control/modules/module-reporter.ts";
import { Captures } from "../control/observe/captures.ts";
import { readKernelDrops } from "../control/observe/kernel-drops.ts";
import { MachineWatch } from "../control/observe/machine-watch.ts";
import { NodeWatch } from "../control/observe/node-watch.ts";
import { Observation } from "../control/observe/observation.ts";
import { Reporter } from "../control/observe/reporter.ts";
import { statusReport } from "../control/observe/status.ts";
import { Traffic } from "../control/observe/traffic.ts";
import type { ProviderSink } from "../control/providers/provider.ts";
import { Reloader } from "../control/providers/reloader.ts";
import { Questions } from "../control/tables/questions.ts";
import { OffloadSwitch } from "../dataplane/worker/offload-switch.ts";
import { readDrops } from "../memory/counters.ts";
import type { ProviderReport, StatusReport } from "../model/reports.ts";
import { ADDRESS_SIZE, parseAddress } from "../net/address.ts";
import { DescriptorReserve } from "../sys/descriptor-reserve.ts";
import { Listeners } from "./listeners.ts";
import type { LoadedConfig, NodeProxyOptions } from "./open-config.ts";
import { providerSink } from "./provider-sink.ts";
import type { Stages } from "./stages.ts";
import type { HandOver } from "./takeover/hand-over.ts";
import { openHandOver } from "./takeover/open-hand-over.ts";

export interface OpenControl {
  readonly status: () => StatusReport;
  /** For a provider beside the configuration. */
  readonly sink: ProviderSink;
  readonly handOver: HandOver;
}

export async function openControl(stages: Stages, options: NodeProxyOptions, undo: UndoStack): Promise<OpenControl> {
  const { config, watcher, socket, encrypted, modules, shared, store, supervisor, watch, networkWatch, events } =
    stages;
  const { log } = options;
  const nowMs = (): number => supervisor.nowMs();
  const reloader = openReloader(stages, options);
  const nodeWatch = new NodeWatch({ shared, store, nowMs, log });
  undo.add("stop watching the nodes", () => nodeWatch.close());
  const offloads = new OffloadSwitch(stages);
  let readProvider: (() => ProviderReport) | undefined;
  const status = statusOf(stages, options.version, offloads, reloader, () => readProvider?.());
  const questions = new Questions({
    shared,
    timeoutMs: config.unknown.timeout,
    nowMs,
    isKnown: (address) => store.hasAddress(address),
  });
  const health = new InstanceHealth({
    ...{ nodeId: config.node.id, shared, store, log, workersMs: nowMs },
    tell: (event) => events.add(event),
  });
  undo.add("stop checking the instances", () => health.close());
  const reporter = openReporter(stages, health);
  const moduleReporter = openModuleReporter(stages);
  const traffic = new Traffic({ shared, store, counters: () => reporter.counters(), nowMs: () => performance.now() });
  const observation = new Observation({
    ...{ config, status, reporter, moduleReporter, modules, supervisor, reloader, offloads, shared, store, log },
    ...{ nowMs, events, workerRestarts: watch.restarts },
    network: () => networkWatch.report,
  });
  undo.add("stop watching for events", () => observation.close());
  const descriptors = new DescriptorReserve();
  undo.add("let go of the descriptors in reserve", () => descriptors.close());
  const machineWatch = openMachineWatch(stages, descriptors);
  undo.add("stop watching the machine", () => machineWatch.close());
  if (options.takeover !== undefined) {
    const { pid, version } = options.takeover.passedOn;
    const message = `This process has taken over from process ${pid}, version ${version}.`;
    events.add({ kind: "taken-over", message });
  }
  const captures = openCaptures(stages, options);
  undo.add("end the captures", () => captures.close());
  const listeners = new Listeners();
  const changes = new ChangeGate();
  const handOver = openHandOver(stages, options, events, { listeners, changes });
  const parts = {
    takeover: handOver,
    changes,
    captures,
    status,
    reporter,
    traffic,
    observation,
    tables: reloader,
    questions,
    offloads,
    key: () => encrypted ?? refuseKey(),
    modules: new ModuleControl(modules, moduleReporter),
  };
  listeners.add(() =>
    ControlApi.listen(socket, parts, (error) =>
      log.error({ err: error }, "a request to the control socket met an unexpected error"),
    ),
  );
  listeners.add(() =>
    observation.listen(options.configFile, async ({ takesOrders, onFailure }) => {
      const { PageSite } = await import("../control/page/page-site.ts"); // which many nodes do not need
      const healthOf = (service: string, instance: number) => health.reportOf(service, instance);
      const source = {
        ...{ ...observation.source, healthOf, shared, store, nowMs },
        ...{ events: () => events.all(), epochMs: () => Date.now() },
      };
      return new PageSite({ source, orders: takesOrders ? orderListener(parts, onFailure) : undefined, onFailure });
    }),
  );
  if (options.isFileFollowed !== false) {
    listeners.add(() => {
      watcher.watch(reloader);
      return watcher;
    });
  }
  undo.add("close what the proxy listens at", () => listeners.close());
  await listeners.open();
  undo.add("end a takeover", () => handOver.close());
  const sink = providerSink({
    ...{ nodeId: config.node.id, store, questions, shared, alarms: stages.alarms },
    policies: () => modules.policies.names,
    showStatus: (read) => {
      readProvider = read;
    },
  });
  return { status, sink, handOver };
}

function openMachineWatch({ alarms, shared }: Stages, descriptors: DescriptorReserve): MachineWatch {
  return new MachineWatch({
    alarms,
    nowMs: () => performance.now(),
    wallMs: () => Date.now(),
    descriptors,
    lostLogLines,
    unsent: () => ({
      queueFull: readDrops(shared, "egress", DropReason.queueFull),
      sendFailed: readDrops(shared, "egress", DropReason.sendFailed),
    }),
  });
}

function openReloader(stages: Stages, { configFile, log, isLevelFixed }: NodeProxyOptions): Reloader<LoadedConfig> {
  const { started, store, modules, rules, inForce } = stages;
  const reloader = new Reloader<LoadedConfig>({
    file: configFile,
    started,
    target: store,
    prepare: ({ config: { policies } }) => modules.files.follow(policies),
    parseTables: (text, { config: { bindings } }, allowEmpty) => {
      const { nodeId, ranges, policies, own, isEncrypted } = rules;
      const plain = { nodeId, ranges, policies, own, isEncrypted };
      const options = {
        ...{ bindings, rules: plain, allowEmpty },
        ...{ inForce: store.snapshot(), sizesInForce: store.sizes },
      };
      return readText(text, { kind: "tables", name: "tables", options });
    },
    parseTablesPatch: (text, { config: { bindings } }, allowEmpty) =>
      readText(text, { kind: "patch", name: "tables", options: { bindings, allowEmpty } }),
    log,
    isLevelFixed,
    clock: () => new Date(),
  });
  inForce.bindings = () => reloader.inForce.config.bindings;
  return reloader;
}

function openCaptures(
  { config, shared, store, supervisor, port }: Stages,
  { version, log }: NodeProxyOptions,
): Captures {
  const address = parseAddress(config.node.underlay.address) ?? new Uint8Array(ADDRESS_SIZE);
  return new Captures({
    workers: shared.capacities.workers,
    hand: (orders) => supervisor.handCaptures(orders),
    tables: () => store.snapshot(),
    own: { address, port },
    version,
    onFailure: (error) => log.error({ err: error }, "the workers could not be told what to capture"),
  });
}

function openReporter(
  { config, shared, store, supervisor, encrypted, tun, sockets }: Stages,
  health: InstanceHealth,
): Reporter {
  return new Reporter({
    shared,
    node: config.node,
    store,
    nowMs: () => supervisor.nowMs(),
    publicKey: () => encrypted?.report().publicKey,
    kernelDrops: () => readKernelDrops(tun.name, sockets),
    healthOf: (service, instance) => health.reportOf(service, instance),
  });
}

function openModuleReporter({ supervisor, shared, store, modules }: Stages): ModuleReporter {
  const fileOf = (policy: string): string | undefined => modules.files.of(policy)?.path;
  return new ModuleReporter({ board: supervisor.board, shared, store, fileOf });
}

function statusOf(
  { config, tun, mtu, port, networkWatch, shared, watch, store, watcher }: Stages,
  version: string,
  offloads: OffloadSwitch,
  reloader: Reloader<LoadedConfig>,
  provider: () => ProviderReport | undefined,
): () => StatusReport {
  return () =>
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
      config: { ...watcher.following, ...reloader.ofFile },
      lastReload: reloader.last,
      provider: provider(),
    });
}

function refuseKey(): never {
  throw new SapwoodError(
    "not-found",
    "This node has no key in force: its underlay is not encrypted (node.underlay.encryption).",
  );
}
