// What a host on the underlay that is no node, and the underlay itself, can do to the nodes' paths: forged ICMP errors,
// a path MTU black hole, a stopped proxy, a killed one. One lab; its tests are the steps of one story, in this order.
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { TUNNEL_PORT } from "../../assembly/shared/sockets.ts";
import { eventually, type Lab } from "../../src/lab/lab.ts";
import { addNamespaces, addVethPairs, configure } from "../../src/lab/netns.ts";
import { DEMO, NODES, type Topology, UNDERLAY_NAMESPACE } from "../../src/lab/topology.ts";
import type { ConnectionsResult, SendResult } from "../../src/lab/workload-protocol.ts";
import type { CountersReport, NodeReport } from "../../src/model/reports.ts";
import { describeLab, openLab } from "../support/lab.ts";

const FORGE = fileURLToPath(new URL("in-workload/icmp-forge.mjs", import.meta.url));
const ATTACKER = "attacker";
const PORT_UNREACHABLE = "3";
const FRAGMENTATION_NEEDED = "4";
const NODE_A = "192.0.2.11";
const NODE_B = "192.0.2.12";
const B1 = "10.30.0.3";
const CLOSEST = "10.30.0.1";
const ROUND_ROBIN = "10.30.0.2";
const LEAST_CONNECTIONS = "10.30.0.8";
const NARROW = 1300;
/** A bridge lets pass what a VLAN tag would add. */
const VLAN_TAG = 4;
const TUNNEL_HEADERS = 28;
const TRANSFER_BYTES = 2 ** 20;
/** Longer than a silent node is waited for. */
const PAUSE_MS = 4000;

const THREE_NODES: Topology = {
  ...DEMO,
  nodes: NODES.slice(0, 3),
  workloads: DEMO.workloads.slice(0, 3),
  services: DEMO.services.map((service) => ({
    ...service,
    addresses:
      service.addresses.length === 0
        ? []
        : [...service.addresses, { address: LEAST_CONNECTIONS, policy: "least-connections" }],
    instances: service.instances.slice(0, 2),
  })),
};

describeLab("on an underlay with an attacker", () => {
  let lab: Lab;

  beforeAll(async () => {
    lab = await openLab(THREE_NODES, async (opened) => {
      const { sandbox } = opened;
      await addNamespaces(sandbox, [ATTACKER]);
      const ends = [
        { namespace: ATTACKER, device: "eth0" },
        { namespace: UNDERLAY_NAMESPACE, device: ATTACKER },
      ] as const;
      await addVethPairs(sandbox, [{ ends, mtu: 1500 }]);
      await configure(sandbox, UNDERLAY_NAMESPACE, [`link set ${ATTACKER} master br0`, `link set ${ATTACKER} up`]);
      await configure(sandbox, ATTACKER, ["link set eth0 up", "addr add 192.0.2.66/24 dev eth0"]);
      await opened.startProxies();
    });
    await eventually("all nodes to answer each other", async () => {
      const states = await Promise.all(["node-b", "node-c"].map(async (id) => (await nodeOf(id)).state));
      return states.every((state) => state === "reachable");
    });
  });

  afterAll(() => lab?.close());

  test("forged port-unreachables and path MTUs change nothing", async () => {
    const forge = (code: string, mtu: number, times: number) => {
      const args = [NODE_A, NODE_B, String(TUNNEL_PORT), code, String(mtu), String(times), "100"];
      return lab.sandbox.expect([process.execPath, FORGE, ...args], ATTACKER);
    };
    const [, , { failures, byInstance }] = await Promise.all([
      forge(PORT_UNREACHABLE, 0, 30),
      forge(FRAGMENTATION_NEEDED, 576, 30),
      connect(B1, 200),
    ]);
    expect(failures).toEqual([]);
    expect(byInstance).toEqual({ "B 1": 200 });
    const { state, mtu } = await nodeOf("node-b");
    expect({ state, mtu }).toEqual({ state: "reachable", mtu: null });
    const { counters } = await lab.report<CountersReport>("node-a", "counters");
    expect(counters["pathErrors"]).toBeGreaterThan(10);
    expect(counters["pathErrorsDisproved"]).toBeGreaterThan(0);
  });

  test("a path that takes less, and of which no router tells, is found out, and TCP arrives", async () => {
    await configure(lab.sandbox, UNDERLAY_NAMESPACE, [`link set node-b mtu ${NARROW}`]);
    const { sent, received } = await lab.ask<SendResult>("a1", {
      kind: "send",
      address: B1,
      sizeBytes: TRANSFER_BYTES,
    });
    expect(received).toBe(sent);
    await eventually("the size to be known", async () => (await nodeOf("node-b")).mtu !== null);
    const { mtu } = await nodeOf("node-b");
    expect(mtu).toBeGreaterThanOrEqual(NARROW - TUNNEL_HEADERS);
    expect(mtu).toBeLessThanOrEqual(NARROW - TUNNEL_HEADERS + VLAN_TAG);
    await configure(lab.sandbox, UNDERLAY_NAMESPACE, ["link set node-b mtu 1500"]);
  });

  test("a proxy that was stopped for a while refuses nobody when it goes on", async () => {
    const proxy = lab.proxy("node-a");
    proxy.kill("SIGSTOP");
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS)); // the pause is what is tested
    proxy.kill("SIGCONT");
    expect((await connect(ROUND_ROBIN, 20)).failures).toEqual([]);
    const { counters, drops } = await lab.report<CountersReport>("node-a", "counters");
    expect(drops.egress["nodeUnreachable"]).toBe(0);
    expect(counters["policyOverruled"]).toBe(0);
  });

  test("a killed node gets no new connection from any policy, and gets them again when it is back", async () => {
    lab.proxy("node-c").kill("SIGKILL");
    await eventually("its loss to be known", async () => (await nodeOf("node-c")).state === "lost");
    for (const address of [CLOSEST, ROUND_ROBIN, LEAST_CONNECTIONS]) {
      expect(await connect(address, 20)).toMatchObject({ failures: [], byInstance: { "B 1": 20 } });
    }
    expect(lab.proxy("node-a").stderr + lab.proxy("node-a").stdout).toContain("node node-c is lost");
    await lab.startProxy("node-c");
    await eventually("its return to be known", async () => (await nodeOf("node-c")).state === "reachable");
    expect(Object.keys((await connect(ROUND_ROBIN, 20)).byInstance).sort()).toEqual(["B 1", "B 2"]);
  });

  function connect(address: string, count: number): Promise<ConnectionsResult> {
    return lab.ask<ConnectionsResult>("a1", { kind: "connections", address, count, concurrency: 4 });
  }

  async function nodeOf(id: string): Promise<NodeReport> {
    const nodes = await lab.report<readonly NodeReport[]>("node-a", "nodes");
    return nodes.find((node) => node.id === id) as NodeReport;
  }
});
