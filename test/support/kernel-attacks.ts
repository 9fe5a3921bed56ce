// What others can make the node's own kernel do for them, which forwards packets and masquerades workloads: hand packets
// to a workload past the tunnel, or send into the tunnel in the node's name. A lab with an underlay of one family.
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { TUNNEL_PORT } from "../../assembly/shared/sockets.ts";
import { eventually, type Lab } from "../../src/lab/lab.ts";
import { addNamespaces, addVethPairs, configure } from "../../src/lab/netns.ts";
import { tablesOf } from "../../src/lab/node-config.ts";
import type { SandboxProgram } from "../../src/lab/sandbox.ts";
import { DEMO, instance, type LabWorkload, NODES, type Topology, UNDERLAY_NAMESPACE } from "../../src/lab/topology.ts";
import type { CallResult } from "../../src/lab/workload-protocol.ts";
import type { NetworkReport, NodeReport, StatusReport } from "../../src/model/reports.ts";
import { describeLab, openLab } from "./lab.ts";
import { packet } from "./packet-builder.ts";
import { spoof } from "./spoof.ts";

const LISTEN = fileURLToPath(new URL("../e2e/in-workload/listen.mjs", import.meta.url));
const FAMILIES = ["v4", "v6"] as const;
type Family = (typeof FAMILIES)[number];
const STRANGER = "stranger";
const STRANGER_ADDRESSES = { v4: "192.0.2.99", v6: "2001:db8::99" } as const;
const NODE_B = "node-b";
const PORT = 7777;
const PACKETS = 20;
/** Addresses that B 1 has, and those of A 1's namespace. */
const B1 = { v4: "10.30.0.3", v6: "fdff::3" } as const;
const A1 = { v4: "10.101.3.23", v6: "fc00::101:3:23" } as const;
/** The attacker on node-b, behind its masquerading. */
const E1: LabWorkload = { name: "e1", node: NODE_B, addresses: { v4: "10.18.3.66", v6: "fc00::18:3:66" } };
/** Whom the attacker would like to be. */
const FORGED = "forged";

export function describeKernelAttacks(underlayFamily: Family): void {
  describeLab(`a node's kernel, asked by others, over IP${underlayFamily}`, () => story(underlayFamily));
}

