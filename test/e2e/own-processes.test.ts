// Processes of the node itself, in no container: refused at once as long as the node is no workload, and served as any
// other client and instance once it is one.
import { afterAll, beforeAll, expect, test } from "vitest";
import { eventually, type Lab } from "../../src/lab/lab.ts";
import { tablesOf } from "../../src/lab/node-config.ts";
import type { CountersReport, InstanceReport } from "../../src/model/reports.ts";
import { describeLab, openLab } from "../support/lab.ts";
import { TWO_NODES } from "../support/topologies.ts";

const NODE = "node-a";
const CALLED = { IPv4: "10.30.0.2", IPv6: "fdff:2000::1" } as const;
const OWN = { IPv4: "10.30.1.200", IPv6: "fdff::1:200" } as const;
const FAMILIES = ["IPv4", "IPv6"] as const;
const PORT = 8080;
const CURL_CONNECT_FAILED = 7; // 28 is a time-out

describeLab("a process of the node itself", () => {
  let lab: Lab;

  beforeAll(async () => {
    lab = await openLab(TWO_NODES);
  });
  afterAll(() => lab?.close());

  test.for(FAMILIES)("is refused at once over %s while the node is no workload", async (family) => {
    const { code, stderr } = await lab.sandbox.run(curl(CALLED[family]), NODE);
    expect(stderr).toMatch(/^curl: \(7\) /);
    expect(code).toBe(CURL_CONNECT_FAILED);
    const { drops } = await lab.report<CountersReport>(NODE, "counters");
    expect(drops.egress.unknownWorkload).toBeGreaterThan(0);
  });

  test("calls services and is one, once an instance has the node's own addresses", async () => {
    const namespaceAddresses = await Promise.all(FAMILIES.map((family) => sourceTowards(CALLED[family])));
    const own = { number: 1, node: NODE, namespaceAddresses, instanceAddresses: Object.values(OWN) };
    const tables = tablesOf(TWO_NODES);
    const host = { name: "host", addresses: [], instances: [{ ...own, weight: 1, draining: false }] };
    for (const { id } of TWO_NODES.nodes) lab.writeConfig(id, { ...tables, services: [...tables.services, host] });
    for (const { id } of TWO_NODES.nodes) {
      await eventually(`the change on ${id}`, async () =>
        (await lab.report<readonly InstanceReport[]>(id, "instances")).some(({ service }) => service === "host"),
      );
    }
    const serve = `require("http").createServer((_, a) => a.end("the host")).listen(${PORT}, () => console.log("listens"))`;
    const server = lab.sandbox.start([process.execPath, "-e", serve], NODE);
    await server.until("the server on the node", ({ stdout }) => stdout.includes("listens"));
    for (const family of FAMILIES) {
      expect(await lab.sandbox.expect(curl(CALLED[family]), NODE)).toContain("B 1");
      for (const client of ["a1", "b1", NODE]) {
        expect(await lab.sandbox.expect(curl(OWN[family], PORT), client)).toBe("the host");
      }
    }
    server.kill("SIGKILL");
  });

  /** The address that the node's kernel sends from. */
  async function sourceTowards(address: string): Promise<string> {
    const [route] = JSON.parse(await lab.sandbox.expect(["ip", "-json", "route", "get", address], NODE));
    return route.prefsrc;
  }

  function curl(address: string, port = 80): string[] {
    const host = address.includes(":") ? `[${address}]` : address;
    return ["curl", "--silent", "--show-error", "--max-time", "60", `http://${host}:${port}/`];
  }
});
