// A WebAssembly module with its origin, and the place where modules of one purpose follow each other.

import { createHash } from "node:crypto";

export const BUILT_IN = "built-in";

export interface LoadedModule {
  readonly module: WebAssembly.Module;
  readonly bytes: Uint8Array;
  readonly sha256: string;
  /** BUILT_IN, or where it was loaded from. */
  readonly source: string;
  readonly loadedAt: Date;
  /** Loaded by a command: it is there again after a restart. */
  readonly isRemembered: boolean;
}

/** Of an order to load a module. */
export interface LoadOptions {
  readonly source: string;
  /** Loaded by a command: it is there again after a restart. */
  readonly isRemembered: boolean;
  /** Accepts what a trial finds fault with, as far as it harms nothing else. */
  readonly isForced?: boolean | undefined;
}

/** A policy that comes with the package. */
export interface BuiltPolicy {
  readonly name: string;
  readonly loaded: LoadedModule;
}

export function sha256Of(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

/** The module in force, and the one that a rollback leads to. */
export class ModulePlace {
  readonly builtIn: LoadedModule | undefined;
  #current: LoadedModule | undefined;
  #previous: LoadedModule | undefined;

  constructor(builtIn: LoadedModule | undefined) {
    this.builtIn = builtIn;
    this.#current = builtIn;
  }

  /** Undefined: there is none. */
  get current(): LoadedModule | undefined {
    return this.#current;
  }

  /** What drop() leads to. */
  get previous(): LoadedModule | undefined {
    const previous = this.#previous ?? this.builtIn;
    return previous === this.#current ? undefined : previous;
  }

  put(loaded: LoadedModule): void {
    if (this.#current?.sha256 !== loaded.sha256) this.#previous = this.#current; // the same again is no change
    this.#current = loaded;
  }

  /** Takes away all that was loaded. */
  reset(): void {
    this.#current = this.builtIn;
    this.#previous = undefined;
  }

  /** Takes the current one away; the one before, or the built-in one, is in force again. */
  drop(): void {
    this.#current = this.previous ?? this.builtIn;
    this.#previous = undefined;
  }
}
