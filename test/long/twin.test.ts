// The engine against its slow twin on random and mutated packets of other seeds than in test/scenarios: a quarter of a
// million, or with SAPWOOD_TEST_SIZE=full a million. SAPWOOD_TEST_SEED=n repeats one seed.
import { sized } from "../support/size.ts";
import { testAgainstTwin } from "../support/twin-run.ts";

testAgainstTwin(6, sized(6, 7), sized(256_000, 512_000));
