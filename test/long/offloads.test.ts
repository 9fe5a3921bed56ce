// Each offload switched off by itself in the configuration: the same bytes arrive, and it is not used.
import { OFFLOAD_SWITCHES } from "../../src/sys/offload.ts";
import { describeLab, openLab, useLab } from "../support/lab.ts";
import { TWO_NODES, testSwitchedOff } from "../support/offloads.ts";

describeLab("between two nodes", () => {
  const lab = useLab(() => openLab(TWO_NODES));
  for (const name of OFFLOAD_SWITCHES) testSwitchedOff(lab, [name]);
});
