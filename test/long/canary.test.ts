// No byte that leaves comes from anywhere but the packet in hand and its new headers, on half a million packets;
// `npm run fuzz -- --target pair` tries as many as one likes. SAPWOOD_TEST_SEED=n repeats one seed.
import { test } from "vitest";
import { expectNoForeignBytes } from "../support/canary-run.ts";
import { seeds } from "../support/random.ts";

test.each(seeds(3, 4))("two engines with other bytes in their free memory send the same, seed %i", (seed) =>
  expectNoForeignBytes(seed, 256_000),
);
