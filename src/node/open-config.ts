// First stage of a node's start: its configuration, read and checked, and the place of its control socket.

import type { Logger } from "../base/log.ts";
import { claimSocketPath } from "../control/api/control-socket.ts";
import { type Config, parseConfig } from "../control/config/config.ts";
import { FileWatcher } from "../control/config/file-watcher.ts";
import { originsOf } from "../control/config/known-services.ts";
import { openTextFile } from "../control/config/text-reader.ts";
import type { PolicyRegistryOptions } from "../control/modules/policy-registry.ts";
import { EventAlarms } from "../control/observe/event-alarms.ts";
import { EventLog } from "../control/observe/event-log.ts";
import type { Reloadable } from "../control/providers/reloader.ts";
import { knownPolicies } from "../control/state/module-store.ts";
import { sizesOf, type TableSizes } from "../control/tables/emptying.ts";
import type { PolicyBinding } from "../control/tables/policy-bindings.ts";
import type { FaultSettings } from "../dataplane/io/fault-settings.ts";
import type { SpareThread } from "../dataplane/worker/spare-thread.ts";
import type { Alarms } from "../model/alarms.ts";
import { BUILT_IN_POLICIES } from "../model/policy-names.ts";
import type { Tables } from "../model/tables.ts";
import type { Takeover } from "./takeover/takeover.ts";

export interface NodeProxyOptions {
  readonly configFile: string;
  /** Path of the control socket; the configuration's unless given. */
  readonly socket: string | undefined;
  readonly version: string;
  readonly log: Logger;
  /** The level was given to the command: the configuration's does not count. */
  readonly isLevelFixed: boolean;
  /** Of the proxy that runs at the control socket; undefined: no proxy may be there. */
  readonly takeover?: Takeover | undefined;
  /** Whether a change of the file is to come into force. */
  readonly isFileFollowed?: boolean;
  /** Is taken by the first worker. */
  readonly spare?: SpareThread | undefined;
  /** What the devices are told to do wrong, in a test; nothing unless given. */
  readonly faults?: FaultSettings | undefined;
}

export type LoadedConfig = Reloadable & { readonly config: Config };

/**
 * What is in force, for parts that are opened before those that know it. Until a part is open, the configuration alone
 * says it; then the part puts its own answer here.
 */
interface InForce {
  /** Names of policies, with those that the state directory has. */
  policies: (stateDirectory: string) => readonly string[];
  tables: () => Tables;
  sizes: () => TableSizes;
  /** Throws what whole tables are refused for. */
  check: (tables: Tables) => Promise<void>;
  bindings: () => readonly PolicyBinding[];
  /** What a policy would be asked about now. */
  candidates: PolicyRegistryOptions["candidates"];
}

const NO_TABLES: Tables = { nodes: [], services: [] };

export interface OpenConfig {
  readonly config: Config;
  readonly started: LoadedConfig;
  /** Reads the file; nothing is watched yet. */
  readonly watcher: FileWatcher<LoadedConfig>;
  readonly socket: string;
  readonly inForce: InForce;
  readonly events: EventLog;
  readonly alarms: Alarms;
}

export async function openConfig(options: NodeProxyOptions): Promise<OpenConfig> {
  const { configFile, log, isLevelFixed } = options;
  const inForce: InForce = {
    policies: knownPolicies,
    tables: () => NO_TABLES,
    sizes: () => sizesOf(NO_TABLES),
    check: async () => undefined,
    bindings: () => [],
    candidates: () => [],
  };
  const watcher = new FileWatcher(configFile, async (path) => reloadable(await readConfig(path, inForce)));
  const started = await watcher.load();
  const { config } = started;
  inForce.bindings = () => config.bindings;
  if (!isLevelFixed) log.level = config.log.level;
  const socket = options.socket ?? config.control.socket;
  if (options.takeover === undefined) await claimSocketPath(socket); // before anything is opened that a running proxy might share
  const events = new EventLog({ clock: () => new Date(), nowMs: () => performance.now() });
  return { config, started, watcher, socket, inForce, events, alarms: new EventAlarms(events, log) };
}

/** A long file is read by another process: what it takes to read it, this one would not give back. */
async function readConfig(path: string, inForce: InForce): Promise<Config> {
  const text = openTextFile(path);
  if (typeof text === "string") {
    const { policies, tables } = inForce;
    return parseConfig(text, path, { policies, inForce: tables });
  }
  try {
    const directory = text.read({ kind: "state", name: path, options: {} });
    // Where that is wrong, everything else that is wrong is to be told as well.
    const policies = await directory.then(inForce.policies, () => BUILT_IN_POLICIES);
    const options = { policies, inForce: inForce.tables(), sizesInForce: inForce.sizes() };
    const origins = originsOf(options.inForce.services);
    const config = await text.read({ kind: "config", name: path, options: { ...options, origins } });
    const isKept = await inForce.check(config.tables).then(
      () => true,
      () => false,
    );
    // What is not in force was checked without its lines.
    return isKept ? config : await text.read({ kind: "config", name: path, options });
  } finally {
    text.close();
  }
}

/** What can change while the proxy runs, and the rest by its names in the file. */
function reloadable(config: Config): LoadedConfig {
  const { tables, capacities, log, bindings: _resolved, policies: _followed, ...fixed } = config;
  return { config, tables, fixed: { ...fixed, tables: capacities }, logLevel: log.level };
}
