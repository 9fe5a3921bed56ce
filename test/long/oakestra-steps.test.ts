// Deploys and undeploys of a worker node that fail at each of their steps, in one of three ways, or with
// SAPWOOD_TEST_SIZE=full in all three. A share of it: test/e2e/oakestra-steps.test.ts.
import { describeCluster } from "../support/oakestra/describe-cluster.ts";
import { testFailingSteps } from "../support/oakestra/failing-steps.ts";
import { FAULTS, type Fault } from "../support/oakestra/faulty-tools.ts";
import { sized } from "../support/size.ts";

const COUNT = sized(100, 300);

describeCluster("the steps of deploys on worker nodes", () => {
  testFailingSteps(
    `${COUNT} deploys and undeploys, failing at every single step before it, after it or from it on, leave nothing [defect 42]`,
    COUNT,
    (step, machine) => {
      const way = (step + machine) % FAULTS.length;
      return sized<readonly Fault[]>(FAULTS.slice(way, way + 1), FAULTS);
    },
  );
});
