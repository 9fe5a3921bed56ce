// Orders about policies and the engine, and what they answer: the modules joined with what is reported of them.

import type { DryRunReport, EngineReport, PolicyDetailReport, PolicyReport } from "../../model/module-reports.ts";
import { type ModuleReporter, spreadReport } from "./module-reporter.ts";
import type { Modules } from "./modules.ts";
import { DRY_RUN_FLOWS } from "./policy-trials.ts";

export interface ModuleOrder {
  readonly source: string;
  /** Whether to accept what a trial finds fault with, as far as it harms nothing else. */
  readonly isForced: boolean;
}

export class ModuleControl {
  readonly #modules: Modules;
  readonly #reporter: ModuleReporter;

  constructor(modules: Modules, reporter: ModuleReporter) {
    this.#modules = modules;
    this.#reporter = reporter;
  }

  policies(): readonly PolicyReport[] {
    return this.#modules.policies.states().map((state) => this.#reporter.policy(state));
  }

  policy(name: string): PolicyDetailReport {
    return this.#reporter.policyDetail(this.#modules.policies.state(name));
  }

  async loadPolicy(name: string, module: Uint8Array, order: ModuleOrder): Promise<PolicyDetailReport> {
    const { policies } = this.#modules;
    const state = await this.#modules.written(policies.load(name, module, { ...order, isRemembered: true }));
    return this.#reporter.policyDetail(state);
  }

  async dryRunPolicy(name: string, module: Uint8Array, isForced: boolean): Promise<DryRunReport> {
    const { sha256, spreads } = await this.#modules.policies.dryRun(name, module, isForced);
    return { policy: name, sha256, flows: DRY_RUN_FLOWS, addresses: spreads.map(spreadReport) };
  }

  async rollbackPolicy(name: string): Promise<PolicyDetailReport> {
    return this.#reporter.policyDetail(await this.#modules.written(this.#modules.policies.rollback(name)));
  }

  async unloadPolicy(name: string): Promise<void> {
    await this.#modules.written(this.#modules.policies.unload(name));
  }

  engine(): EngineReport {
    return this.#reporter.engine(this.#modules.engine.state());
  }

  async loadEngine(module: Uint8Array, order: ModuleOrder): Promise<EngineReport> {
    const { engine } = this.#modules;
    return this.#reporter.engine(await this.#modules.written(engine.load(module, { ...order, isRemembered: true })));
  }

  async rollbackEngine(): Promise<EngineReport> {
    return this.#reporter.engine(await this.#modules.written(this.#modules.engine.rollback()));
  }
}
