// One service with an address for every policy, one of the user's own among them, in both families, all of them called
// at once: each address keeps what its policy promises, and answers come from the address that was called.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Lab } from "../../src/lab/lab.ts";
import { tablesOf, tablesText } from "../../src/lab/node-config.ts";
import { DEMO, SERVICE_A, SERVICE_B, type Topology } from "../../src/lab/topology.ts";
import type { CallResult, ConnectionsResult } from "../../src/lab/workload-protocol.ts";
import type { PolicyReport } from "../../src/model/module-reports.ts";
import type { ServiceAddressReport } from "../../src/model/reports.ts";
import type { ServiceAddress } from "../../src/model/tables.ts";
import { describeLab, openLab } from "../support/lab.ts";
import { assemble } from "../support/wat.ts";

const NODE = "node-a";
const POWER_OF_TWO = "../assembly/policy/power-of-two.wat";
const WEIGHTS = [1, 2, 3];
const INSTANCES = ["B 1", "B 2", "B 3"];
const CONNECTIONS = 240;
const ROUNDS = 20;

/** Each policy has a /24 and a /21 of its own, the two of the platform's plan among them. */
const PREFIXES = {
  "closest": { v4: "10.30.10", v6: "fdff:1000" },
  "round-robin": { v4: "10.30.20", v6: "fdff:2000" },
  "random": { v4: "10.30.30", v6: "fdff:3000" },
  "weighted": { v4: "10.30.40", v6: "fdff:1800" },
  "consistent-hash": { v4: "10.30.50", v6: "fdff:f800" },
  "client-affinity": { v4: "10.30.60", v6: "fdff:2800" },
  "power-of-two": { v4: "10.30.70", v6: "fdff:3800" }, // the one that is loaded from a file
} as const;
type Policy = keyof typeof PREFIXES;
const ADDRESSES: readonly ServiceAddress[] = Object.entries(PREFIXES).flatMap(([policy, { v4, v6 }]) => [
  { address: `${v4}.1`, policy },
  { address: `${v6}::1`, policy },
]);

/** `file` is the module of the user's own policy. */
const topologyWith = (file: string): Topology => ({
  ...DEMO,
  services: [
    SERVICE_A,
    {
      ...SERVICE_B,
      addresses: ADDRESSES,
      instances: SERVICE_B.instances.map((instance, i) => ({ ...instance, weight: WEIGHTS[i] ?? 1 })),
    },
  ],
  settings: {
    tun: { queues: 1 }, // each worker turns by itself
    // Round-trip times of a busy machine say nothing; without them "closest" goes by distance.
    probe: { interval: 0 },
    policies: { "power-of-two": { file } },
    bindings: Object.entries(PREFIXES).flatMap(([policy, { v4, v6 }]) => [
      { prefix: `${v4}.0/24`, policy },
      { prefix: `${v6}::/21`, policy },
    ]),
  },
});

