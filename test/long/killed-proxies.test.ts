// Proxies end by SIGKILL and start again, thirty times at moments that a seed chooses, while connections to balanced
// addresses are busy or idle. None is lost, and each stays with its instance. SAPWOOD_TEST_SEED=n repeats one seed;
// SAPWOOD_KILL_ROUNDS=n makes three kills a round. A share of it: test/e2e/survival.test.ts.
import { describeKills } from "../support/killed-proxies.ts";

describeKills("proxies that are killed under load, again and again", Number(process.env.SAPWOOD_KILL_ROUNDS ?? 10));
