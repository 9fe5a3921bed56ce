// No byte that leaves comes from anywhere but the packet in hand and its new headers, whatever the packets are. More of them
// are in test/long, and in `npm run fuzz -- --target pair`. SAPWOOD_TEST_SEED=n repeats one seed.
import { test } from "vitest";
import { expectNoForeignBytes } from "../support/canary-run.ts";
import { seeds } from "../support/random.ts";

test.each(seeds(1, 2))("two engines with other bytes in their free memory send the same, seed %i", (seed) =>
  expectNoForeignBytes(seed, 40_000),
);
