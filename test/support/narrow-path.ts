// Between two nodes lies a path of routers whose middle takes packets of 1,300 bytes. Nobody configured that anywhere.
//
//   node-a ── 1500 ── underlay ── 1300 ── router ── 1500 ── node-b
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Lab } from "../../src/lab/lab.ts";
import { addNamespaces, addVethPairs, configure } from "../../src/lab/netns.ts";
import type { Sandbox } from "../../src/lab/sandbox.ts";
import { DEMO, NODES, type Topology, UNDERLAY_NAMESPACE } from "../../src/lab/topology.ts";
import type { SendResult } from "../../src/lab/workload-protocol.ts";
import type { NodeReport } from "../../src/model/reports.ts";
import { describeLab, openLab } from "./lab.ts";
import { pingAtOnce } from "./ping.ts";
import { judgeWorkloads, Recordings } from "./recording.ts";

const ECHO_PROGRAM = fileURLToPath(new URL("../e2e/in-workload/udp-echo.mjs", import.meta.url));
const NARROW = 1300;
const TRANSFER_BYTES = 2 ** 22;
/** Beyond the narrow path, within the workload's MTU. */
const DATAGRAM = 1400;
const ROUTER = "router";
const FORWARD = "echo 1 > /proc/sys/net/ipv4/ip_forward; echo 1 > /proc/sys/net/ipv6/conf/all/forwarding";
/** What the tunnel adds: an outer IP header and UDP's. */
const TUNNEL = { v4: 28, v6: 48 } as const;
type Family = keyof typeof TUNNEL;

const CALLED = [
  { name: "IPv4", address: "10.30.0.2", option: "-4", headers: 28 },
  { name: "IPv6", address: "fdff:2000::1", option: "-6", headers: 48 },
] as const;

const [nodeA, nodeB] = NODES as unknown as readonly [(typeof NODES)[number], (typeof NODES)[number]];

function twoNodes(underlayFamily: Family): Topology {
  return {
    ...DEMO,
    underlayFamily,
    nodes: [nodeA, { ...nodeB, underlay: { v4: "198.51.100.12", v6: "2001:db8:1::12" } }],
    workloads: DEMO.workloads.slice(0, 2),
    services: DEMO.services.map((service) => ({ ...service, instances: service.instances.slice(0, 1) })),
    settings: { offloads: { tunTcp: false, tunUdp: false } },
  };
}

