// What the commands print and exit with, against a control socket with constants behind it.

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { parse } from "yaml";
import { SapwoodError } from "../../../src/base/errors.ts";
import { FakeSource } from "../../support/control-source.ts";
import { DIFFERENCE, DOCUMENT, ENGINE, FLOW, POLICY, STATUS } from "../../support/sample-reports.ts";
import { cells, sapwood, useFakeProxy } from "./support/fake-proxy.ts";

const proxy = useFakeProxy();

describe("queries", () => {
  test.each([
    ["status", JSON.parse(JSON.stringify(STATUS))],
    ["services", new FakeSource().services()],
    ["instances", new FakeSource().instances()],
    ["nodes", new FakeSource().nodes()],
    ["flows", { matching: 3, flows: [FLOW] }],
    ["counters", new FakeSource().counters()],
    ["offload", new FakeSource().offloads()],
    ["policy list", new FakeSource().policies()],
    ["policy show closest", POLICY],
    ["policy rollback closest", POLICY],
    ["engine show", ENGINE],
    ["engine rollback", ENGINE],
  ])("%s --json prints what the route answers", async (name, expected) => {
    const { exit, out } = await sapwood([...name.split(" "), "--socket", proxy.socket, "--json"]);
    expect(exit).toBe(0);
    expect(JSON.parse(out)).toEqual(expected);
  });

  test.each(["status", "services", "instances", "nodes", "flows", "counters", "offload"])(
    "%s can be read in 80 columns",
    async (name) => {
      const { out } = await sapwood([name, "--socket", proxy.socket], 80);
      for (const line of out.split("\n")) expect(line.length, line).toBeLessThanOrEqual(80);
    },
  );

  test("status tells of restarts, switched-off offloads and the refused reload", async () => {
    const { out } = await sapwood(["status", "-s", proxy.socket]);
    expect(out).toContain("node-a");
    expect(out).toContain("sapwood 1.2.3, process 4711, up 1 min 5 s");
    expect(out).toContain("2 (2 restarts)");
    expect(out).toContain("UDP [2001:db8::1]:50103");
    expect(out).toContain("udp-gso off (switched off in the configuration)");
    expect(out).toContain("refused, generation 7 stays in force");
    expect(out).toContain("node.yaml:12: services[0].name: expected a name, found 5.");
    expect(out).toContain("takes effect at the next start: tun.mtu");
    expect(out).toContain("addresses 6 of 65536");
    expect(out).toContain("worker 65a0, broker 192.0.2.9 NOT connected, 3 messages waiting");
    expect(out).toContain("left out of what the cluster said: 4 odd records, 1 odd message");
  });

  test("services has one line per address", async () => {
    const { out } = await sapwood(["services", "-s", proxy.socket]);
    expect(cells(out)).toEqual([
      ["ADDRESS", "POLICY", "SERVICE", "CANDIDATES", "DRAINING"],
      ["10.30.0.2", "round-robin", "b", "3", "1"],
      ["fdff:1000::1", "closest", "b", "3", "1"],
    ]);
  });

  test("instances shows each family in a line of its own", async () => {
    const { out } = await sapwood(["instances", "-s", proxy.socket]);
    const lines = cells(out);
    expect(lines[1]).toEqual(["b#2", "node-c", "10.21.3.2", "10.30.0.4", "1", "draining", "unhealthy", "5"]);
    expect(lines[2]).toEqual(["", "fc00::21:3:2", "fdff::4", "for 12 s"]);
    expect(lines[3]).toEqual(["", "refused the connection (TCP port 80)"]);
  });

  test("nodes shows a dash for what was never measured", async () => {
    const { out } = await sapwood(["nodes", "-s", proxy.socket]);
    expect(cells(out).slice(1)).toEqual([
      [
        ...["node-c", "192.0.2.3:50103", "reachable", "1 min 5 s", "wireguard"],
        ...["0.250 ms", "12.5 km", "300 ms ago", "1372", "1"],
      ],
      ["node-d", "192.0.2.3:50103", "unknown", "-", "none", "-", "-", "-", "-", "0"],
    ]);
  });

  test("flows keeps a flow on one line where the width is not known or suffices", async () => {
    for (const columns of [undefined, 120]) {
      const { out } = await sapwood(["flows", "-s", proxy.socket], columns);
      expect(cells(out)[1]).toEqual([
        "tcp",
        "[fc00::101:3:23]:43210 -> [fdff:2000::1]:80",
        "b#2",
        "node-c",
        "half closed",
        "1.5 s",
        "12/9",
      ]);
      expect(out).toContain("... and 2 more");
    }
  });

  test("flows passes its filters on", async () => {
    await sapwood(["flows", "-s", proxy.socket, "--limit", "7", "--service", "a b", "--protocol", "udp"]);
    expect(proxy.source.flowQueries).toEqual([{ limit: 7, service: "a b", protocol: "udp" }]);
  });

  test("counters hides zeros unless asked for all", async () => {
    const { out } = await sapwood(["counters", "-s", proxy.socket]);
    expect(cells(out)).toEqual([
      ["COUNTER", "VALUE"],
      ["egressPackets", "12"],
      [""],
      ["DROPPED BECAUSE", "EGRESS", "INGRESS"],
      ["noInstance", "3", "0"],
      [""],
      ["DROPPED BY THE KERNEL", "PACKETS"],
      ["tunDrops", "17"],
    ]);
    const all = await sapwood(["counters", "-s", proxy.socket, "--all"]);
    expect(all.out).toMatch(/^egressBytes +0$/m);
    expect(all.out).toMatch(/^portZero +0 +0$/m);
  });
});

