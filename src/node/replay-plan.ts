// What a replay needs of a node's configuration: its tables, its limits, and the modules that it would have in force.

import { dirname, resolve } from "node:path";
import { SapwoodError } from "../base/errors.ts";
import { meantText, nameList, shortText } from "../base/issues.ts";
import { type Config, loadConfig } from "../control/config/config.ts";
import { type BuiltModules, loadBuiltModules } from "../control/modules/built-modules.ts";
import { PolicyTrials } from "../control/modules/policy-trials.ts";
import type { ReplayedNodePlan, ReplayPlan, ReplaySide } from "../control/replay/replay-contract.ts";
import { sha256Of } from "../control/state/loaded-module.ts";
import { isOutdated, knownPolicies, ModuleStore, type StoredPair } from "../control/state/module-store.ts";
import { tryEngine } from "../dataplane/modules/module-trial.ts";
import { memoryPages, policyShape } from "../dataplane/modules/policy-module.ts";
import { checkBytes, compileBytes, ENGINE_SHAPE, readModule } from "../dataplane/modules/wasm.ts";
import { chooseMtu } from "../sys/interface.ts";
import { memoryOptionsOf } from "./choices.ts";

export interface ReplayOrder {
  readonly file: string;
  readonly configFile: string;
  /** A module that is to be compared with the engine of the configuration. */
  readonly engineFile: string | undefined;
  /** The same for policies, by name. */
  readonly policyFiles: ReadonlyMap<string, string>;
}

/** Where a module is from, and the module. */
interface SourcedModule {
  readonly source: string;
  readonly module: WebAssembly.Module;
}

/** A side with the places that its modules are from. */
export interface SourcedSide {
  readonly engine: string;
  readonly policies: Readonly<Record<string, string>>;
}

interface SourcedPlan {
  readonly plan: ReplayPlan;
  /** As the sides of the plan. */
  readonly sources: readonly SourcedSide[];
}

/** Any number does: all keys follow from it, so that a replay can be repeated. */
const SEED = 1;

/** Tries what does not come with the package. Throws config-unreadable, config-invalid, module-refused or usage. */
export async function planReplay(order: ReplayOrder): Promise<SourcedPlan> {
  const { file, configFile, engineFile, policyFiles } = order;
  const config = loadConfig(configFile, { policies: knownPolicies });
  const names = usedPolicies(config);
  for (const name of policyFiles.keys()) requireUsed(name, names);
  const sources = new ModuleSources(config, configFile, await loadBuiltModules(new Date()));
  const engine = await sources.engine();
  const policies = new Map<string, SourcedModule>();
  for (const name of names) {
    const found = await sources.policy(name);
    if (found !== undefined) policies.set(name, found);
  }
  const sides = [{ engine, policies }];
  if (engineFile !== undefined || policyFiles.size > 0) {
    const changed = new Map(policies);
    for (const [name, path] of policyFiles) changed.set(name, await sources.policyOf(name, path));
    sides.push({ engine: engineFile === undefined ? engine : await sources.engineOf(engineFile), policies: changed });
  }
  return {
    plan: { file, node: nodeOf(config, names), sides: sides.map((side) => sideOf(side, names)) },
    sources: sides.map((side) => ({
      engine: side.engine.source,
      policies: Object.fromEntries([...side.policies].map(([name, { source }]) => [name, source])),
    })),
  };
}

function nodeOf(config: Config, names: readonly string[]): ReplayedNodePlan {
  const tunMtu = chooseMtu(config.tun.mtu, undefined);
  return {
    nodeId: config.node.id,
    memory: { ...memoryOptionsOf(config, { workers: 1, tunMtu }), hashSeed: SEED },
    tunMtu,
    ranges: config.ranges,
    location: config.node.location,
    isEncrypted: config.node.underlay.encryption === "wireguard",
    tables: config.tables,
    policySlots: Object.fromEntries(names.map((name, slot) => [name, slot])),
  };
}

