// Third stage: the shared memory, the modules, and the first generation of the tables.

import type { UndoStack } from "../base/undo-stack.ts";
import { loadBuiltModules } from "../control/modules/built-modules.ts";
import { Modules } from "../control/modules/modules.ts";
import { policyUses } from "../control/tables/policy-bindings.ts";
import { TableStore, type TableStoreOptions } from "../control/tables/table-store.ts";
import { memoryPages } from "../dataplane/modules/policy-module.ts";
import { createSharedMemory, type SharedMemory } from "../memory/shared-memory.ts";
import { TableWriter } from "../memory/table-writer.ts";
import { memoryOptionsOf } from "./choices.ts";
import type { NodeProxyOptions, OpenConfig } from "./open-config.ts";
import type { Devices } from "./open-devices.ts";
import { type OpenFlows, openFlows } from "./open-flows.ts";
import { tablesInForce } from "./takeover/tables-in-force.ts";

export interface OpenTables {
  readonly shared: SharedMemory;
  readonly modules: Modules;
  /** What tables are checked against. */
  readonly rules: TableStoreOptions;
  readonly store: TableStore;
  readonly flows: OpenFlows;
}

export async function openTables(
  { config, socket, inForce, alarms }: OpenConfig,
  { encrypted, mtu, sockets }: Devices,
  { configFile, log, takeover }: NodeProxyOptions,
  undo: UndoStack,
): Promise<OpenTables> {
  const shared = createSharedMemory(memoryOptionsOf(config, { workers: sockets.length, tunMtu: mtu }));
  const { flowsLock, stateLock } = takeover?.passedOn ?? {};
  const flows = await openFlows({ ...config.flows, socket, shared, log, alarms, passedLock: flowsLock }, undo);
  const started = takeover === undefined ? config.tables : await tablesInForce(config, takeover);
  inForce.tables = () => started;
  const clock = (): Date => new Date();
  const modules = await Modules.open({
    built: await loadBuiltModules(clock()),
    stateDirectory: config.state.directory,
    configFile,
    files: config.policies,
    passedLock: stateLock,
    callTimeMs: config.policyLimits.time,
    memoryPagesMax: memoryPages(config.policyLimits.memory),
    candidates: (policy) => inForce.candidates(policy),
    uses: (policy) => policyUses(policy, inForce.tables(), inForce.bindings()),
    clock,
    log,
    alarms,
  });
  undo.add("stop watching the modules' files", () => modules.close());
  inForce.policies = () => modules.policies.names;
  const rules: TableStoreOptions = {
    nodeId: config.node.id,
    ranges: config.ranges,
    location: config.node.location,
    own: config.node.underlay,
    isEncrypted: encrypted !== undefined,
    underlay: encrypted,
    tell: (sentence) => log.warn(sentence),
    get policies() {
      return modules.policies.names;
    },
  };
  const policySlot = (name: string): number => modules.policies.slot(name);
  const store = new TableStore(new TableWriter(shared, { nodeId: config.node.id, policySlot }), rules);
  await store.apply(started);
  inForce.tables = () => store.snapshot();
  inForce.sizes = () => store.sizes;
  inForce.check = (tables) => store.check(tables);
  encrypted?.onMoved((ids) => store.moveNodes(ids));
  return { shared, modules, rules, store, flows };
}
