// A worker node from its registration on, which fails at each step when that is done. In all three ways:
// test/long/oakestra-registration.test.ts.
import { describeRegistration } from "../support/oakestra/registration.ts";

describeRegistration(["after"]);
