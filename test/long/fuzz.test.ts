// Ten million mutants through the engine and its judges; `npm run fuzz` tries as many as one likes. SAPWOOD_TEST_SEED=n
// repeats one seed.
import { test } from "vitest";
import { expectCleanRound } from "../support/fuzz/fuzz-run.ts";
import { seeds } from "../support/random.ts";

test.each(seeds(2, 6))("the engine stands two million mutants, seed %i", (seed) => expectCleanRound(seed, 2_000_000));