function sideOf(
  { engine, policies }: { engine: SourcedModule; policies: ReadonlyMap<string, SourcedModule> },
  names: readonly string[],
): ReplaySide {
  return {
    engine: engine.module,
    policies: [...policies].map(([name, { module }]) => ({ slot: names.indexOf(name), name, module })),
  };
}

/** Names that service addresses have. */
function usedPolicies({ tables }: Config): string[] {
  const names = tables.services.flatMap(({ addresses }) => addresses.map(({ policy }) => policy));
  return [...new Set(names)].sort();
}

function requireUsed(name: string, used: readonly string[]): void {
  if (used.includes(name)) return;
  const known = used.length === 0 ? "there is none" : `there are ${nameList(used)}`;
  const found = `found "${shortText(name)}"${meantText(name, used)}`;
  throw new SapwoodError("usage", `--policy must name a policy that a service address has; ${known}; ${found}.`);
}

/**
 * Finds modules in the order in which a proxy prefers them. Policies that are not of the package are tried; what harms
 * their service alone is no reason to refuse them here.
 */
class ModuleSources {
  readonly #config: Config;
  readonly #folder: string;
  readonly #built: BuiltModules;
  readonly #trials: PolicyTrials;
  readonly #stored: ReturnType<ModuleStore["read"]>;

  constructor(config: Config, configFile: string, built: BuiltModules) {
    this.#config = config;
    this.#folder = dirname(resolve(configFile));
    this.#built = built;
    const { directory } = config.state;
    this.#stored = new ModuleStore(directory).read((name, message) => {
      const sentence = `Modules that commands loaded cannot be read from ${directory}: ${name}: ${message}.`;
      throw new SapwoodError("module-refused", sentence);
    });
    this.#trials = new PolicyTrials({
      callTimeMs: config.policyLimits.time,
      memoryPagesMax: memoryPages(config.policyLimits.memory),
      candidates: () => [],
      clock: () => new Date(),
    });
  }

  async engine(): Promise<SourcedModule> {
    const stored = this.#stored.engine?.current;
    if (stored === undefined) return this.#built.engine;
    return { source: stored.source, module: await compileBytes(stored.bytes, ENGINE_SHAPE, stored.source) };
  }

  /** Undefined: the name has no module, and the engine chooses by itself. */
  async policy(name: string): Promise<SourcedModule | undefined> {
    const file = this.#config.policies[name]?.file;
    const path = file === undefined ? undefined : resolve(this.#folder, file);
    const bytes = path === undefined ? undefined : this.#read(path);
    const stored = newest(this.#stored.policies.get(name), bytes);
    if (stored !== undefined) return this.#admit(name, stored.bytes, stored.source);
    if (bytes !== undefined && path !== undefined) return this.#admit(name, bytes, path);
    return this.#built.policies.find((policy) => policy.name === name)?.loaded;
  }

  async engineOf(path: string): Promise<SourcedModule> {
    const bytes = readModule(path, ENGINE_SHAPE);
    checkBytes(bytes, ENGINE_SHAPE, path);
    await tryEngine({ bytes, inForce: this.#built.engine.bytes, isForced: true });
    return { source: path, module: await compileBytes(bytes, ENGINE_SHAPE, path) };
  }

  policyOf(name: string, path: string): Promise<SourcedModule> {
    return this.#admit(name, this.#read(path), path);
  }

  #read(path: string): Uint8Array {
    return readModule(path, policyShape(memoryPages(this.#config.policyLimits.memory)));
  }

  #admit(name: string, bytes: Uint8Array, source: string): Promise<SourcedModule> {
    return this.#trials.admit(name, bytes, { source, isRemembered: false, isForced: true });
  }
}

/** What a command loaded, unless the policy's file is newer. */
function newest(stored: StoredPair | undefined, bytes: Uint8Array | undefined): StoredPair["current"] {
  if (stored === undefined || isOutdated(stored, bytes && sha256Of(bytes))) return undefined;
  return stored.current;
}
