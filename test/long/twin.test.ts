// The engine against its slow twin on a million random and mutated packets. SAPWOOD_TEST_SEED=n repeats one seed.
import { testAgainstTwin } from "../support/twin-run.ts";

testAgainstTwin(6, 7, 512_000);
