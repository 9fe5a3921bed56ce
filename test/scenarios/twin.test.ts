// The engine against its slow twin on random and mutated packets. SAPWOOD_TEST_SEED=n repeats one seed; more packets of
// more seeds are in test/long.
import { testAgainstTwin } from "../support/twin-run.ts";

testAgainstTwin(2, 2, 256_000);