describeLab(
  "six policies and one of the user's own, on as many addresses of one service, IPv4 and IPv6, at once",
  () => {
    let folder: string;
    let lab: Lab;
    let kept: CallResult[];
    const opened = new Map<string, ConnectionsResult>(); // by address

    beforeAll(async () => {
      folder = mkdtempSync(join(tmpdir(), "sapwood-policies-"));
      const file = join(folder, "power-of-two.wasm");
      writeFileSync(file, assemble(readFileSync(new URL(POWER_OF_TWO, import.meta.url), "utf8")));
      lab = await openLab(topologyWith(file));
      const calls = ADDRESSES.flatMap(({ address }) => [
        { protocol: "http", address } as const,
        { protocol: "udp", address } as const,
      ]);
      const keeping = lab.ask<CallResult[]>("a1", { kind: "together", calls, rounds: ROUNDS });
      const opening = ADDRESSES.map(async ({ address }) => {
        const job = { kind: "connections", address, count: CONNECTIONS, concurrency: 4 } as const;
        opened.set(address, await lab.ask<ConnectionsResult>("a1", job));
      });
      await Promise.all(opening);
      kept = await keeping;
    });

    afterAll(async () => {
      await lab?.close();
      rmSync(folder, { recursive: true, force: true });
    });

    test("nothing fails; a kept connection and a UDP client stay, and are answered from the called address", () => {
      expect([...opened.values()].flatMap(({ failures }) => failures)).toEqual([]);
      const called = ADDRESSES.flatMap(({ address }) => [address, address]);
      const seen = kept.map(({ failures, instances, answeredFrom }) => ({
        failures,
        answers: instances.length,
        instances: new Set(instances).size,
        answeredFrom,
      }));
      expect(seen).toEqual(
        called.map((address) => ({ failures: [], answers: ROUNDS, instances: 1, answeredFrom: [address] })),
      );
    });

    test.each(["v4", "v6"] as const)("closest over %s: every connection to the nearest instance", (family) => {
      expect(countsOf("closest", family)).toEqual([CONNECTIONS, 0, 0]);
    });

    test.each(["v4", "v6"] as const)(
      "round robin over %s: the same number to each, within the turns of others",
      (family) => {
        // A kept connection and a UDP client took their turns meanwhile.
        for (const count of countsOf("round-robin", family)) expect(Math.abs(count - 80)).toBeLessThanOrEqual(3);
      },
    );

    test.each(["v4", "v6"] as const)("weighted over %s: in proportion to the weights", (family) => {
      const off = countsOf("weighted", family).map((count, i) => Math.abs(count - 40 * (WEIGHTS[i] ?? 0)));
      expect(Math.max(...off)).toBeLessThanOrEqual(3);
    });

    // Five standard deviations: one run in a million is farther off.
    test.each(["v4", "v6"] as const)("random over %s: about the same number to each", (family) => {
      for (const count of countsOf("random", family)) expect(Math.abs(count - 80)).toBeLessThanOrEqual(37);
    });

    test.each(["v4", "v6"] as const)("consistent hash over %s: about in proportion to the weights", (family) => {
      const off = countsOf("consistent-hash", family).map((count, i) => Math.abs(count - 40 * (WEIGHTS[i] ?? 0)));
      expect(Math.max(...off)).toBeLessThanOrEqual(39);
    });

    test.each(["v4", "v6"] as const)(
      "client affinity over %s: all connections of the client to one instance",
      (family) => {
        expect(countsOf("client-affinity", family).sort((a, b) => a - b)).toEqual([0, 0, CONNECTIONS]);
      },
    );

    test("the user's own, by file and prefix: it is asked for every flow to its addresses, and no answer of it is at fault", async () => {
      const found = (await lab.report<PolicyReport[]>(NODE, "policies")).find(({ name }) => name === "power-of-two");
      expect(found).toMatchObject({ state: "in force", addresses: 2, lastError: null });
      expect(found?.choices).toBeGreaterThanOrEqual(2 * (CONNECTIONS + 2));
      for (const family of ["v4", "v6"] as const) {
        expect(countsOf("power-of-two", family).reduce((total, count) => total + count)).toBe(CONNECTIONS);
      }
    });

    test("entries that leave their policies to the prefixes are the same tables", async () => {
      const before = await policies();
      expect(before).toEqual(ADDRESSES.map(({ address, policy }) => `${address} ${policy}`).sort());
      const withPolicies = tablesText(NODE, tablesOf(lab.topology));
      const text = withPolicies.replace(/\n +policy: .*/g, "");
      expect(text.split("\n").length).toBe(withPolicies.split("\n").length - ADDRESSES.length);
      const file = `/run/sapwood/${NODE}/services.yaml`;
      lab.sandbox.writeFile(file, text);
      const { code, stdout, stderr } = await lab.sapwood(NODE, ["apply", file]);
      expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
      expect(stdout).toMatch(/^generation 1:/); // no difference, no new generation
      expect(await policies()).toEqual(before);
    });

    /** Connections to each instance. */
    function countsOf(policy: Policy, family: "v4" | "v6"): number[] {
      const address = family === "v4" ? `${PREFIXES[policy].v4}.1` : `${PREFIXES[policy].v6}::1`;
      const { byInstance = {} } = opened.get(address) ?? {};
      return INSTANCES.map((name) => byInstance[name] ?? 0);
    }

    async function policies(): Promise<string[]> {
      const addresses = await lab.report<ServiceAddressReport[]>(NODE, "services");
      return addresses.map(({ address, policy }) => `${address} ${policy}`).sort();
    }
  },
);
