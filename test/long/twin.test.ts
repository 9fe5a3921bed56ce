// The engine against its slow twin on two million random and mutated packets. SAPWOOD_TEST_SEED=n repeats one seed.
import { test } from "vitest";
import { seeds } from "../support/random.ts";
import { compareWithTwin } from "../support/twin-run.ts";

test.each(seeds(3, 4))("engine and twin agree on 1,024,000 packets of seed %i", (seed) =>
  compareWithTwin(seed, 1_024_000),
);
