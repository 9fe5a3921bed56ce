// Instances that stop serving, one and all, and a node that lies about them: what clients of another node notice of it.
// One lab; each test leaves it as it was.
import { expect, test } from "vitest";
import { controlSocket, eventually } from "../../src/lab/lab.ts";
import { tablesOf } from "../../src/lab/node-config.ts";
import { DEMO, SERVICE_A, SERVICE_B, type Topology } from "../../src/lab/topology.ts";
import type { ConnectionsResult } from "../../src/lab/workload-protocol.ts";
import type { EventReport, InstanceReport } from "../../src/model/reports.ts";
import type { Service, ServiceHealth } from "../../src/model/tables.ts";
import { given } from "../support/given.ts";
import { describeLab, openLab, useLab } from "../support/lab.ts";
import { Load } from "../support/oakestra/load.ts";

const HEALTH = { tcp: 80, interval: 500, timeout: 500, healthy: 2, unhealthy: 3 };
const B: Service = { ...SERVICE_B, health: HEALTH };
const TOPOLOGY: Topology = { ...DEMO, services: [SERVICE_A, B], settings: { passiveHealth: { pause: "2s" } } };
const ROUND_ROBIN = "10.30.0.2";
const WORKLOADS = ["b1", "b2", "b3"];
const ALL = ["B 1", "B 2", "B 3"];
const PATIENCE_MS = 60_000;

