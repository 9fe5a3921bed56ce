// Answers what policies and engine a proxy has: their modules, joined with what the workers count of them.

import { LAYOUT_VERSION } from "../../../assembly/shared/layout/version.ts";
import { oncePer } from "../../base/once-per.ts";
import { type PolicyBoard, PolicyCount } from "../../dataplane/modules/policy-board.ts";
import type { HandOver } from "../../dataplane/worker/supervisor.ts";
import { liveFlows } from "../../memory/flows.ts";
import type { SharedMemory } from "../../memory/shared-memory.ts";
import type {
  AddressShareReport,
  AddressSpreadReport,
  EngineReport,
  FaultReport,
  ModuleReport,
  PolicyDetailReport,
  PolicyReport,
  SwapReport,
} from "../../model/module-reports.ts";
import type { Tables } from "../../model/tables.ts";
import type { LoadedModule } from "../state/loaded-module.ts";
import { candidatesOf } from "../tables/address-candidates.ts";
import type { TableStore } from "../tables/table-store.ts";
import type { EngineState } from "./engine-registry.ts";
import type { AddressSpread } from "./policy-judgement.ts";
import type { PolicyFault, PolicyState } from "./policy-state.ts";

interface ModuleReporterOptions {
  readonly board: PolicyBoard;
  readonly shared: SharedMemory;
  readonly store: TableStore;
  /** Path of a policy's file under `policies`. */
  readonly fileOf: (policy: string) => string | undefined;
}

export interface PolicyTimes {
  readonly policy: string;
  readonly classes: readonly number[];
  readonly sumSeconds: number;
}

export class ModuleReporter {
  readonly #options: ModuleReporterOptions;
  readonly #boundCounts = oncePer(boundCountsOf);

  constructor(options: ModuleReporterOptions) {
    this.#options = options;
  }

  policy(state: PolicyState): PolicyReport {
    const { name, current, previous, overdue, greedy, fault } = state;
    const count = this.#counts(state.slot);
    const [outOfRange, traps, refusals, declined] = [
      count(PolicyCount.outOfRange),
      count(PolicyCount.traps),
      count(PolicyCount.refusals),
      count(PolicyCount.declined),
    ];
    const timed = count(PolicyCount.timedChoices);
    return {
      name,
      state: current === undefined ? "no module" : fault === undefined ? "in force" : "faulty",
      module: current === undefined ? null : moduleReport(current),
      previous: previous === undefined ? null : moduleReport(previous),
      addresses: this.#boundCounts(this.#options.store.snapshot()).get(name) ?? 0,
      choices: count(PolicyCount.choices),
      choiceUs: timed === 0 ? null : (1000 * count(PolicyCount.timedMs)) / timed,
      faults: { declined, outOfRange, traps, refusals, unprepared: count(PolicyCount.unprepared), overdue, greedy },
      lastError: faultReport(fault),
    };
  }

  /** The timed choices of a policy, by CHOICE_BOUNDS_US, over all workers. */
  policyTimes({ name, slot }: PolicyState): PolicyTimes {
    const { board } = this.#options;
    const perWorker = Array.from({ length: board.workers }, (_, worker) => [...board.times(worker, slot)]);
    const classes = perWorker.reduce((sum, times) => sum.map((count, i) => count + (times[i] ?? 0)));
    return { policy: name, classes, sumSeconds: this.#counts(slot)(PolicyCount.timedMs) / 1000 };
  }

  policyDetail(state: PolicyState): PolicyDetailReport {
    const file = this.#options.fileOf(state.name) ?? null;
    return { ...this.policy(state), swap: swapReport(state.swap), file, shares: this.#shares(state.name) };
  }

  engine({ current, previous, swap, fault }: EngineState): EngineReport {
    return {
      layoutVersion: LAYOUT_VERSION,
      module: moduleReport(current),
      previous: previous === undefined ? null : moduleReport(previous),
      swap: swapReport(swap),
      lastError: faultReport(fault),
    };
  }

  /** Sums over all workers. */
  #counts(slot: number): (which: PolicyCount) => number {
    const { board } = this.#options;
    const perWorker = Array.from({ length: board.workers }, (_, worker) => board.counts(worker, slot));
    return (which) => perWorker.reduce((sum, counts) => sum + (counts[which] ?? 0), 0);
  }

  /** Addresses that the policy decides about. */
  #bound(policy: string) {
    return this.#options.store
      .snapshot()
      .services.flatMap((service) =>
        service.addresses
          .filter((one) => one.policy === policy)
          .map(({ address }) => ({ service, address, instances: candidatesOf(service) })),
      );
  }

  #shares(policy: string): AddressShareReport[] {
    const bound = this.#bound(policy);
    const flowsOf = new Map(bound.map(({ address }) => [address, new Map<number, number>()]));
    const names = this.#options.store.instanceNames();
    for (const flow of liveFlows(this.#options.shared)) {
      const perInstance = flowsOf.get(flow.called);
      const instance = flow.isInstanceKnown ? names.get(flow.instance) : undefined;
      if (perInstance === undefined || instance === undefined) continue;
      perInstance.set(instance.number, (perInstance.get(instance.number) ?? 0) + 1);
    }
    return bound.map(({ service, address, instances }) => {
      const perInstance = flowsOf.get(address) ?? new Map<number, number>();
      return {
        service: service.name,
        address,
        flows: [...perInstance.values()].reduce((sum, flows) => sum + flows, 0),
        instances: instances.map(({ number, node }) => ({ number, node, flows: perInstance.get(number) ?? 0 })),
      };
    });
  }
}

/** Addresses by the policy that decides about them. */
function boundCountsOf({ services }: Tables): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const { policy } of services.flatMap((service) => service.addresses)) {
    counts.set(policy, (counts.get(policy) ?? 0) + 1);
  }
  return counts;
}

export function spreadReport({ service, address, instances, now, after }: AddressSpread): AddressSpreadReport {
  return {
    service,
    address: address.address,
    instances: instances.map(({ number, node }, i) => ({
      number,
      node,
      now: now?.flows[i] ?? null,
      after: after.flows[i] ?? 0,
    })),
    none: { now: now?.none ?? null, after: after.none },
  };
}

function moduleReport({ sha256, bytes, source, loadedAt }: LoadedModule): ModuleReport {
  return { sha256, sizeBytes: bytes.length, source, loadedAt: loadedAt.toISOString() };
}

function swapReport(swap: HandOver | undefined): SwapReport | null {
  return swap === undefined ? null : { tookMs: swap.tookMs, pauseMs: swap.pauseMs };
}

function faultReport(fault: PolicyFault | undefined): FaultReport | null {
  return fault === undefined ? null : { at: fault.at.toISOString(), message: fault.message };
}
