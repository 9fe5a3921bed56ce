// DSCP and ECN through a tunnel over IPv4. Over IPv6: test/long/dscp-ecn.test.ts.
import { describeTrafficClass } from "../support/traffic-class.ts";

describeTrafficClass("v4");