describeLab(
  "health of instances",
  () => {
    const lab = useLab(() => openLab(TOPOLOGY));

    test("an instance that takes no connections gets none when that is known, keeps those that it has, and comes back", async () => {
      await expectHealth(["healthy", "healthy", "healthy"]);
      const client = { kind: "load", addresses: [], held: Array<string>(6).fill(ROUND_ROBIN), pauseMs: 20 } as const;
      const load = new Load(lab().startClient("a1", client));
      await load.holding();
      const { holders } = load;
      expect(holders).toContain("B 1");

      await refuse("b1", "tcp dport 80");
      await expectHealth(["unhealthy", "healthy", "healthy"]);
      expect(await connections()).toEqual({ reached: ["B 2", "B 3"], failures: [] });
      await load.holding();
      expect(load.heldFailures.flat()).toEqual([]);
      expect(load.holders).toEqual(holders);
      await expectTold("instance-unhealthy", "B#1 on node-b is unhealthy");
      const curl = ["curl", "-sS", "--fail", "--unix-socket", controlSocket("node-a"), "http://sapwood/metrics"];
      expect(await lab().sandbox.expect(curl)).toContain('sapwood_instances{health="unhealthy"} 1\n');

      await allow("b1");
      await expectHealth(["healthy", "healthy", "healthy"]);
      expect(await connections()).toEqual({ reached: ALL, failures: [] });
      await expectTold("instance-healthy", "B#1 on node-b is healthy again");
      expect(load.heldFailures.flat()).toEqual([]);
      await load.end();
    });

    test("when checks fail at all of them, all are used", async () => {
      for (const [i, workload] of WORKLOADS.entries()) {
        const { bridge } = given(TOPOLOGY.nodes[i + 1]);
        await refuse(workload, `ip saddr ${bridge.v4} tcp dport 80`, `ip6 saddr ${bridge.v6} tcp dport 80`);
      }
      await expectHealth(["unhealthy", "unhealthy", "unhealthy"]);
      expect(await connections()).toEqual({ reached: ALL, failures: [] });
      for (const workload of WORKLOADS) await allow(workload);
      await expectHealth(["healthy", "healthy", "healthy"]);
    });

    test("a service may ask for other checks at any time: HTTP, or an echo request", async () => {
      const times = { interval: 500, timeout: 500, healthy: 2, unhealthy: 3 };
      configureAll({ http: "/ready?deep=1", ...times });
      await expectHealth(["healthy", "healthy", "healthy"]);
      configureAll({ http: "/", port: 9, ...times });
      await expectHealth(["unhealthy", "unhealthy", "unhealthy"]);
      configureAll({ icmp: true, ...times });
      await expectHealth(["healthy", "healthy", "healthy"]);
      await filter("b1", "icmp type echo-request drop", "icmpv6 type echo-request drop");
      await expectHealth(["unhealthy", "healthy", "healthy"]);
      await allow("b1");
      await expectHealth(["healthy", "healthy", "healthy"]);
      configureAll(undefined);
      await expectHealth(["unchecked", "unchecked", "unchecked"]);
      configureAll(HEALTH);
      await expectHealth(["healthy", "healthy", "healthy"]);
    });

    test("without checks, one that refuses connections is avoided as soon as that is seen, and is tried again", async () => {
      configureAll(undefined);
      await expectHealth(["unchecked", "unchecked", "unchecked"]);
      await refuse("b1", "tcp dport 80");
      const refused = await connections();
      expect(refused.reached).toEqual(["B 2", "B 3"]);
      expect(refused.failures.length).toBeGreaterThan(0);
      await expectHealth(["avoided", "unchecked", "unchecked"]);
      expect((await connections()).failures.length).toBeLessThanOrEqual(3); // of those that try again
      await expectTold("instance-avoided", "B#1 on node-b is avoided: it refused the last");
      await allow("b1");
      await eventually("B 1 to be used again", async () => (await connections()).reached.length === 3, PATIENCE_MS);
      await expectHealth(["unchecked", "unchecked", "unchecked"]);
      configureAll(HEALTH);
      await expectHealth(["healthy", "healthy", "healthy"]);
    });

    test("a node that lies is believed about its own instances alone", async () => {
      // In the tables of node-b instance 2 runs there, at an address where nobody is.
      const lie = B.instances.map((one) =>
        one.number === 2 ? { ...one, node: "node-b", namespaceAddresses: ["10.18.3.77", "fc00::18:3:77"] } : one,
      );
      lab().writeConfig("node-b", { ...tablesOf(TOPOLOGY), services: [SERVICE_A, { ...B, instances: lie }] });
      await expectHealth(["healthy", "unhealthy", "healthy"], "node-b");
      await refuse("b1", "tcp dport 80");
      // The page that tells of the first one tells of the second one, too.
      await expectHealth(["unhealthy", "healthy", "healthy"]);
      expect(await connections()).toEqual({ reached: ["B 2", "B 3"], failures: [] });
      await allow("b1");
      lab().writeConfig("node-b", tablesOf(TOPOLOGY));
      await expectHealth(["healthy", "healthy", "healthy"], "node-b");
      await expectHealth(["healthy", "healthy", "healthy"]);
    });

    /** Every node's file says so. */
    function configureAll(health: ServiceHealth | undefined): void {
      const tables = { ...tablesOf(TOPOLOGY), services: [SERVICE_A, { ...B, health }] };
      for (const { id } of TOPOLOGY.nodes) lab().writeConfig(id, tables);
    }

    async function expectHealth(expected: readonly string[], node = "node-a"): Promise<void> {
      let found: string[] = [];
      const isSo = async (): Promise<boolean> => {
        const instances = await lab().report<InstanceReport[]>(node, "instances");
        found = instances.filter(({ service }) => service === "B").map(({ health }) => health);
        return found.join() === expected.join();
      };
      await eventually(`${node} to know ${expected.join(", ")}`, isSo, PATIENCE_MS);
      expect(found).toEqual(expected);
    }

    async function connections(): Promise<{ readonly reached: string[]; readonly failures: readonly string[] }> {
      const job = { kind: "connections", address: ROUND_ROBIN, count: 60, concurrency: 4 } as const;
      const { byInstance, failures } = await lab().ask<ConnectionsResult>("a1", job);
      return { reached: Object.keys(byInstance).sort(), failures };
    }

    /** The event may follow the report of the instances: the log is told after the tables. */
    async function expectTold(kind: EventReport["kind"], message: string): Promise<void> {
      const told = async (): Promise<string[]> => {
        const events = await lab().report<EventReport[]>("node-a", "events");
        return events.filter((event) => event.kind === kind).map((event) => event.message);
      };
      await expect.poll(told).toContainEqual(expect.stringContaining(message));
    }

    /** New connections that match are refused, established ones go on. */
    async function refuse(workload: string, ...matches: readonly string[]): Promise<void> {
      await filter(
        workload,
        ...matches.map((match) => `${match} tcp flags & (syn | ack) == syn reject with tcp reset`),
      );
    }

    async function filter(workload: string, ...rules: readonly string[]): Promise<void> {
      const chain = `type filter hook input priority 0;\n${rules.join("\n")}\n`;
      await lab().sandbox.expect(["nft", `table inet stopped {\nchain input {\n${chain}}\n}`], workload);
    }

    async function allow(workload: string): Promise<void> {
      await lab().sandbox.expect(["nft", "delete table inet stopped"], workload);
    }
  },
  "nft",
);
