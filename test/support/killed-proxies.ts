// Kills the proxies of a lab and starts them again, while clients keep connections over them. How often, and with which
// seed, is the caller's choice.
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import type { Lab } from "../../src/lab/lab.ts";
import type { SandboxProgram } from "../../src/lab/sandbox.ts";
import type { Topology } from "../../src/lab/topology.ts";
import { Random, testSeed } from "./random.ts";

const CLIENT = fileURLToPath(new URL("../e2e/in-workload/kept-exchanges.mjs", import.meta.url));
/** Round robin over three instances: a flow that is forgotten goes to another one two times of three. Closest, and one. */
const ADDRESSES = ["10.30.0.2", "fdff:2000::1", "10.30.0.1", "fdff:1000::1", "10.30.0.3"];
const BUSY = 2;
const IDLE = 3;
/** Whose proxies are killed at once: the client's, a server's, those of both. */
const VICTIMS = [["node-a"], ["node-b"], ["node-a", "node-b"]];
const KILLED_AFTER_MOST_MS = 400;

/** What the client prints of the time since its last report. */
interface KeptExchanges {
  readonly answers: number;
  readonly broken: readonly string[];
  readonly moved: number;
  readonly longestSilenceMs: number;
}

/** In a lab of the demo network: `rounds` times each kind of victims, which start again with `settings`. */
export function testKills(lab: () => Lab, rounds: number, settings: Topology["settings"] = {}): void {
  test(`${rounds * VICTIMS.length} times, and no connection is lost or led elsewhere`, {
    timeout: 60_000 + rounds * 60_000,
  }, async () => {
    const random = new Random(testSeed(14));
    const argv = [process.execPath, CLIENT, String(BUSY), String(IDLE), ...ADDRESSES];
    const client = lab().sandbox.start(argv, "a1");
    await client.until("the client to ask", ({ stdout }) => stdout.includes("asking\n"));
    await report(client);
    const silencesMs: number[] = [];
    for (let round = 0; round < rounds; round++) {
      for (const victims of VICTIMS) {
        await pause(random.below(KILLED_AFTER_MOST_MS));
        await Promise.all(victims.map((node) => killAndRestart(lab(), node, settings)));
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

async function killAndRestart(lab: Lab, node: string, settings: Topology["settings"]): Promise<void> {
  const proxy = lab.proxy(node);
  proxy.kill("SIGKILL");
  await proxy.ended;
  const next = await lab.startProxy(node, undefined, settings);
  expect(next.stderr + next.stdout).toContain("took over the flows");
}

/** What came of all since the last time. */
export async function report(client: SandboxProgram): Promise<KeptExchanges> {
  const before = client.stdout.split("\n").length;
  client.write("\n");
  await client.until("the client's report", ({ stdout }) => stdout.split("\n").length > before);
  return JSON.parse(client.stdout.trim().split("\n").at(-1) ?? "") as KeptExchanges;
}
