// Deploys and undeploys of a worker node that fail at each of their steps, in another way at each step and on each node.
// All three ways at each step: test/long/oakestra-steps.test.ts.
import { describeCluster } from "../support/oakestra/describe-cluster.ts";
import { testFailingSteps } from "../support/oakestra/failing-steps.ts";
import { FAULTS } from "../support/oakestra/faulty-tools.ts";

const COUNT = 200;

describeCluster("the steps of deploys on worker nodes", () => {
  testFailingSteps(
    "200 deploys and undeploys, also failing at every single step in turn, leave no address, device, rule, namespace or interest [defect 42]",
    COUNT,
    (step, machine) => FAULTS.slice((step + machine) % FAULTS.length).slice(0, 1),
  );
});
