// A worker node of Oakestra with `sapwood netmanager` in the place of NetManager: a real broker, a cluster manager that
// holds every byte to the interface, and containers that are deployed as a NodeEngine does it.
import { afterAll, beforeAll, expect, test } from "vitest";
import type { CallResult } from "../../src/lab/workload-protocol.ts";
import { describeLab } from "../support/lab.ts";
import { containerName, OakestraCluster } from "../support/oakestra/cluster.ts";

const WORKERS = { "node-a": "65a000000000000000000001", "node-b": "65a000000000000000000002" } as const;
const CLIENT = "c.d.client.d";
const SERVER = "x.d.server.d";
const SERVICE = { v4: "10.30.0.10", v6: "fdff:2000::10" };
const ALL = Object.values(SERVICE);

describeLab("a cluster of Oakestra", () => {
  let cluster: OakestraCluster;

  beforeAll(async () => {
    cluster = await OakestraCluster.open(2);
    await cluster.order("service", { job: CLIENT, addresses: [] });
    await cluster.order("service", {
      job: SERVER,
      addresses: [{ IpType: "RR", Address: SERVICE.v4, Address_v6: SERVICE.v6 }],
    });
    await Promise.all(cluster.nodes.map((node) => cluster.startNode(node)));
  }, 120_000);
  afterAll(() => cluster?.close());

  test("a node is registered, has a subnet, and says so again", async () => {
    expect(await cluster.post("node-a", "/container/deploy", { serviceName: SERVER })).toMatchObject({ status: 400 });
    for (const [node, worker] of Object.entries(WORKERS)) {
      expect(await cluster.register(node, worker)).toEqual({ status: 200, body: "" });
    }
    expect(await cluster.register("node-a", WORKERS["node-a"])).toEqual({ status: 200, body: "" });
    expect(cluster.messages(WORKERS["node-a"]).map(({ what, message }) => [what, message])).toEqual([
      ["subnet", { METHOD: "GET" }],
    ]);
  });

  test("a client's container reaches a service of another node by its address, over both families", async () => {
    await cluster.order("instance", { job: SERVER, number: 0, ip: "10.30.0.11", ipv6: "fdff::11" });
    await cluster.order("instance", { job: CLIENT, number: 0, ip: "10.30.0.12", ipv6: "fdff::12" });
    const deployed = await cluster.deploy("node-b", { job: SERVER, number: 0 });
    expect(deployed).toMatchObject({ status: 200 });
    expect(JSON.parse(deployed.body)).toEqual({
      serviceName: SERVER,
      nsAddress: expect.stringMatching(/^10\.18\.0\.\d+$/),
      nsAddressv6: expect.stringMatching(/^fc00::[12]02$/),
    });
    expect(await cluster.deploy("node-a", { job: CLIENT, number: 0 })).toMatchObject({ status: 200 });
    for (const result of await call(ALL)) {
      expect(result).toMatchObject({ failures: [], instances: [`${SERVER} 0`] });
    }
    expect(cluster.violations()).toEqual([]);
  });

  async function call(addresses: readonly string[]): Promise<CallResult[]> {
    const calls = addresses.map((address) => ({ protocol: "http", address }) as const);
    return cluster.lab.ask(containerName(CLIENT, 0), { kind: "together", calls, rounds: 1 });
  }
});