export function describeNarrowPath(underlay: Family): void {
  describeLab(`a path with an MTU of 1300 in the middle, under a tunnel over IP${underlay}`, () => {
    let lab: Lab;
    let recordings: Recordings;
    beforeAll(async () => {
      lab = await openLab(twoNodes(underlay), async (opened) => {
        await putRoutersBetween(opened.sandbox);
        await opened.startProxies();
      });
      recordings = await Recordings.ofWorkloads(lab);
    });
    afterAll(() => lab?.close());

    test.each(CALLED)(
      "ping over $name is told what fits, and what fits is answered",
      async ({ address, option, headers }) => {
        // 1,280 bytes pass any path (RFC 8200 section 5), here in fragments of the outer packet.
        const fits = 1280;
        const ping = ["ping", option, "-n", "-M", "do", "-i", "0.3", "-W", "5"];
        const { stdout } = await lab.sandbox.run([...ping, "-c", "6", "-s", String(DATAGRAM - headers), address], "a1");
        expect(stdout).toMatch(/\bmtu ?[=:] ?1280\b/);
        // The first ones tell the nodes at both ends what fits.
        await lab.sandbox.run([...ping, "-c", "3", "-s", String(fits - headers), address], "a1");
        const fitting = ["ping", option, "-M", "do", ...pingAtOnce(3), "-s", String(fits - headers), address];
        const text = await lab.sandbox.expect(fitting, "a1");
        expect(text).toContain(" 3 received");
      },
    );

    test.each(CALLED)("TCP over $name arrives in both directions", async ({ address }) => {
      const toA = address.includes(":") ? "fdff::105" : "10.30.1.5";
      const results = await Promise.all([
        lab.ask<SendResult>("a1", { kind: "send", address, sizeBytes: TRANSFER_BYTES }),
        lab.ask<SendResult>("b1", { kind: "send", address: toA, sizeBytes: TRANSFER_BYTES }),
      ]);
      for (const { sent, received } of results) expect(received).toBe(sent);
    });

    test.each(CALLED)("UDP over $name that learns the path MTU (DF in IPv4) is answered", async ({ address }) => {
      expect(await udpEcho(address)).toMatchObject({ answered: 20, wrong: 0 });
    });

    test("UDP over IPv4 without DF is answered", async () => {
      const quiet = "echo 1 > /proc/sys/net/ipv4/ip_no_pmtu_disc";
      for (const workload of ["a1", "b1"]) await lab.sandbox.expect(["sh", "-e", "-c", quiet], workload);
      expect(await udpEcho("10.30.0.2")).toMatchObject({ answered: 20, wrong: 0 });
    });

    test("both nodes show what fits the path", async () => {
      for (const [node, peer] of [
        ["node-a", "node-b"],
        ["node-b", "node-a"],
      ] as const) {
        const nodes = await lab.report<NodeReport[]>(node, "nodes");
        expect(nodes.find(({ id }) => id === peer)).toMatchObject({ mtu: NARROW - TUNNEL[underlay] });
      }
    });

    test("no judge found a wrong checksum or length in what the workloads got", async () => {
      const { faults, protocols } = await judgeWorkloads(lab, recordings);
      expect(faults).toEqual([]);
      expect([...protocols]).toEqual(expect.arrayContaining(["TCP", "UDP", "ICMP", "ICMPv6"]));
    });

    async function udpEcho(address: string): Promise<unknown> {
      return JSON.parse(
        await lab.sandbox.expect([process.execPath, ECHO_PROGRAM, address, String(DATAGRAM), "20"], "a1"),
      );
    }
  });
}

/** Takes node-b off the underlay's bridge and puts it behind two routers; the first of them is the underlay itself. */
async function putRoutersBetween(sandbox: Sandbox): Promise<void> {
  await addNamespaces(sandbox, [ROUTER]);
  const middle = [
    { namespace: UNDERLAY_NAMESPACE, device: "middle" },
    { namespace: ROUTER, device: "middle" },
  ] as const;
  await addVethPairs(sandbox, [{ ends: middle, mtu: NARROW }]);
  await configure(sandbox, UNDERLAY_NAMESPACE, [
    "link set node-b nomaster",
    `link set node-b netns ${ROUTER}`,
    ...addresses("br0", "192.0.2.1/24", "2001:db8::1/64"),
    ...addresses("middle", "203.0.113.1/24", "2001:db8:f::1/64"),
    "link set middle up",
    "route add 198.51.100.0/24 via 203.0.113.2",
    "route add 2001:db8:1::/64 via 2001:db8:f::2",
  ]);
  await configure(sandbox, ROUTER, [
    ...addresses("middle", "203.0.113.2/24", "2001:db8:f::2/64"),
    ...addresses("node-b", "198.51.100.1/24", "2001:db8:1::1/64"),
    "link set middle up",
    "link set node-b up",
    "route add 192.0.2.0/24 via 203.0.113.1",
    "route add 2001:db8::/64 via 2001:db8:f::1",
  ]);
  for (const namespace of [UNDERLAY_NAMESPACE, ROUTER]) {
    await sandbox.expect(["sh", "-e", "-c", FORWARD], namespace);
  }
  await configure(sandbox, "node-a", ["route add default via 192.0.2.1", "route add default via 2001:db8::1"]);
  await configure(sandbox, "node-b", ["route add default via 198.51.100.1", "route add default via 2001:db8:1::1"]);
}

function addresses(device: string, v4: string, v6: string): string[] {
  return [`addr add ${v4} dev ${device}`, `addr add ${v6} dev ${device} nodad`];
}
