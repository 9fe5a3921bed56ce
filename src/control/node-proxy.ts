// A node's proxy: opens everything in order, applies changes while it runs, closes everything in reverse order.
// Promises: a start that fails leaves no device, route, kernel parameter or socket behind.

import { dirname, join } from "node:path";
import { Supervisor, type WorkerEnd } from "../dataplane/supervisor.ts";
import { SapwoodError } from "../errors.ts";
import type { Logger } from "../log.ts";
import { flowCount } from "../memory/counters.ts";
import { createSharedMemory, type SharedMemory } from "../memory/shared-memory.ts";
import { TableWriter } from "../memory/table-writer.ts";
import { chooseMtu, findUnderlay, TunInterface } from "../sys/interface.ts";
import { openTun, type Tun } from "../sys/tun.ts";
import { openUdpSocket, type UdpSocket } from "../sys/udp-socket.ts";
import { ControlApi } from "./api.ts";
import { loadBuiltModules, policySlots } from "./built-modules.ts";
import { type Config, loadConfig, parseTables } from "./config.ts";
import { ConfigWatcher } from "./config-watcher.ts";
import { claimSocketPath } from "./control-socket.ts";
import { type Reloadable, Reloader } from "./reloader.ts";
import { Reporter } from "./reporter.ts";
import type { StatusReport } from "./reports.ts";
import { TableStore } from "./table-store.ts";
import { UndoStack } from "./undo-stack.ts";

export interface NodeProxyOptions {
  readonly configFile: string;
  readonly socket: string;
  readonly version: string;
  readonly log: Logger;
  /** The level was given to the command: the configuration's does not count. */
  readonly isLevelFixed: boolean;
}

/** What is open while a proxy runs. */
interface Parts {
  readonly config: Config;
  readonly sockets: readonly UdpSocket[];
  readonly tun: Tun;
  readonly mtu: number;
  readonly shared: SharedMemory;
  readonly store: TableStore;
  readonly reloader: Reloader<LoadedConfig>;
  readonly workerRestarts: readonly number[];
}

export class NodeProxy {
  /** Rejects when the data path is lost for good; otherwise it stays pending. */
  readonly failure: Promise<never>;
  readonly #undo: UndoStack;
  readonly #watcher: ConfigWatcher<LoadedConfig>;
  readonly #status: () => StatusReport;

  private constructor(undo: UndoStack, watcher: ConfigWatcher<LoadedConfig>, parts: Parts, failure: Promise<never>) {}
}
