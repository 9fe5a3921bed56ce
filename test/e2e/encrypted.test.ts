// An underlay through WireGuard: the requests do what they promise, nothing readable is on the wire, and a host without
// a key can neither inject, replay nor learn anything. One lab for each WireGuard there is; its tests are the steps of
// one story and run in this order. A node without a key among them: encrypted-mixed.test.ts.
import { afterAll, beforeAll, expect, test } from "vitest";
import { TUNNEL_PORT } from "../../assembly/shared/sockets.ts";
import { playRequests } from "../../src/lab/demo.ts";
import { configFile, eventually, Lab } from "../../src/lab/lab.ts";
import { configure } from "../../src/lab/netns.ts";
import { tablesOf, wireguardDevice } from "../../src/lab/node-config.ts";
import type { SandboxProgram } from "../../src/lab/sandbox.ts";
import { DEMO, UNDERLAY_NAMESPACE } from "../../src/lab/topology.ts";
import type { CallResult } from "../../src/lab/workload-protocol.ts";
import type { CountersReport, KeyReport, NodeReport, StatusReport } from "../../src/model/reports.ts";
import type { Service, Tables } from "../../src/model/tables.ts";
import { newPrivateKey, publicKeyOf, tunnelAddressOf, WIREGUARD_PORT } from "../../src/net/wireguard-key.ts";
import {
  addStranger,
  commandExists,
  HELD,
  ingress,
  kernelHasWireguard,
  neighbours,
  placeOf,
  STRANGER,
  settledIngress,
  untilReadOn,
  untilRecorded,
  untilRequests,
  WIRE_FILE,
  withKeys,
} from "../support/encrypted-lab.ts";
import { describeLab } from "../support/lab.ts";
import { packet } from "../support/packet-builder.ts";
import { spoof } from "../support/spoof.ts";

const NODE_A = "192.0.2.11";
const NODE_B = "192.0.2.12";
/** B 1 on node-b, called from a1 on node-a. */
const B1 = "10.30.0.3";
const MARKER = "a-word-that-is-nowhere-else";

describeBackend("wireguard-go", commandExists("wireguard-go") ? undefined : "wireguard-go is not installed");
describeBackend("kernel", kernelHasWireguard() ? undefined : "this kernel has no WireGuard");

function describeBackend(backend: "kernel" | "wireguard-go", lacks: string | undefined): void {
  const name = `an underlay that is encrypted by ${backend}`;
  if (lacks === undefined) describeLab(name, () => story(backend));
  else test.skip(`${name} (skipped: ${lacks})`, () => undefined);
}

