// Upgrades under load that fail in the ways that test/e2e/upgrade.test.ts does not try, or with SAPWOOD_TEST_SIZE=full in
// all.
import { sized } from "../support/size.ts";
import { DAILY_FAILURES, describeUpgrades, FAILURE_NAMES } from "../support/upgrades.ts";

const others = FAILURE_NAMES.filter((name) => !DAILY_FAILURES.includes(name));
describeUpgrades(sized(others, FAILURE_NAMES));
