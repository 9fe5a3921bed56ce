// Upgrades under load, and two of the ways in which they fail. The others: test/long/upgrade.test.ts.
import { DAILY_FAILURES, describeUpgrades } from "../support/upgrades.ts";

describeUpgrades(DAILY_FAILURES);
