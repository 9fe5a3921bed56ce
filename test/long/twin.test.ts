// The engine against its slow twin on two million random and mutated packets. SAPWOOD_TEST_SEED=n repeats one seed.
import { testAgainstTwin } from "../support/twin-run.ts";

testAgainstTwin(3, 4, 1_024_000);
