// Each offload switched off by itself, while proxies run and in the configuration, proxies on devices without offloads, and
// further underlays: the same bytes arrive. The others: test/e2e/offloads.test.ts.
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { OFFLOAD_SWITCHES } from "../../src/sys/offload.ts";
import { describeLab, openLab, useLab, useProxies } from "../support/lab.ts";
import {
  describeNarrowUnderlay,
  describeOrdinaryUnderlay,
  itCarriesEverything,
  NODES,
  offloadsOf,
  SWITCHED_OFF,
  switchDevices,
  switchOffload,
  testSwitchedOff,
} from "../support/offloads.ts";
import { describeWith } from "../support/programs.ts";
import { TWO_NODES } from "../support/topologies.ts";

describeLab("between two nodes", () => {
  const lab = useLab(() => openLab(TWO_NODES));

  describe.each(OFFLOAD_SWITCHES)("%s switched off while the proxy runs", (name) => {
    beforeAll(() => switchOffload(lab(), name, "off"));
    afterAll(() => switchOffload(lab(), name, "on"));
    itCarriesEverything(lab);

    test("is off, and says so", async () => {
      for (const node of NODES) {
        const off = (await offloadsOf(lab(), node)).filter(({ on }) => !on);
        expect(off).toEqual([{ name, on: false, reason: SWITCHED_OFF }]);
      }
    });
  });

  for (const name of OFFLOAD_SWITCHES) testSwitchedOff(lab, [name]);

  // The last: the devices stay as they are made here.
  describeWith(
    "whose proxies start on devices that have no offloads",
    () => {
      useProxies(lab, {}, () => switchDevices(lab(), "off"));
      itCarriesEverything(lab);
    },
    "ethtool",
  );
});

describeOrdinaryUnderlay({ underlayMtu: 1400, underlayFamily: "v4", tunMtu: 1350 });
describeOrdinaryUnderlay({ underlayMtu: 9000, underlayFamily: "v4", tunMtu: 8950 });
describeNarrowUnderlay("v6");
