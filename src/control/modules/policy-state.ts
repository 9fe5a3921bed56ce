// A policy as the registry keeps it, and as others see it.

import type { HandOver } from "../../dataplane/worker/supervisor.ts";
import type { LoadedModule, ModulePlace } from "../state/loaded-module.ts";

/** What the workers said of the policy last. */
export interface PolicyFault {
  readonly at: Date;
  readonly message: string;
}

/** A policy as it is; `swap` tells how the module in force was handed over. */
export interface PolicyState {
  readonly name: string;
  readonly slot: number;
  readonly current: LoadedModule | undefined;
  readonly previous: LoadedModule | undefined;
  readonly swap: HandOver | undefined;
  /** Times that a module was taken out of force because it did not return, or took too much of a worker's time. */
  readonly overdue: number;
  readonly greedy: number;
  readonly fault: PolicyFault | undefined;
}

/** A name, its slot and its modules, as the registry keeps them. */
export interface PolicyEntry {
  readonly name: string;
  readonly slot: number;
  readonly place: ModulePlace;
  swap: HandOver | undefined;
  overdue: number;
  greedy: number;
  fault: PolicyFault | undefined;
}

/** The module is another one: what was said of the one before does not count any more. */
export function forgetModule(entry: PolicyEntry): void {
  entry.overdue = 0;
  entry.greedy = 0;
  entry.fault = undefined;
  entry.swap = undefined;
}

export function stateOf({ name, slot, place, swap, overdue, greedy, fault }: PolicyEntry): PolicyState {
  return { name, slot, current: place.current, previous: place.previous, swap, overdue, greedy, fault };
}
