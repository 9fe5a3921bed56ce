// Round robin in numbers, over many connections. Over fewer: test/e2e/balancing.test.ts.
import { describeBalancing } from "../support/balancing.ts";

describeBalancing(3000);
