// Upgrades under load, and two of the ways in which they fail. All ways: test/long/upgrade.test.ts.
import { describeUpgrades } from "../support/upgrades.ts";

describeUpgrades(["dies when the workers are held", "passes no packet on"]);
