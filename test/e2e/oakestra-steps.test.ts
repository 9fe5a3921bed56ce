// Deploys and undeploys of a worker node that fail at some of their steps, in another way at each step and other steps
// on each node. Each step in each way, and 300 times: test/long/oakestra-steps.test.ts.
import { describeCluster } from "../support/oakestra/describe-cluster.ts";
import { testFailingSteps } from "../support/oakestra/failing-steps.ts";
import { FAULTS } from "../support/oakestra/faulty-tools.ts";

const COUNT = 20;
/** Shares no factor with the number of ways, so that all ways get their turn. */
const STEPS_APART = 8;

describeCluster("the steps of deploys on worker nodes", () => {
  testFailingSteps(
    "20 deploys and undeploys, failing at every eighth step, leave no address, device, rule, namespace or interest [defect 42]",
    COUNT,
    (step, machine) =>
      (step + machine) % STEPS_APART === 0 ? FAULTS.slice((step + machine) % FAULTS.length).slice(0, 1) : [],
  );
});
