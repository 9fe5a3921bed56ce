// Upgrades under load that fail in each of the ways that there are. Two of them: test/e2e/upgrade.test.ts.
import { describeUpgrades, FAILURE_NAMES } from "../support/upgrades.ts";

describeUpgrades(FAILURE_NAMES);
