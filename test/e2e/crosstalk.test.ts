// Flows that resemble each other in all but one part of their key: every answer reaches the socket that asked, and
// comes from the address that it had called. The client checks each answer against its question.
import { afterAll, beforeAll, expect, test } from "vitest";
import * as Protocol from "../../assembly/shared/protocol.ts";
import { TUNNEL_PORT } from "../../assembly/shared/sockets.ts";
import { Lab } from "../../src/lab/lab.ts";
import { instance, SERVICE_A, type Topology } from "../../src/lab/topology.ts";
import type { InnerPacket } from "../../src/lab/tunnel-packet.ts";
import type { CallPlan, CallResult } from "../../src/lab/workload-protocol.ts";
import type { Service } from "../../src/model/tables.ts";
import { describeLab, openLab } from "../support/lab.ts";
import { ONE_SERVER } from "../support/topologies.ts";

const ROUNDS = 30;

const a2 = { name: "a2", node: "node-a", addresses: { v4: "10.101.3.24", v6: "fc00::101:3:24" } };
const c1 = { name: "c1", node: "node-b", addresses: { v4: "10.18.3.2", v6: "fc00::18:3:2" } };
const d1 = { name: "d1", node: "node-a", addresses: { v4: "10.101.3.25", v6: "fc00::101:3:25" } };

const SERVICE_C: Service = {
  name: "C",
  addresses: [
    { address: "10.30.0.10", policy: "round-robin" },
    { address: "fdff:2000::10", policy: "round-robin" },
  ],
  instances: [instance(1, c1, ["10.30.0.11", "fdff::11"])],
};
/** Runs on the client's own node. */
const SERVICE_D: Service = {
  name: "D",
  addresses: [
    { address: "10.30.0.20", policy: "round-robin" },
    { address: "fdff:2000::20", policy: "round-robin" },
  ],
  instances: [instance(1, d1, ["10.30.0.21", "fdff::21"])],
};

const TOPOLOGY: Topology = {
  ...ONE_SERVER,
  workloads: [...ONE_SERVER.workloads, a2, c1, d1],
  services: [
    { ...SERVICE_A, instances: [...SERVICE_A.instances, instance(2, a2, ["10.30.1.6", "fdff::106"])] },
    ...ONE_SERVER.services.filter(({ name }) => name === "B"),
    SERVICE_C,
    SERVICE_D,
  ],
};

/** Both protocols to all addresses, from one source port; each test has its own, since TCP ports rest after use. */
function plans(sourcePort: number, ...addresses: string[]): CallPlan[] {
  return addresses.flatMap((address) =>
    (["http", "udp"] as const).map((protocol) => ({ protocol, address, sourcePort })),
  );
}

describeLab("no crosstalk", () => {
  let lab: Lab;
  beforeAll(async () => {
    lab = await openLab(TOPOLOGY);
  });
  afterAll(() => lab?.close());

  test("between two clients of a node that use the same source port, over TCP and UDP", async () => {
    const calls = plans(7001, "10.30.0.2", "fdff:2000::1");
    const [ofA1, ofA2] = await Promise.all([ask("a1", calls), ask("a2", calls)]);
    expectClean(ofA1, calls);
    expectClean(ofA2, calls);
    expect(ofA1.map(({ sources }) => sources)).toEqual(
      calls.map(({ address }) => [sourceOf(address, "10.30.1.5", "fdff::105")]),
    );
    expect(ofA2.map(({ sources }) => sources)).toEqual(
      calls.map(({ address }) => [sourceOf(address, "10.30.1.6", "fdff::106")]),
    );
  });

  test("between two clients of a node that call the same instance from the same source port", async () => {
    const calls = plans(7002, "10.30.0.3", "fdff::3");
    const [ofA1, ofA2] = await Promise.all([ask("a1", calls), ask("a2", calls)]);
    expectClean(ofA1, calls, "B 1");
    expectClean(ofA2, calls, "B 1");
  });

  test("between two services that one client calls from one source port", async () => {
    const calls = plans(7003, "10.30.0.4", "10.30.0.10", "fdff::4", "fdff:2000::10");
    const results = await ask("a1", calls);
    expectClean(results, calls);
    expect(results.map(({ instances }) => instances[0])).toEqual(
      calls.map(({ address }) => (isOfC(address) ? "C 1" : "B 2")),
    );
  });

  test("between two addresses that lead to the same instance from one source port", async () => {
    const calls = plans(7004, "10.30.0.10", "10.30.0.11", "fdff:2000::10", "fdff::11");
    expectClean(await ask("a1", calls), calls, "C 1");
  });

  test.each([
    ["TCP", "http", Protocol.TCP],
    ["UDP", "udp", Protocol.UDP],
  ] as const)(
    "two %s flows from one port to one instance have two ports on the wire",
    async (_name, protocol, number) => {
      const recording = await lab.capture("node-a", TUNNEL_PORT);
      const calls = ["10.30.0.10", "10.30.0.11", "fdff:2000::10", "fdff::11"].map((address) => ({
        protocol,
        address,
        sourcePort: 7006,
      }));
      const results = await ask("a1", calls);
      const stdout = await Lab.endCapture(recording);
      expectClean(results, calls, "C 1");

      const packets = stdout
        .split("\n")
        .flatMap((line): InnerPacket[] => (line.startsWith("{") ? [JSON.parse(line)] : []));
      for (const [client, target] of [
        ["10.30.1.5", c1.addresses.v4],
        ["fdff::105", c1.addresses.v6],
      ]) {
        const sent = packets.filter(
          ({ src, dst, protocol }) => src === client && dst === target && protocol === number,
        );
        const ports = new Set(sent.map(({ srcPort }) => srcPort));
        expect(ports.size).toBe(2);
        expect(ports).toContain(7006);
        const seen = results.filter(({ answeredFrom }) => answeredFrom[0]?.includes(":") === target?.includes(":"));
        expect(new Set(seen.map(({ sources }) => Number(sources[0]?.split(" ")[1])))).toEqual(ports);
      }
    },
  );

  test("between client and instance on one node, over two addresses from one source port", async () => {
    const calls = plans(7005, "10.30.0.20", "10.30.0.21", "fdff:2000::20", "fdff::21");
    const results = await ask("a1", calls);
    expectClean(results, calls, "D 1");
    for (const { sources } of results) expect(sources[0]).toMatch(/^(10\.30\.1\.5|fdff::105) /);
  });

  async function ask(workload: string, calls: readonly CallPlan[]): Promise<CallResult[]> {
    return await lab.ask<CallResult[]>(workload, { kind: "together", calls, rounds: ROUNDS });
  }
});

/** Every question was answered, by one instance per call, from the called address. */
function expectClean(results: readonly CallResult[], calls: readonly CallPlan[], instanceName?: string): void {
  expect(results).toHaveLength(calls.length);
  for (const [index, { instances, answeredFrom, sources, failures }] of results.entries()) {
    expect(failures).toEqual([]);
    expect(instances).toHaveLength(ROUNDS);
    expect(new Set(instances).size).toBe(1);
    if (instanceName !== undefined) expect(instances[0]).toBe(instanceName);
    expect(answeredFrom).toEqual([calls[index]?.address]);
    expect(sources).toHaveLength(1);
  }
}

function isOfC(address: string): boolean {
  return SERVICE_C.addresses.some((candidate) => candidate.address === address);
}

function sourceOf(called: string, v4: string, v6: string): string {
  return `${called.includes(":") ? v6 : v4} 7001`;
}
