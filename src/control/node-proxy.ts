// A node's proxy: opens everything in order, applies changes while it runs, closes everything in reverse order.
// Promises: a start that fails leaves no device, route, kernel parameter or socket behind.

import { dirname, join } from "node:path";
import type { WorkerEnd } from "../dataplane/supervisor.ts";
import { Supervisor } from "../dataplane/supervisor.ts";
import { SapwoodError } from "../errors.ts";
import type { Logger } from "../log.ts";
import { createSharedMemory, type SharedMemory } from "../memory/shared-memory.ts";
import { flowCount } from "../memory/counters.ts";
import { chooseMtu, findUnderlay, TunInterface } from "../sys/interface.ts";
import { openTun, type Tun } from "../sys/tun.ts";
import { openUdpSocket, type UdpSocket } from "../sys/udp-socket.ts";
import { ControlApi, type ControlSource } from "./api.ts";
import { loadBuiltModules, policySlots } from "./built-modules.ts";
import { changedFields } from "./changed-fields.ts";
import { type Config, loadConfig } from "./config.ts";
import { ConfigWatcher } from "./config-watcher.ts";
import { claimSocketPath } from "./control-socket.ts";
import { Reporter } from "./reporter.ts";
import { TableStore } from "./table-store.ts";
import { UndoStack } from "./undo-stack.ts";
