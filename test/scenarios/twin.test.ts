// The engine against its slow twin on random and mutated packets. SAPWOOD_TEST_SEED=n repeats one seed; more packets of
// more seeds are in test/long.
import { test } from "vitest";
import { seeds } from "../support/random.ts";
import { compareWithTwin } from "../support/twin-run.ts";

test.each(seeds(2, 2))("engine and twin agree on 256,000 packets of seed %i", (seed) => compareWithTwin(seed, 256_000));
