// Every offload is a matter of speed alone: whatever the kernel takes over or refuses, the same bytes arrive. Each
// offload by itself switched off in the configuration, and more underlays: test/long/offloads.test.ts.
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Lab } from "../../src/lab/lab.ts";
import type { CallResult, SendResult } from "../../src/lab/workload-protocol.ts";
import type { CountersReport } from "../../src/model/reports.ts";
import { OFFLOAD_SWITCHES, type SwitchableOffload } from "../../src/sys/offload.ts";
import { describeLab, openLab, useLab } from "../support/lab.ts";
import {
  CALLED,
  describeNarrowUnderlay,
  describeOrdinaryUnderlay,
  expectBursts,
  HTTP_ROUNDS,
  itCarriesEverything,
  NODES,
  offloadsOf,
  switchDevices,
  TRANSFER_BYTES,
  testSwitchedOff,
} from "../support/offloads.ts";
import { describeWith } from "../support/programs.ts";
import { TWO_NODES } from "../support/topologies.ts";

// One lab: its proxies are started anew with other settings, which is what differs.
describeLab("between two nodes", () => {
  const lab = useLab(() => openLab(TWO_NODES));

  describe("with every offload", () => {
    itCarriesEverything(lab);

    test("they are in force and in use", async () => {
      for (const node of NODES) {
        const offloads = await offloadsOf(lab(), node);
        expect(offloads.filter(({ on }) => !on)).toEqual([]);
      }
      const { counters } = await lab().report<CountersReport>("node-a", "counters");
      expect(counters.tunReadFrames).toBeLessThan((counters.egressPackets ?? 0) / 2);
      expect(counters.udpSentMessages).toBeLessThan((counters.egressPackets ?? 0) / 2);
      expect(counters.gsoRefused).toBe(0);
    });
  });

  describeWith(
    "over devices of the underlay that have no offloads",
    () => {
      beforeAll(() => switchDevices(lab(), "off"));
      afterAll(() => switchDevices(lab(), "on"));
      itCarriesEverything(lab);
    },
    "ethtool",
  );

  describe("switched while the proxy runs", () => {
    const reason = "switched off by `sapwood offload`";

    test.each(OFFLOAD_SWITCHES)("%s off and on again", async (name) => {
      await switchOffload(lab(), name, "off");
      for (const node of NODES) {
        expect((await offloadsOf(lab(), node)).filter(({ on }) => !on)).toEqual([{ name, on: false, reason }]);
      }
      for (const [, address] of CALLED) {
        const job = { kind: "together", calls: [{ protocol: "http", address }], rounds: HTTP_ROUNDS } as const;
        const [http] = await lab().ask<CallResult[]>("a1", job);
        expect(http?.failures).toEqual([]);
        const sent = await lab().ask<SendResult>("a1", { kind: "send", address, sizeBytes: TRANSFER_BYTES });
        expect(sent.received).toBe(sent.sent);
        await expectBursts(lab(), address, TWO_NODES.workloadMtu);
      }
      await switchOffload(lab(), name, "on");
      for (const node of NODES) expect((await offloadsOf(lab(), node)).filter(({ on }) => !on)).toEqual([]);
    });

    test("back and forth in the middle of transfers, whose bytes arrive", async () => {
      let isSwitched = false;
      const transfers = CALLED.map(async ([, address]) => {
        do {
          const sent = await lab().ask<SendResult>("a1", { kind: "send", address, sizeBytes: 8 * TRANSFER_BYTES });
          expect(sent.received).toBe(sent.sent);
        } while (!isSwitched);
      });
      for (const state of ["off", "on"] as const) {
        for (const name of OFFLOAD_SWITCHES) await switchOffload(lab(), name, state);
      }
      isSwitched = true;
      await Promise.all(transfers);
    });

    describe("all off", () => {
      beforeAll(async () => {
        for (const name of OFFLOAD_SWITCHES) await switchOffload(lab(), name, "off");
      });
      itCarriesEverything(lab);
    });
  });

  testSwitchedOff(lab, OFFLOAD_SWITCHES);
});

describeOrdinaryUnderlay({ underlayMtu: 1280, underlayFamily: "v6", tunMtu: 1280 }); // IPv6's least, no room for a tunnel
describeNarrowUnderlay("v4");

async function switchOffload(lab: Lab, name: SwitchableOffload, state: "on" | "off"): Promise<void> {
  for (const node of NODES) {
    const { code, stderr } = await lab.sapwood(node, ["offload", name, state]);
    expect(code, stderr).toBe(0);
  }
}
