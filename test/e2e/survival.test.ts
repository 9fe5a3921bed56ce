// Proxies are killed under load and start again: no connection that was there before is lost, busy or idle. One lab; the
// tests are the steps of one story.
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Lab } from "../../src/lab/lab.ts";
import type { SandboxProgram } from "../../src/lab/sandbox.ts";
import { DEMO } from "../../src/lab/topology.ts";
import type { ConnectionsResult } from "../../src/lab/workload-protocol.ts";
import { describeLab, openLab } from "../support/lab.ts";
import { Random, testSeed } from "../support/random.ts";

const CLIENT = "node-a";
const SERVER = "node-b";
/** Round robin and closest, one instance, in both families. */
const ADDRESSES = ["10.30.0.2", "10.30.0.1", "10.30.0.3", "fdff:2000::1", "fdff:1000::1"];

interface Steady {
  readonly asked: number;
  readonly lost: readonly string[];
  readonly longestSilenceMs: number;
}

describeLab("a proxy that is killed under load", () => {
  const random = new Random(testSeed(14));
  let lab: Lab;
  let client: SandboxProgram;

  beforeAll(async () => {
    lab = await openLab(DEMO);
    const file = new URL("./in-workload/steady.mjs", import.meta.url).pathname;
    client = lab.sandbox.start([process.execPath, file, ...ADDRESSES], "a1");
    await client.until("the connections", ({ stdout }) => stdout.includes("ready\n"));
  });
  afterAll(() => lab?.close());

  test.for([
    ["the client's", [CLIENT]],
    ["the server's", [SERVER]],
    ["both", [CLIENT, SERVER]],
    ["the client's, again", [CLIENT]],
  ] as const)("%s: nothing is lost", async ([, nodes]) => {
    const { asked } = await report();
    await new Promise((resolve) => setTimeout(resolve, random.below(200)));
    for (const node of nodes) lab.proxy(node).kill("SIGKILL");
    for (const node of nodes) await lab.proxy(node).ended;
    await Promise.all(nodes.map((node) => lab.startProxy(node)));
    const after = await report();
    expect(after.lost).toEqual([]);
    expect(after.asked).toBeGreaterThan(asked);
    const later = await report();
    expect(later.lost).toEqual([]);
    console.log(
      `killed ${nodes.join(", ")}: longest silence ${Math.max(after.longestSilenceMs, later.longestSilenceMs)} ms`,
    );
  });

  test("new connections open as before", async () => {
    const job = { kind: "connections", address: "10.30.0.2", count: 30, concurrency: 3 } as const;
    expect((await lab.ask<ConnectionsResult>("a1", job)).failures).toEqual([]);
  });

  let reports = 0;
  async function report(): Promise<Steady> {
    reports += 1;
    client.write("\n");
    const lines = (text: string): string[] => text.split("\n").filter((line) => line.startsWith("{"));
    await client.until("a report", ({ stdout }) => lines(stdout).length >= reports);
    return JSON.parse(lines(client.stdout)[reports - 1] ?? "");
  }
});
