// Kills the proxies of a lab and starts them again, while clients keep connections over them. How often, and with which
// seed, is the caller's choice.
import { setTimeout as pause } from "node:timers/promises";
import { expect, test } from "vitest";
import type { Lab } from "../../src/lab/lab.ts";
import type { Topology } from "../../src/lab/topology.ts";
import { killAndRestart, report, startExchanges } from "./kept-exchanges.ts";
import { Random, testSeed } from "./random.ts";

/** Whose proxies are killed at once: the client's, a server's, those of both. */
const VICTIMS = [["node-a"], ["node-b"], ["node-a", "node-b"]];
const KILLED_AFTER_MOST_MS = 400;

/** In a lab whose clients find other servers: `rounds` times each kind of victims, which start again with `settings`. */
export function testKills(lab: () => Lab, rounds: number, settings: Topology["settings"] = {}): void {
  test(`${rounds * VICTIMS.length} times, and no connection is lost or led elsewhere`, {
    timeout: 300_000 + rounds * 60_000,
  }, async () => {
    const random = new Random(testSeed(14));
    const client = await startExchanges(lab());
    const silencesMs: number[] = [];
    for (let round = 0; round < rounds; round++) {
      for (const victims of VICTIMS) {
        await pause(random.below(KILLED_AFTER_MOST_MS));
        const restarted = await Promise.all(victims.map((node) => killAndRestart(lab(), node, settings)));
        for (const { stderr } of restarted) expect(stderr).toContain("took over the flows");
        const { answers, broken, moved, longestSilenceMs } = await report(client);
        expect({ broken, moved }, `${victims.join(" and ")}, round ${round}`).toEqual({ broken: [], moved: 0 });
        expect(answers).toBeGreaterThan(0);
        silencesMs.push(longestSilenceMs);
      }
    }
    await client.stop();
    process.stdout.write(`longest silence of each kill, from question to answer: ${silencesMs.join(", ")} ms\n`);
  });
}
