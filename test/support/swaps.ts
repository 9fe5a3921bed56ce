// Policies and engines are put in force one after the other while packets flow, and nobody notices; how many, the
// caller chooses.
import { afterAll, beforeAll, expect, test } from "vitest";
import type { SwapResult } from "../../bench/swap/protocol.ts";
import { swapModules, Traffic, type TrafficOutcome } from "../../bench/swap/traffic.ts";
import type { Lab } from "../../src/lab/lab.ts";
import { DEMO } from "../../src/lab/topology.ts";
import type { EngineReport, PolicyReport } from "../../src/model/module-reports.ts";
import type { StatusReport } from "../../src/model/reports.ts";
import { kernelDropsMost } from "./kernel-drops.ts";
import { describeLab, openLab } from "./lab.ts";

const NODE = "node-a";
/** A load that leaves the machine time for what is tried of each module. */
const LIGHT = { connections: 100, datagramsPerMs: 4, bulkPauseMs: 50 };

/** `count` policies, and as many engines. */
export function describeSwaps(count: number): void {
  describeLab(`${count} policy swaps and ${count} engine swaps under load, with two workers`, () => {
    let lab: Lab;
    let swaps: SwapResult[];
    let outcome: TrafficOutcome;
    let dropsMost: number;

    beforeAll(async () => {
      lab = await openLab({ ...DEMO, settings: { tun: { queues: 2 } } });
      const traffic = await Traffic.start(lab, LIGHT);
      swaps = await swapModules(lab, count);
      outcome = await traffic.stop();
      dropsMost = await kernelDropsMost(lab);
    });

    afterAll(() => lab?.close());

    test("all of them are put in force", async () => {
      expect(swaps.filter(({ what }) => what === "policy")).toHaveLength(count);
      expect(swaps.filter(({ what }) => what === "engine")).toHaveLength(count);
      const { module } = await lab.report<EngineReport>(NODE, "engine");
      expect(module.source).toMatch(new RegExp(`engine ${count - 1}$`));
      const policies = await lab.report<readonly PolicyReport[]>(NODE, "policies");
      expect(policies.find(({ name }) => name === "round-robin")).toMatchObject({
        state: "in force",
        module: { source: expect.stringMatching(new RegExp(`policy ${count - 1}$`)) },
      });
    });

    test("every packet of the UDP stream arrives, in order, at one instance", () => {
      const { stream, received } = outcome;
      expect(stream.packets).toBeGreaterThan(10_000);
      expect(received.reduce((sum, { misplaced }) => sum + misplaced, 0)).toBe(0);
      const [most = 0, ...others] = received.map(({ packets }) => packets).sort((one, other) => other - one);
      expect(others).toEqual([0, 0]);
      expect(most).toBeLessThanOrEqual(stream.packets);
      expect(most).toBeGreaterThanOrEqual(stream.packets - dropsMost);
    });

    test("the TCP streams arrive as they were sent", () => {
      expect(outcome.bulk).toHaveLength(2);
      for (const { sentBytes, sent, received } of outcome.bulk) {
        expect(sentBytes).toBeGreaterThan(0);
        expect(received).toBe(sent);
      }
    });

    test("every kept connection stays, and at its instance", () => {
      expect(outcome.connections).toHaveLength(LIGHT.connections);
      expect(outcome.connections.flatMap(({ failures }) => failures)).toEqual([]);
      expect(outcome.connections.filter(({ instances }) => instances.length !== 1)).toEqual([]);
    });

    test("no worker was started again", async () => {
      const { workers } = await lab.report<StatusReport>(NODE, "status");
      expect(workers.map(({ restarts }) => restarts)).toEqual([0, 0]);
    });
  });
}
