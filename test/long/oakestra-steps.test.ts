// Deploys and undeploys of a worker node that fail at each of their steps, in each of three ways. A share of it:
// test/e2e/oakestra-steps.test.ts.
import { describeCluster } from "../support/oakestra/describe-cluster.ts";
import { testFailingSteps } from "../support/oakestra/failing-steps.ts";
import { FAULTS } from "../support/oakestra/faulty-tools.ts";

const COUNT = 300;

describeCluster("the steps of deploys on worker nodes, each in three ways", () => {
  testFailingSteps(
    "300 deploys and undeploys, failing at every single step before it, after it and from it on, leave nothing [defect 42]",
    COUNT,
    () => FAULTS,
  );
});
