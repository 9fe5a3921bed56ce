// A node's proxy: opens everything in order, applies changes while it runs, closes everything in reverse order.
// Promises: a start that fails leaves no device, route, kernel parameter or socket behind, but those that a process
// before left for it.

import { reasonOf } from "../base/errors.ts";
import { UndoStack } from "../base/undo-stack.ts";
import type { ProviderSink } from "../control/providers/provider.ts";
import type { StatusReport } from "../model/reports.ts";
import { keepDevices } from "./kept-devices.ts";
import { type NodeProxyOptions, openConfig } from "./open-config.ts";
import type { OpenControl } from "./open-control.ts";
import { openDevices } from "./open-devices.ts";
import { openNetwork } from "./open-network.ts";
import { openTables } from "./open-tables.ts";
import { openWorkers } from "./open-workers.ts";
import type { Stages } from "./stages.ts";
import { takeOver } from "./takeover/take-over.ts";

export class NodeProxy {
  /** Rejects when the data path is lost for good; otherwise it stays pending. */
  readonly failure: Promise<never>;
  /** Resolves when another process has taken over, and this one is to close; otherwise it stays pending. */
  readonly takenOver: Promise<string>;
  /** For a provider beside the configuration. */
  readonly sink: ProviderSink;
  readonly #undo: UndoStack;
  readonly #stages: Stages;
  readonly #status: () => StatusReport;

  private constructor(undo: UndoStack, stages: Stages, { status, sink, handOver }: OpenControl) {
    this.#undo = undo;
    this.#stages = stages;
    this.#status = status;
    this.sink = sink;
    this.takenOver = handOver.completed;
    this.failure = Promise.race([stages.watch.failure, stages.networkWatch.failure]);
    // It may happen before anybody waits for it, and whoever follows the events is to hear of it.
    this.failure.catch((error: unknown) => {
      const message = `The proxy ends: ${reasonOf(error)}`;
      const advice = 'Under systemd it starts again by itself; elsewhere, start "sapwood run" again.';
      stages.alarms.tell({ kind: "proxy-ending", message, advice });
    });
  }

  /** Resolves when packets are served and the control socket answers. */
  static async start(options: NodeProxyOptions): Promise<NodeProxy> {
    const undo = new UndoStack((what, error) => options.log.error({ err: error }, `could not ${what}`));
    try {
      return await NodeProxy.#open(options, undo);
    } catch (error) {
      await undo.run();
      options.takeover?.fail(reasonOf(error));
      throw error;
    }
  }

  status(): StatusReport {
    return this.#status();
  }

  /** Reads the config file again, whether it changed or not. */
  reload(): Promise<void> {
    return this.#stages.watcher.reload();
  }

  /**
   * Control socket, workers, routes and kernel parameters, TUN, tunnel: in this order. Where another start is to follow,
   * as after a failure, the unreachable routes of the ranges stay and so does a persistent TUN, as they do when the
   * process is killed.
   */
  close(isFollowed = false): Promise<void> {
    const { ending, persists } = this.#stages;
    ending.keepsGuard ||= isFollowed;
    ending.keepsTun ||= isFollowed && persists;
    return this.#undo.run();
  }

  static async #open(options: NodeProxyOptions, undo: UndoStack): Promise<NodeProxy> {
    const { log, takeover, spare } = options;
    undo.add("end the spare thread", () => spare?.close());
    const opened = await openConfig(options);
    const devices = await openDevices(opened.config, log, undo, takeover?.passedOn);
    const tables = await openTables(opened, devices, options, undo);
    // The threads start while other programs set up the network. A TUN that a process before left has its network: its
    // packets are served as soon as the threads run, and nothing is to hold these up.
    const [networkUndo, workersUndo] = [undo.part("undo the network"), undo.part("undo the workers")];
    const startingWorkers = openWorkers(opened, devices, tables, options, takeover !== undefined, workersUndo);
    if (devices.isAdopted) await Promise.allSettled([startingWorkers]);
    const setUp = bothOf(openNetwork(opened, devices, tables, log, networkUndo), startingWorkers);
    const loaded = import("./open-control.ts"); // a third of the program, which no packet needs
    const [[network, workers], { openControl }] = await bothOf(setUp, loaded);
    const stages: Stages = { ...opened, ...devices, ...tables, ...network, ...workers };
    if (takeover !== undefined) await takeOver(stages, takeover, log);
    const control = await openControl(stages, options, undo);
    network.ending.keepsTun = network.persists && opened.config.tun.keep;
    if (!network.persists) devices.tun.setPersistent(false); // one that was taken over, and was to outlive its process
    if (takeover !== undefined) {
      await takeover.finish();
      tables.flows.commit();
    }
    // WireGuard's interface, which filters what the sockets take, is made anew by each process.
    const { encrypted, tun, sockets } = devices;
    if (network.persists && encrypted === undefined) keepDevices(process.env, tun, sockets);
    return new NodeProxy(undo, stages, control);
  }
}

/** Waits for both in any case: what is half open cannot be closed. */
async function bothOf<First, Second>(first: Promise<First>, second: Promise<Second>): Promise<[First, Second]> {
  await Promise.allSettled([first, second]);
  return Promise.all([first, second]);
}
