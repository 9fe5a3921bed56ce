// A WebAssembly module with its origin, as `sapwood policy show` and `sapwood engine show` tell it.

import { createHash } from "node:crypto";

export const BUILT_IN = "built-in";

export interface LoadedModule {
  readonly module: WebAssembly.Module;
  readonly sha256: string;
  readonly sizeBytes: number;
  /** BUILT_IN, or where it was loaded from. */
  readonly source: string;
  readonly loadedAt: Date;
}

export function loadedModule(
  module: WebAssembly.Module,
  bytes: Uint8Array,
  source: string,
  loadedAt: Date,
): LoadedModule {
  return { module, sha256: sha256Of(bytes), sizeBytes: bytes.byteLength, source, loadedAt };
}

export function sha256Of(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}
