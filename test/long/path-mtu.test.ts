// A path whose middle takes less than its ends, under a tunnel over IPv4. Over IPv6: test/e2e/path-mtu.test.ts.
import { describeNarrowPath } from "../support/narrow-path.ts";

describeNarrowPath("v4");