describe("apply", () => {
  test("sends the file as it is and prints the generation", async () => {
    const file = join(proxy.folder, "services.yaml");
    writeFileSync(file, "services: [] # ü\n");
    const { exit, out } = await sapwood(["apply", file, "-s", proxy.socket]);
    expect({ exit, out }).toEqual({ exit: 0, out: "generation 8: 3 nodes, 2 services, 4 instances\n" });
    expect(proxy.source.applied).toEqual(["services: [] # ü\n"]);
  });

  test("--merge sends it as a patch", async () => {
    const file = join(proxy.folder, "changes.yaml");
    writeFileSync(file, "remove: { services: [a] }\n");
    const { exit, out } = await sapwood(["apply", "--merge", file, "-s", proxy.socket]);
    expect({ exit, out }).toEqual({ exit: 0, out: "generation 8: 3 nodes, 2 services, 4 instances\n" });
    expect([proxy.source.applied, proxy.source.merged]).toEqual([[], ["remove: { services: [a] }\n"]]);
  });

  test("--allow-empty goes along with either", async () => {
    const file = join(proxy.folder, "none.yaml");
    writeFileSync(file, "none");
    await sapwood(["apply", "--allow-empty", file, "-s", proxy.socket]);
    await sapwood(["apply", "--allow-empty", "--merge", file, "-s", proxy.socket]);
    expect([proxy.source.applied, proxy.source.merged]).toEqual([["none, may be empty"], ["none, may be empty"]]);
  });

  test("a refused file is one sentence and exit status 2", async () => {
    const file = join(proxy.folder, "services.yaml");
    writeFileSync(file, "services: 5\n");
    proxy.source.failure = new SapwoodError("tables-invalid", "services: expected a list, found 5.");
    const { exit, error } = await sapwood(["apply", file, "-s", proxy.socket]);
    expect({ exit, error }).toEqual({ exit: 2, error: "sapwood: services: expected a list, found 5.\n" });
  });

  test("a file that does not exist is named", async () => {
    const { exit, error } = await sapwood(["apply", "/nonexistent.yaml", "-s", proxy.socket]);
    expect(exit).toBe(2);
    expect(error).toBe("sapwood: /nonexistent.yaml cannot be read: there is no such file (ENOENT).\n");
  });
});

describe("drain", () => {
  const [DRAINING] = new FakeSource().instances();

  test.each<[readonly string[], string]>([
    [["drain", "b", "2"], "drain undefined b 2"],
    [["drain", "b"], "drain undefined b undefined"],
    [["drain", "--node", "node-c"], "drain node-c undefined undefined"],
    [["undrain", "b", "2", "--node", "node-c"], "undrain node-c b 2"],
  ])("%j is the order %j, and shows the instances that are meant", async (line, ordered) => {
    const { exit, out, error } = await sapwood([...line, "-s", proxy.socket]);
    expect({ exit, error }).toEqual({ exit: 0, error: "" });
    expect(proxy.source.merged).toEqual([ordered]);
    expect(cells(out).slice(0, 2)).toEqual([
      ["INSTANCE", "NODE", "STATE", "FLOWS"],
      ["b#2", "node-c", "draining", "5"],
    ]);
    expect(out).toContain("Generation 8: ");
    const { out: json } = await sapwood([...line, "-s", proxy.socket, "--json"]);
    expect(JSON.parse(json)).toEqual({ generation: 8, instances: [DRAINING] });
  });

  test("says when nobody serves any more, and how long it lasts", async () => {
    const { out } = await sapwood(["drain", "b", "-s", proxy.socket]);
    expect(out).toContain("No instance of b takes new flows any more.\n");
    expect(out).toMatch(/until "sapwood undrain", a\nrestart of the proxy, or a change of the configuration/);
  });

  test("waits until the last flow is over, and no longer than it is told", async () => {
    const instances = proxy.source.instances();
    const flowCounts = [5, 3, 0];
    proxy.source.instances = () => instances.map((one) => ({ ...one, flows: flowCounts.shift() ?? 0 }));
    const { exit, out } = await sapwood(["drain", "b", "2", "--wait", "10m", "-s", proxy.socket]);
    expect({ exit, flows: cells(out)[1]?.[3] }).toEqual({ exit: 0, flows: "0" });
    proxy.source.instances = () => instances;
    expect(await sapwood(["drain", "b", "2", "--wait", "1ms", "-s", proxy.socket])).toMatchObject({
      ...{ exit: 1, error: "sapwood: After 1ms, 5 flows had not ended.\n" },
    });
  });

  test.each<[readonly string[], RegExp]>([
    [["drain"], /Expected a service, with or without the number of an instance, or --node\./],
    [["undrain", "b", "two"], /Expected the number of an instance, found "two"\./],
    [["drain", "b", "--wait", "soon"], /--wait: expected a time like 30s or 10m, found "soon"\./],
  ])("%j is a mistake in the command line, and changes nothing", async (line, message) => {
    const { exit, error } = await sapwood([...line, "-s", proxy.socket]);
    expect(exit).toBe(2);
    expect(error).toMatch(message);
    expect(proxy.source.merged).toEqual([]);
  });
});

