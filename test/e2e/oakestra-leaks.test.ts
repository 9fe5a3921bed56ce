// Deploys leave nothing behind. On a node whose subnet is full, too: test/long/oakestra-leaks.test.ts.
import { describeLeaks } from "../support/oakestra/leaks.ts";

describeLeaks("few");
