// A worker node from its registration on, which fails at each step in all three ways. In one of them:
// test/e2e/oakestra-registration.test.ts.
import { FAULTS } from "../support/oakestra/faulty-tools.ts";
import { describeRegistration } from "../support/oakestra/registration.ts";

describeRegistration(FAULTS);
