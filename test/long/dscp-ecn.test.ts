// DSCP and ECN through a tunnel over IPv6. Over IPv4: test/e2e/dscp-ecn.test.ts.
import { describeTrafficClass } from "../support/traffic-class.ts";

describeTrafficClass("v6");
