// Round robin in numbers, over real connections: an exact rotation, and flows that never change their instance. How many,
// the caller chooses.
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Lab } from "../../src/lab/lab.ts";
import type { CallPlan, CallResult, ConnectionsResult } from "../../src/lab/workload-protocol.ts";
import { describeLab, openLab } from "./lab.ts";
import { ONE_SERVER } from "./topologies.ts";

const ROUND_ROBIN = { IPv4: "10.30.0.2", IPv6: "fdff:2000::1" } as const;
const FAMILIES = Object.entries(ROUND_ROBIN);
const INSTANCES = ["B 1", "B 2", "B 3"];

/** `connections`, and a fifteenth of them UDP clients. */
export function describeBalancing(connections: number): void {
  describeLab("round robin over three instances", () => story(connections));
}

function story(connections: number): void {
  const share = connections / INSTANCES.length;
  const clients = Math.round(connections / 15);
  let lab: Lab;
  beforeAll(async () => {
    lab = await openLab(ONE_SERVER);
  });
  afterAll(() => lab?.close());

  test.for(FAMILIES)(`${connections} connections over %s are ${share} for each instance`, async ([, address]) => {
    const job = { kind: "connections", address, count: connections, concurrency: 16 } as const;
    const { byInstance, failures } = await lab.ask<ConnectionsResult>("a1", job);
    expect(failures).toEqual([]);
    expect(Object.keys(byInstance).sort()).toEqual(INSTANCES);
    for (const [instance, count] of Object.entries(byInstance)) {
      expect(Math.abs(count - share), `${instance}: ${count}`).toBeLessThanOrEqual(1);
    }
  });

  test.for(FAMILIES)("a kept connection over %s never changes its instance", async ([, address]) => {
    const results = await callTogether({ protocol: "http", address }, 30, 40);
    expectFaithful(results, address, 40);
  });

  test.for(FAMILIES)(
    `${clients} UDP clients over %s with 50 datagrams each never change theirs`,
    async ([, address]) => {
      const results = await callTogether({ protocol: "udp", address }, clients, 50);
      expectFaithful(results, address, 50);
    },
  );

  async function callTogether(plan: CallPlan, clientCount: number, rounds: number): Promise<CallResult[]> {
    const calls = Array.from({ length: clientCount }, () => plan);
    return await lab.ask<CallResult[]>("a1", { kind: "together", calls, rounds });
  }
}

/** One instance per client, which the rotation spreads; answers from the called address alone. */
function expectFaithful(results: readonly CallResult[], address: string, rounds: number): void {
  const clientsOf = new Map(INSTANCES.map((name) => [name, 0]));
  for (const { instances, answeredFrom, sources, failures } of results) {
    expect(failures).toEqual([]);
    expect(instances).toHaveLength(rounds);
    expect(new Set(instances).size).toBe(1);
    expect(sources).toHaveLength(1);
    expect(answeredFrom).toEqual([address]);
    const [name = ""] = instances;
    clientsOf.set(name, (clientsOf.get(name) ?? 0) + 1);
  }
  expect([...clientsOf.keys()]).toEqual(INSTANCES);
  const counts = [...clientsOf.values()];
  expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(1);
}
