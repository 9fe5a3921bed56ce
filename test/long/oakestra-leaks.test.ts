// Deploys leave nothing behind, and each address of a node's subnet can be had. A share of it:
// test/e2e/oakestra-leaks.test.ts.
import { describeLeaks } from "../support/oakestra/leaks.ts";

describeLeaks("full");
