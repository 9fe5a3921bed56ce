// A path whose middle takes less than its ends, under a tunnel over IPv6. Over IPv4: test/long/path-mtu.test.ts.
import { describeNarrowPath } from "../support/narrow-path.ts";

describeNarrowPath("v6");
