// Every offload is a matter of speed alone: whatever the kernel takes over or refuses, the same bytes arrive. Each
// offload by itself switched off, and more underlays: test/long/offloads.test.ts.
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { eventually } from "../../src/lab/lab.ts";
import type { SendResult } from "../../src/lab/workload-protocol.ts";
import type { CountersReport } from "../../src/model/reports.ts";
import { OFFLOAD_SWITCHES } from "../../src/sys/offload.ts";
import { describeLab, openLab, useLab } from "../support/lab.ts";
import {
  CALLED,
  describeNarrowUnderlay,
  describeOrdinaryUnderlay,
  itCarriesEverything,
  NODES,
  offloadsOf,
  SWITCHED_OFF,
  switchDevices,
  switchOffload,
  TRANSFER_BYTES,
  testSwitchedOff,
} from "../support/offloads.ts";
import { describeWith } from "../support/programs.ts";
import { TWO_NODES } from "../support/topologies.ts";

/** Sent at least before each switch of an offload. */
const PACKETS_BETWEEN = 1000;

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
    test("back and forth in the middle of transfers, whose bytes arrive", async () => {
      let isSwitched = false;
      const transfers = CALLED.map(async ([, address]) => {
        do {
          const sent = await lab().ask<SendResult>("a1", { kind: "send", address, sizeBytes: 4 * TRANSFER_BYTES });
          expect(sent.received).toBe(sent.sent);
        } while (!isSwitched);
      });
      for (const state of ["off", "on"] as const) {
        for (const name of OFFLOAD_SWITCHES) {
          const before = await sentPackets();
          await eventually("packets to flow", async () => (await sentPackets()) > before + PACKETS_BETWEEN);
          await switchOffload(lab(), name, state);
        }
      }
      for (const node of NODES) expect((await offloadsOf(lab(), node)).filter(({ on }) => !on)).toEqual([]);
      isSwitched = true;
      await Promise.all(transfers);
    });

    async function sentPackets(): Promise<number> {
      const { counters } = await lab().report<CountersReport>("node-a", "counters");
      return counters.egressPackets ?? 0;
    }

    describe("all off", () => {
      beforeAll(async () => {
        for (const name of OFFLOAD_SWITCHES) {
          for (const node of NODES) {
            const { code, stderr } = await lab().sapwood(node, ["offload", name, "off"]);
            expect(code, stderr).toBe(0);
          }
        }
      });
      itCarriesEverything(lab);

      test("and they say so", async () => {
        const off = OFFLOAD_SWITCHES.map((name) => ({ name, on: false, reason: SWITCHED_OFF }));
        for (const node of NODES) expect((await offloadsOf(lab(), node)).filter(({ on }) => !on)).toEqual(off);
      });
    });
  });

  testSwitchedOff(lab, OFFLOAD_SWITCHES);
});

describeOrdinaryUnderlay({ underlayMtu: 1280, underlayFamily: "v6", tunMtu: 1280 }); // IPv6's least, no room for a tunnel
describeNarrowUnderlay("v4");
