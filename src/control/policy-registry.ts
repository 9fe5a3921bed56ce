// Which policies there are: each name has a slot, by which the tables and the workers know it, and the module that is
// in force there. A slot is never given to another name, because a service record may still carry it.

import { POLICY_SLOT_MAX } from "../../assembly/shared/policies.ts";
import type { PolicyModule } from "../dataplane/worker-contract.ts";
import { SapwoodError } from "../errors.ts";
import type { LoadedModule } from "./loaded-module.ts";

/** A policy that comes with the package. */
export interface BuiltPolicy {
  readonly name: string;
  readonly loaded: LoadedModule;
}

interface Entry {
  readonly name: string;
  readonly slot: number;
  readonly builtIn: LoadedModule | undefined;
  current: LoadedModule | undefined; // undefined: the engine chooses by itself
}

export class PolicyRegistry {
  readonly #entries = new Map<string, Entry>(); // in the order of their slots

  constructor(builtIn: readonly BuiltPolicy[]) {
    for (const { name, loaded } of builtIn) this.#add(name, loaded);
  }

  /** Names that service addresses may be bound to. */
  get names(): string[] {
    return [...this.#entries.keys()];
  }

  /** Makes a name known; until a module is loaded for it the engine chooses by itself. */
  claim(name: string): void {
    if (!this.#entries.has(name)) this.#add(name, undefined);
  }

  /** Throws tables-invalid when nobody claimed the name. */
  slot(name: string): number {
    const entry = this.#entries.get(name);
    if (entry !== undefined) return entry.slot;
    throw new SapwoodError("tables-invalid", `A policy must be one of ${this.names.join(", ")}; found "${name}".`);
  }

  /** What a worker has to start with. */
  modules(): PolicyModule[] {
    return [...this.#entries.values()].flatMap(({ slot, name, current }) =>
      current === undefined ? [] : [{ slot, name, module: current.module }],
    );
  }

  #add(name: string, builtIn: LoadedModule | undefined): Entry {
    const slot = this.#entries.size;
    if (slot === POLICY_SLOT_MAX) {
      throw new SapwoodError(
        "capacity-exceeded",
        `expected at most ${POLICY_SLOT_MAX} policies, found one more: ${name}`,
      );
    }
    const entry = { name, slot, builtIn, current: builtIn };
    this.#entries.set(name, entry);
    return entry;
  }
}
