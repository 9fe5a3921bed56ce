// Proxies end by SIGKILL and start again, thirty times at moments that a seed chooses, while connections to balanced
// addresses are busy or idle. None is lost, and each stays with its instance. SAPWOOD_TEST_SEED=n repeats one seed. A
// share of it: test/e2e/survival.test.ts.
import { DEMO } from "../../src/lab/topology.ts";
import { testKills } from "../support/killed-proxies.ts";
import { describeLab, openLab, useLab } from "../support/lab.ts";

describeLab("proxies that are killed under load, again and again", () => {
  testKills(
    useLab(() => openLab(DEMO)),
    10,
  );
});
