// The host places keys where the engine looks for them: both hashes agree bit for bit.
import { expect, test } from "vitest";
import { createSharedMemory } from "../../src/memory/shared-memory.ts";
import { addressHash } from "../../src/memory/hash.ts";
import { Region } from "../../assembly/shared/layout.ts";
import { bytes } from "../support/source-files.ts";
import { Random } from "../support/random.ts";

interface Probe {
  attach(worker: number, memoryBase: bigint): void;
  hashAddress(keyAt: number): number;
}
