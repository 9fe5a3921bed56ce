// `sapwood lab` ends at any moment and leaves nothing. Two of these moments: test/e2e/five-requests.test.ts.
import { test } from "vitest";
import { expectNothingLeft } from "../support/ended-lab.ts";
import { describeLab } from "../support/lab.ts";

describeLab("what a lab leaves behind", () => {
  // Moments spread over all of it: making namespaces, starting servers and proxies, playing requests.
  test.for(
    (["SIGINT", "SIGKILL"] as const).flatMap((signal) => [1, 2, 3, 5, 8, 11].map((count) => [signal, count] as const)),
  )("%s at its process number %i leaves no process and no change of the host's network", ([signal, count]) =>
    expectNothingLeft(signal, count),
  );
});
