// Round robin in numbers. With more connections: test/long/balancing.test.ts.
import { describeBalancing } from "../support/balancing.ts";

describeBalancing(600);