describe("apply --dry-run", () => {
  const TEXT = `Generation 7 would change:
- node node-c
+ node node-f
~ node node-b, underlay.port 50103 -> 50104
- service old
+ service new
~ service web, health.interval 5000ms -> 1000ms
    + address fdff::9, closest
    ~ address 10.30.0.2, policy round-robin -> closest
    - instance 1 on node-c
    + instance 3 on node-b
    ~ instance 2, weight 1 -> 5, namespace 10.1.1.1 -> 10.1.1.2 fc00::2
`;

  test.each([
    [[], "preview services: []\n"],
    [["--allow-empty"], "preview services: []\n even if empty"],
    [["--merge", "--allow-empty"], "preview the merge of services: []\n even if empty"],
  ])("with %j shows the difference and applies nothing", async (options, ordered) => {
    const file = join(proxy.folder, "services.yaml");
    writeFileSync(file, "services: []\n");
    expect(await sapwood(["apply", "--dry-run", ...options, file, "-s", proxy.socket])).toEqual({
      exit: 0,
      out: TEXT,
      error: "",
    });
    expect([proxy.source.applied, proxy.source.merged, proxy.source.modules]).toEqual([[], [], [ordered]]);
    const { out } = await sapwood(["apply", "--dry-run", ...options, file, "-s", proxy.socket, "--json"]);
    expect(JSON.parse(out)).toEqual(DIFFERENCE);
  });
});

describe("tables", () => {
  test("prints YAML that means what the route answers", async () => {
    const { exit, out } = await sapwood(["tables", "-s", proxy.socket]);
    expect(exit).toBe(0);
    expect(parse(out)).toEqual(DOCUMENT);
    expect(out).toBe(`nodes:
  - id: node-b
    underlay: { address: "2001:db8::2", port: 50103 }
    accept: { anyPort: true, addresses: [], unknownSources: false }
    location: { latitude: -1.5, longitude: 0 }
services:
  - name: größe
    addresses:
      - { address: 10.30.0.2, policy: round-robin }
    instances:
      - { number: 2, node: node-b, weight: 1, draining: true, namespace: ["fc00::2"], addresses: ["fdff::4"] }
  - name: "no"
    addresses: []
    instances: []
  - name: "10.5"
    addresses: []
    instances: []
`);
  });

  test("--json prints the same as JSON", async () => {
    expect(JSON.parse((await sapwood(["tables", "-s", proxy.socket, "--json"])).out)).toEqual(DOCUMENT);
  });
});

describe("offload", () => {
  test("without arguments shows each offload with its reason", async () => {
    const { exit, out } = await sapwood(["offload", "-s", proxy.socket]);
    expect(exit).toBe(0);
    expect(cells(out)).toEqual([
      ["OFFLOAD", "STATE", "REASON"],
      ["tun-tcp", "on", "in force"],
      ["udp-gso", "off", "switched off in the configuration"],
    ]);
    expect(proxy.source.switched).toEqual([]);
  });

  test.each(["on", "off"])("switches an offload %s", async (state) => {
    const { exit } = await sapwood(["offload", "tun-udp", state, "-s", proxy.socket]);
    expect(exit).toBe(0);
    expect(proxy.source.switched).toEqual([`tun-udp ${state === "on"}`]);
  });

  test.each([
    [["tun-udp"], '"on" or "off"; found nothing'],
    [["tun-udp", "maybe"], '"on" or "off"; found maybe'],
    [["tun-checksum", "off"], 'found "tun-checksum"'],
  ])("%j is exit status 2 and switches nothing", async (line, said) => {
    const { exit, error } = await sapwood(["offload", ...line, "-s", proxy.socket]);
    expect(exit).toBe(2);
    expect(error).toContain(said);
    expect(proxy.source.switched).toEqual([]);
  });

  test("a kernel that refuses is one sentence and exit status 1", async () => {
    proxy.source.failure = new SapwoodError(
      "offload-refused",
      "The offload tun-udp stays off: Linux before 6.2 has no USO.",
    );
    const { exit, error } = await sapwood(["offload", "tun-udp", "on", "-s", proxy.socket]);
    expect({ exit, error }).toEqual({
      exit: 1,
      error: "sapwood: The offload tun-udp stays off: Linux before 6.2 has no USO.\n",
    });
  });
});