function story(underlayFamily: Family): void {
  const [a, b] = [NODES[0], NODES[1]] as [(typeof NODES)[number], (typeof NODES)[number]];
  const topology: Topology = {
    ...DEMO,
    underlayFamily,
    nodes: [a, b],
    workloads: [...DEMO.workloads.slice(0, 2), E1],
    services: [
      ...DEMO.services.map((service) => ({ ...service, instances: service.instances.slice(0, 1) })),
      { name: "E", addresses: [], instances: [instance(1, E1, ["10.30.1.66", "fdff::166"])] },
    ],
  };
  let lab: Lab;
  const listeners = new Map<string, SandboxProgram>();

  beforeAll(async () => {
    lab = await openLab(topology, async (opened) => {
      lab = opened;
      await addStranger();
      await opened.sandbox.expect(["nft", "-f", "-"], NODE_B, MASQUERADE);
      // The attacker is first: its connection has the node's address and port before there is a tunnel.
      await speakAs(E1.name, E1.addresses[underlayFamily], a.underlay[underlayFamily], "early");
      await opened.startProxies();
    });
    for (const workload of ["a1", "b1"]) {
      const listener = lab.sandbox.start([process.execPath, LISTEN, String(PORT)], workload);
      await listener.until("the listener", ({ stdout }) => stdout.startsWith("ready\n"));
      listeners.set(workload, listener);
    }
  });

  afterAll(() => lab?.close());

  test("a masqueraded workload that had the tunnel's port first takes it from nobody, and is not heard as the node", async () => {
    await expectServed();
    for (const family of FAMILIES) {
      const forged = packet().ip(B1[family], A1[family]).udp({ sport: 80, dport: PORT }).payload(FORGED).bytes();
      await speakAs(E1.name, E1.addresses[underlayFamily], a.underlay[underlayFamily], forged);
    }
    await expectNothingForged("a1");
    await expectServed();
  });

  test("a workload with the address of a node is no node", async () => {
    const forged = packet().ip(B1.v4, A1.v4).udp({ sport: 80, dport: PORT }).payload(FORGED).bytes();
    // To the other node by way of its own, and to its own node: in the name of node-b and of node-a.
    await pretend(E1.name, b.underlay[underlayFamily], a.underlay[underlayFamily], b.bridge[underlayFamily], forged);
    await expectNothingForged("a1");
    const own = packet().ip("10.30.1.5", "10.18.3.1").udp({ sport: 80, dport: PORT }).payload(FORGED).bytes();
    await pretend(E1.name, a.underlay[underlayFamily], b.underlay[underlayFamily], b.bridge[underlayFamily], own);
    await expectNothingForged("b1");
    await expectServed();
  });

  test("a host on the link hands no packet to a workload past the tunnel", async () => {
    const family = underlayFamily;
    const workload = topology.workloads[1]?.addresses[family] as string;
    const gateway = b.underlay[family];
    for (const source of ["10.30.1.5", "fdff::105", STRANGER_ADDRESSES[family]]) {
      if (source.includes(":") !== (family === "v6")) continue;
      await pretend(STRANGER, source, workload, gateway, FORGED, PORT);
    }
    await expectNothingForged("b1");
    await expectServed();
  });

  test("nobody but the TUN sends with the address of a service: not a workload, not the node itself", async () => {
    const family = underlayFamily;
    const [service, workload] = [
      { v4: "10.30.1.5", v6: "fdff::105" }[family],
      topology.workloads[1]?.addresses[family],
    ];
    await pretend(E1.name, service, workload as string, b.bridge[family], FORGED, PORT);
    const host = family === "v4" ? "32" : "128 nodad";
    const address = `address add ${service}/${host} dev lo`;
    await configure(lab.sandbox, NODE_B, [address]);
    const send = `
      const socket = require("dgram").createSocket("udp${family[1]}");
      socket.bind({ address: "${service}" }, () => {
        socket.send("${FORGED}", ${PORT}, "${workload}", (error) => { console.log(error?.code); socket.close(); });
      });`;
    expect(await lab.sandbox.expect([process.execPath, "-e", send], NODE_B)).toBe("EPERM\n");
    await configure(lab.sandbox, NODE_B, [address.replace(" add ", " del ").replace(" nodad", "")]);
    await expectNothingForged("b1");
    await expectServed();
  });

  if (underlayFamily === "v6") return; // the rest is the same for both

  test.for([
    ["the filter", "nft flush ruleset"],
    ["a rule of the filter", "nft flush chain inet sapwood-sapwood0 arrive"],
  ] as const)("somebody takes %s away: put back, and told", async ([, command]) => {
    const before = await inForce();
    const { repairs } = await network();
    await lab.sandbox.expect(["sh", "-e", "-c", command], NODE_B);
    await eventually("the repair", async () => (await network()).repairs > repairs);
    expect((await network()).lastRepair?.what.join()).toContain("the packet filter");
    expect(await inForce()).toEqual(before);
    await expectServed();
  });

  test("a workload that comes and goes is guarded while it is there", async () => {
    const late = {
      name: "late",
      addresses: [],
      instances: [{ ...instance(1, E1, ["10.30.1.77"]), namespaceAddresses: ["10.18.3.77"] }],
    };
    const tables = tablesOf(topology);
    for (const services of [[...tables.services, late], tables.services]) {
      lab.writeConfig(NODE_B, { ...tables, services });
      const isThere = services.includes(late);
      await eventually("the filter to follow", async () => (await inForce()).includes("10.18.3.77") === isThere);
    }
  });

  /** With a rule of its own a kernel looks up each route in several tables. */
  test("the guard needs no routing rule", async () => {
    const rules = await lab.sandbox.expect(["sh", "-c", "ip -4 rule; ip -6 rule"], NODE_B);
    const lookups = rules.split("\n").map((line) => line.replace(/^\d+:\s*/, "").trim());
    expect([...new Set(lookups)]).toEqual([
      "from all lookup local",
      "from all lookup main",
      "from all lookup default",
      "",
    ]);
  });

  test("a clean stop leaves no filter, and a killed proxy's are taken over", async () => {
    const before = await inForce();
    lab.proxy(NODE_B).kill("SIGKILL");
    await lab.proxy(NODE_B).ended;
    await lab.startProxy(NODE_B);
    expect(await inForce()).toEqual(before);
    await eventually("the other node to hear of it again", async () => {
      const nodes = await lab.report<readonly NodeReport[]>("node-a", "nodes");
      return nodes.every(({ state }) => state === "reachable");
    });
    await expectServed();
    expect(await lab.proxy(NODE_B).stop()).toMatchObject({ code: 0 });
    expect(await inForce()).toBe("");
  });

  async function addStranger(): Promise<void> {
    await addNamespaces(lab.sandbox, [STRANGER]);
    const ends = [
      { namespace: STRANGER, device: "eth0" },
      { namespace: UNDERLAY_NAMESPACE, device: STRANGER },
    ] as const;
    await addVethPairs(lab.sandbox, [{ ends, mtu: 1500 }]);
    await configure(lab.sandbox, UNDERLAY_NAMESPACE, [`link set ${STRANGER} master br0`, `link set ${STRANGER} up`]);
    const { v4, v6 } = STRANGER_ADDRESSES;
    const addresses = [`address add ${v4}/24 dev eth0`, `address add ${v6}/64 dev eth0 nodad`];
    await configure(lab.sandbox, STRANGER, ["link set eth0 up", ...addresses]);
  }

  /** Sends a datagram many times from the tunnel's port to another one. */
  async function speakAs(
    namespace: string,
    source: string,
    destination: string,
    bytes: Uint8Array | string,
    port: number = TUNNEL_PORT,
  ): Promise<void> {
    const datagrams = Array(PACKETS).fill(Buffer.from(bytes).toString("hex"));
    const spoofed = { namespace, from: [source, TUNNEL_PORT], to: [destination, port], datagrams } as const;
    const { sent } = await spoof(lab.sandbox, spoofed, async () => {});
    expect(sent).toBe(PACKETS);
  }

  /** The same from an address that is not the sender's, by way of a gateway. */
  async function pretend(
    namespace: string,
    source: string,
    destination: string,
    gateway: string,
    bytes: Uint8Array | string,
    port: number = TUNNEL_PORT,
  ): Promise<void> {
    const host = source.includes(":") ? 128 : 32;
    const isOwn = Object.values(STRANGER_ADDRESSES).includes(source as never);
    if (!isOwn)
      await configure(lab.sandbox, namespace, [`address add ${source}/${host} dev lo${host === 128 ? " nodad" : ""}`]);
    await configure(lab.sandbox, namespace, [`route replace ${destination}/${host} via ${gateway}`]);
    await speakAs(namespace, source, destination, bytes, port);
    await configure(lab.sandbox, namespace, [`route del ${destination}/${host}`]);
    if (!isOwn) await configure(lab.sandbox, namespace, [`address del ${source}/${host} dev lo`]);
  }

  /** What an honest sender sends afterwards comes, and nothing else came. */
  async function expectNothingForged(workload: string): Promise<void> {
    const listener = listeners.get(workload) as SandboxProgram;
    const [from, to] = workload === "a1" ? ["b1", "10.30.1.5"] : ["a1", B1.v4];
    const text = `honest ${Math.random()}`;
    const send = `require("dgram").createSocket("udp4").send(${JSON.stringify(text)}, ${PORT}, "${to}", () => process.exit())`;
    await lab.sandbox.expect([process.execPath, "-e", send], from);
    await listener.until("the honest datagram", ({ stdout }) => stdout.includes(text));
    const heard = listener.stdout.split("\n").filter((line) => line.includes(FORGED));
    expect([...new Set(heard)]).toEqual([]);
  }

  async function expectServed(): Promise<void> {
    const calls = Object.values(B1).flatMap((address) =>
      (["http", "udp"] as const).map((protocol) => ({ protocol, address })),
    );
    const results = await lab.ask<CallResult[]>("a1", { kind: "together", calls, rounds: 2 });
    expect(results.flatMap(({ failures }) => failures)).toEqual([]);
  }

  /** The table of node-b that is the proxy's. */
  async function inForce(): Promise<string> {
    return (await lab.sandbox.run(["nft", "-s", "list", "table", "inet", "sapwood-sapwood0"], NODE_B)).stdout;
  }

  async function network(): Promise<NetworkReport> {
    return (await lab.report<StatusReport>(NODE_B, "status")).network;
  }
}

/** As container engines do it for what leaves their bridges. */
const MASQUERADE = FAMILIES.map((family) => {
  const table = family === "v4" ? "ip" : "ip6";
  return `table ${table} nat { chain leave { type nat hook postrouting priority srcnat; oifname "eth0" masquerade; }; }\n`;
}).join("");