function story(backend: "kernel" | "wireguard-go"): void {
  let lab: Lab;
  let wire: SandboxProgram;
  let keyOf: (node: string) => string;

  beforeAll(async () => {
    lab = await Lab.open({ ...DEMO, encryption: backend });
    await lab.startProxies();
    keyOf = (node) => lab.keys.get(node) ?? "";
    await addStranger(lab);
    // Not in immediate mode, in which each packet takes as much of the buffer as the longest: it holds all that is sent.
    const argv = ["tcpdump", "-Z", "root", "-U", "-B", "32768", "-i", "node-a", "-w", WIRE_FILE];
    wire = lab.sandbox.start(argv, UNDERLAY_NAMESPACE);
    await wire.until("the recording of the wire", ({ stderr }) => stderr.includes("listening on"));
  });

  afterAll(() => lab?.close());

  test("the five requests do what their address promises", async () => {
    const outcomes = await playRequests(lab);
    expect(outcomes.flatMap(({ faults }) => faults)).toEqual([]);
    expect(outcomes).toHaveLength(6);
  });

  test("status, nodes and the key tell how the node is reached", async () => {
    const key = await lab.report<KeyReport>("node-a", "key");
    expect(key).toMatchObject({ backend, publicKey: keyOf("node-a"), address: tunnelAddressOf(keyOf("node-a")) });
    const nodes = await lab.report<readonly NodeReport[]>("node-a", "nodes");
    expect(nodes.map(({ encryption, publicKey }) => ({ encryption, publicKey }))).toEqual(
      DEMO.nodes.map(({ id }) => ({ encryption: "wireguard", publicKey: keyOf(id) })),
    );
    const { tun } = await lab.report<StatusReport>("node-a", "status");
    expect(tun.mtu).toBe(1500 - 80 - 50);
    const mode = await lab.sandbox.expect(["stat", "-c", "%a", "/run/sapwood/node-a/state/wireguard.key"]);
    expect(mode.trim()).toBe("600");
  });

  test("packets of every size arrive", async () => {
    const [result] = await lab.ask<CallResult[]>("a1", {
      kind: "together",
      calls: [{ protocol: "udp", address: B1 }],
      rounds: 20,
    });
    expect(result?.failures).toEqual([]);
    const sent = await lab.ask<{ sent: string; received: string }>("a1", {
      kind: "send",
      address: B1,
      sizeBytes: 8 * 2 ** 20,
    });
    expect(sent.received).toBe(sent.sent);
  });

  test("what somebody changes of the interface inside is put back", async () => {
    const device = wireguardDevice("node-a");
    const inside = tunnelAddressOf(keyOf("node-a"));
    for (const [command, told] of [
      [`link set ${device} down`, "the link was down"],
      [`-6 route flush dev ${device}`, "the route fd"],
      [`address del ${inside}/128 dev ${device}`, `the address ${inside} was missing`],
      [`-6 rule del iif ${device} prohibit`, "the rule that lets nobody"],
    ] as const) {
      await lab.sandbox.expect(["ip", ...command.split(" ")], "node-a");
      await eventually(`a word about ${command}`, async () => lab.proxy("node-a").stderr.includes(told));
      expect(await page(`http://${B1}/`)).toContain("B 1");
    }
    await lab.sandbox.expect(["ip", "link", "del", device], "node-a");
    await eventually("the interface to be there again", async () =>
      (await page(`http://${B1}/`).catch(() => "")).includes("B 1"),
    );
    expect(await lab.sandbox.expect(["ip", "-6", "rule", "show"], "node-a")).toContain(`iif ${device}`);
  });

  test("nothing for a peer leaves by another route while the interface is down", async () => {
    const inside = tunnelAddressOf(keyOf("node-b"));
    // In one go, because the proxy puts the interface up again within moments.
    const steps = [
      "ip -6 route add default dev eth0 metric 5000",
      `ip link set ${wireguardDevice("node-a")} down`,
      `ip -6 route get ${inside}`,
    ];
    const { stdout } = await lab.sandbox.run(["sh", "-c", steps.join("; ")], "node-a");
    await lab.sandbox.expect(["ip", "-6", "route", "del", "default", "metric", "5000"], "node-a");
    expect(stdout).not.toContain("eth0");
    const prefix = `${inside.split(":").slice(0, 3).join(":")}::/48`;
    expect(await lab.sandbox.expect(["ip", "-6", "route", "show", "exact", prefix], "node-a")).toContain("unreachable");
    await eventually("the interface to be up again", async () =>
      (await page(`http://${B1}/`).catch(() => "")).includes("B 1"),
    );
  });

  test("nobody on the wire reads a byte of what the workloads say, nor their addresses", async () => {
    expect(await page(`http://${B1}/${MARKER}`)).toContain(MARKER);
    await untilRecorded(lab, wire);
    const fields = ["-T", "fields", "-e", "udp.port", "-e", "ip.proto", "-e", "_ws.col.Protocol"];
    const shown = await lab.sandbox.expect(["tshark", "-n", "-r", WIRE_FILE, ...fields, "-Y", "ip || ipv6"]);
    const others = shown.split("\n").filter((line) => line !== "" && !line.includes(String(WIREGUARD_PORT)));
    expect(others.filter((line) => !/ICMPv6/.test(line))).toEqual([]); // neighbour discovery
    const bytes = Buffer.from(await lab.sandbox.expect(["base64", "-w", "0", WIRE_FILE]), "base64");
    expect(bytes.length).toBeGreaterThan(8 * 2 ** 20);
    // Both addresses of a header: four bytes alone are in as much ciphertext once in a few hundred times.
    const headers = [
      [10, 30, 1, 5, 10, 18, 3, 1],
      [10, 30, 0, 3, 10, 101, 3, 23],
    ];
    for (const secret of [MARKER, "HTTP/1.1", ...headers.map((bytes) => Buffer.from(bytes))]) {
      expect(bytes.includes(secret), String(secret)).toBe(false);
    }
  });

  test("a host without a key cannot inject, whatever address it claims", async () => {
    const before = await settledIngress(lab, "node-b");
    const request = packet().ipv4({ src: "10.30.1.5", dst: "10.18.3.1" }).udp({ sport: 4000, dport: 80 });
    const datagrams = Array(50).fill(Buffer.from(request.payload("forged").bytes()).toString("hex"));
    const inside = { from: tunnelAddressOf(keyOf("node-a")), to: tunnelAddressOf(keyOf("node-b")) };
    await configure(lab.sandbox, STRANGER, [
      `address add ${NODE_A}/32 dev lo`,
      `address add ${inside.from}/128 dev lo nodad`,
      `route add ${inside.to}/128 dev eth0`,
      ...(await neighbours(lab, "node-b", [NODE_B, inside.to])),
    ]);
    for (const [from, to, port] of [
      [NODE_A, NODE_B, TUNNEL_PORT],
      [inside.from, inside.to, TUNNEL_PORT],
      [NODE_A, NODE_B, WIREGUARD_PORT],
    ] as const) {
      const spoofed = { namespace: STRANGER, from: [from, port], to: [to, port], datagrams } as const;
      expect(await spoof(lab.sandbox, spoofed, () => untilReadOn(lab, "node-b"))).toEqual({ sent: 50, answers: 0 });
    }
    expect(await ingress(lab, "node-b")).toEqual(before);
    expect(await page(`http://${B1}/`)).toContain("B 1");
  });

  test("what was recorded on the wire cannot be played again", async () => {
    await untilRecorded(lab, wire);
    const filter = `ip.src == ${NODE_B} && udp.dstport == ${WIREGUARD_PORT}`;
    const fields = ["-T", "fields", "-e", "udp.payload", "-Y", filter, "-c", "20000", "-d", "udp.port==0-65535,data"];
    const hex = await lab.sandbox.expect(["tshark", "-n", "-r", WIRE_FILE, ...fields]);
    const datagrams = hex.split("\n").filter((line) => line !== "");
    expect(datagrams.length).toBeGreaterThan(100);
    await configure(lab.sandbox, STRANGER, [
      `address add ${NODE_B}/32 dev lo`,
      ...(await neighbours(lab, "node-a", [NODE_A])),
    ]);
    const before = await settledIngress(lab, "node-a");
    const { sent } = await spoof(
      lab.sandbox,
      { namespace: STRANGER, from: [NODE_B, WIREGUARD_PORT], to: [NODE_A, WIREGUARD_PORT], datagrams },
      () => untilReadOn(lab, "node-a"),
    );
    expect(sent).toBe(datagrams.length);
    expect(await ingress(lab, "node-a")).toEqual(before);
    expect(await page(`http://${B1}/`)).toContain("B 1");
  });

  test("a node cannot speak for an instance of another node", async () => {
    const before = await wrongNode();
    // What a captured node would do: its tables give its own workload the addresses of A.
    const [a, b] = tablesOf(DEMO).services;
    const impostor = { ...a, instances: a?.instances.map((one) => ({ ...one, ...placeOf("b2"), node: "node-c" })) };
    const others = { ...b, instances: b?.instances.filter(({ node }) => node !== "node-c") };
    lab.writeConfig("node-c", { ...tablesOf(DEMO), services: [impostor as Service, others as Service] });
    await eventually("node-b to drop what node-c sends in the name of A", async () => {
      await lab.sandbox.run(["curl", "--silent", "--max-time", "1", `http://${B1}/`], "b2");
      return (await wrongNode()) > before;
    });
    lab.writeConfig("node-c", tablesOf(DEMO));
  });

  test("a node cannot reach workloads of another node past the tunnel", async () => {
    const { namespaceAddresses } = placeOf("b1");
    const [, v6 = ""] = namespaceAddresses;
    const device = wireguardDevice("node-c");
    const inside = tunnelAddressOf(keyOf("node-b"));
    await lab.sandbox.expect(
      ["wg", "set", device, "peer", keyOf("node-b"), "allowed-ips", `${inside}/128,${v6}/128`],
      "node-c",
    );
    await configure(lab.sandbox, "node-c", [`route add ${v6}/128 dev ${device}`]);
    const before = await filtered("node-b");
    const past = lab.sandbox.start(["curl", "--silent", "--max-time", "60", `http://[${v6}]/`], "node-c");
    await eventually("node-b's filter to drop it", async () => (await filtered("node-b")) > before);
    expect((await past.stop()).stdout).toBe("");
    await configure(lab.sandbox, "node-c", [`route del ${v6}/128 dev ${device}`]);
  });

  test("a workload that its node masquerades does not get inside", async () => {
    const masquerade = `table ip6 nat { chain leave { type nat hook postrouting priority srcnat; masquerade; }; }\n`;
    await lab.sandbox.expect(["nft", "-f", "-"], "node-c", masquerade);
    const before = await settledIngress(lab, "node-a");
    const forged = packet().ipv4({ src: "10.30.0.4", dst: "10.101.3.23" }).udp({ sport: 80, dport: 4000 });
    const datagrams = Array(50).fill(Buffer.from(forged.payload("forged").bytes()).toString("hex"));
    const [, v6 = ""] = placeOf("b2").namespaceAddresses;
    for (const port of [TUNNEL_PORT, 4000]) {
      const inside = tunnelAddressOf(keyOf("node-a"));
      const spoofed = { namespace: "b2", from: [v6, port], to: [inside, TUNNEL_PORT], datagrams } as const;
      expect(await spoof(lab.sandbox, spoofed, () => untilReadOn(lab, "node-a"))).toMatchObject({ answers: 0 });
    }
    expect(await ingress(lab, "node-a")).toEqual(before);
    await lab.sandbox.expect(["nft", "delete", "table", "ip6", "nat"], "node-c");
  });

  test("a node under a wrong key is lost, and found again under the right one", async () => {
    const tables = tablesOf(DEMO);
    lab.writeConfig("node-a", withKeys(tables, new Map([["node-b", publicKeyOf(newPrivateKey())]])));
    await eventually("node-a to lose node-b", async () => (await stateOf("node-b")) !== "reachable");
    expect((await tryPage(`http://${B1}/`)).stdout).toBe("");
    lab.writeConfig("node-a", tables);
    await untilHeard("node-b");
    expect(await page(`http://${B1}/`)).toContain("B 1");
  });

  test("a node is who its key says: with swapped keys the one gets what is meant for the other, and drops it", async () => {
    const tables = tablesOf(DEMO);
    const { generation } = await lab.report<StatusReport>("node-a", "status");
    const before = await notLocal("node-c");
    const swapped = { "node-b": keyOf("node-c"), "node-c": keyOf("node-b") };
    lab.writeConfig("node-a", withKeys(tables, new Map(Object.entries(swapped))));
    await eventually("node-a to take the change", async () => {
      return (await lab.report<StatusReport>("node-a", "status")).generation > generation;
    });
    await eventually("node-c to get what is meant for B 1", async () => {
      expect((await tryPage(`http://${B1}/`)).stdout).toBe("");
      return (await notLocal("node-c")) > before;
    });
    lab.writeConfig("node-a", tables);
    await eventually("B 1 to answer again", async () => (await tryPage(`http://${B1}/`)).stdout.includes("B 1"));
  });

  test("a node gets a new key under load, and no connection is lost", async () => {
    const load = lab.startClient("a1", { kind: "load", addresses: [B1], held: HELD });
    await untilRequests(load, 100);
    const made = await lab.startSapwood("node-b", ["key", "next", "--config", configFile("node-b"), "--json"]).ended;
    const next = JSON.parse(made.stdout) as { nextPublicKey: string };
    for (const node of ["node-a", "node-c", "node-d"]) {
      lab.writeConfig(node, withKeys(tablesOf(DEMO), new Map(), new Map([["node-b", next.nextPublicKey]])));
    }
    await eventually("node-a to know both keys", async () => {
      const peers = await lab.sandbox.expect(["wg", "show", wireguardDevice("node-a"), "peers"], "node-a");
      return peers.includes(next.nextPublicKey);
    });
    const { code, stderr } = await lab.sapwood("node-b", ["key", "activate"]);
    expect(code, stderr).toBe(0);
    const handed = await untilRequests(load, 200);
    for (const node of ["node-a", "node-c", "node-d"]) {
      lab.writeConfig(node, withKeys(tablesOf(DEMO), new Map([["node-b", next.nextPublicKey]])));
    }
    await eventually("node-a to forget the key before", async () => {
      const peers = await lab.sandbox.expect(["wg", "show", wireguardDevice("node-a"), "peers"], "node-a");
      return !peers.includes(keyOf("node-b"));
    });
    const after = await untilRequests(load, 200);
    load.endInput();
    await load.ended;
    for (const report of [handed, after]) {
      expect(report.failures).toEqual([]);
      expect(report.held.flatMap(({ failures }) => failures)).toEqual([]);
    }
    expect(after.held.map(({ sources }) => sources.length)).toEqual(HELD.map(() => 1)); // one port: one connection
  });

  test("a removed node is cut off at once", async () => {
    const tables = tablesOf(DEMO);
    const without: Tables = {
      nodes: tables.nodes.filter(({ id }) => id !== "node-a"),
      services: tables.services.filter(({ name }) => name !== "A"),
    };
    const { generation } = await lab.report<StatusReport>("node-d", "status");
    lab.writeConfig("node-d", without);
    await eventually("node-d to take the change", async () => {
      return (await lab.report<StatusReport>("node-d", "status")).generation > generation;
    });
    const peers = await lab.sandbox.expect(["wg", "show", wireguardDevice("node-d"), "peers"], "node-d");
    expect(peers).not.toContain(keyOf("node-a"));
    const before = await settledIngress(lab, "node-d");
    await eventually("node-a to lose node-d", async () => (await stateOf("node-d")) !== "reachable");
    expect(await ingress(lab, "node-d")).toEqual(before);
  });

  test("after kill -9 the next start takes the interface over", async () => {
    const proxy = lab.proxy("node-c");
    proxy.kill("SIGKILL");
    await proxy.ended;
    await lab.startProxy("node-c");
    await untilReadOn(lab, "node-c");
    await lab.proxy("node-c").stop();
    const left = await Promise.all([
      lab.sandbox.expect(["ip", "-o", "link", "show"], "node-c"),
      lab.sandbox.expect(["ip", "-6", "rule", "show"], "node-c"),
    ]);
    expect(left.join()).not.toContain(wireguardDevice("node-c"));
  });

  async function untilHeard(node: string): Promise<void> {
    await eventually(`node-a to hear of ${node}`, async () => (await stateOf(node)) === "reachable");
  }

  /** Whether node-a hears of another node. */
  async function stateOf(node: string): Promise<NodeReport["state"] | undefined> {
    const nodes = await lab.report<readonly NodeReport[]>("node-a", "nodes");
    return nodes.find(({ id }) => id === node)?.state;
  }

  /** What a1 gets within a second or two, if anything. */
  async function tryPage(url: string) {
    return await lab.sandbox.run(["curl", "--silent", "--max-time", "2", url], "a1");
  }

  async function notLocal(node: string): Promise<number> {
    return (await lab.report<CountersReport>(node, "counters")).drops.ingress.notLocalDestination ?? 0;
  }

  async function page(url: string): Promise<string> {
    return await lab.sandbox.expect(["curl", "--silent", "--show-error", "--max-time", "60", url], "a1");
  }

  /** Packets that the proxy's rules in a node's packet filter have dropped. */
  async function filtered(node: string): Promise<number> {
    const table = await lab.sandbox.expect(["nft", "list", "table", "inet", "sapwood-sapwood0"], node);
    return [...table.matchAll(/counter packets (\d+)/g)].reduce((sum, [, packets]) => sum + Number(packets), 0);
  }

  async function wrongNode(): Promise<number> {
    return (await lab.report<CountersReport>("node-b", "counters")).drops.ingress.wrongNode ?? 0;
  }
}
