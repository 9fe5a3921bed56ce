// An encrypted underlay with a node that has no key, and what the doctor says of one that has one.
import { afterAll, beforeAll, expect, test } from "vitest";
import { TUNNEL_PORT } from "../../assembly/shared/sockets.ts";
import { eventually, Lab } from "../../src/lab/lab.ts";
import { configure } from "../../src/lab/netns.ts";
import { DEMO, type Topology } from "../../src/lab/topology.ts";
import type { CallResult } from "../../src/lab/workload-protocol.ts";
import type { NodeReport } from "../../src/model/reports.ts";
import { tunnelAddressOf } from "../../src/net/wireguard-key.ts";
import { addStranger, ingress, neighbours, STRANGER, settledIngress, untilReadOn } from "../support/encrypted-lab.ts";
import { describeLab } from "../support/lab.ts";
import { packet } from "../support/packet-builder.ts";
import { absence } from "../support/programs.ts";
import { spoof } from "../support/spoof.ts";

const isThere = ({ node }: { readonly node: string }): boolean => node !== "node-c";
const TOPOLOGY: Topology = {
  ...DEMO,
  nodes: DEMO.nodes.filter(({ id }) => isThere({ node: id })),
  workloads: DEMO.workloads.filter(isThere),
  services: DEMO.services.map((service) => ({ ...service, instances: service.instances.filter(isThere) })),
  encryption: "auto",
  clearNodes: ["node-d"],
};

describeLab("an encrypted underlay with a node that has no key", () => {
  let lab: Lab;

  beforeAll(async () => {
    lab = await Lab.open(TOPOLOGY);
    await lab.startProxies();
    await addStranger(lab);
  });

  afterAll(() => lab?.close());

  test("the node is reached in clear, because its entry says so, and the others through WireGuard", async () => {
    const nodes = await lab.report<readonly NodeReport[]>("node-a", "nodes");
    expect(nodes.map(({ id, encryption }) => `${id} ${encryption}`)).toEqual([
      "node-a wireguard",
      "node-b wireguard",
      "node-d none",
    ]);
    const clear = await lab.capture("node-a", TUNNEL_PORT);
    for (const address of ["10.30.0.5", "fdff::5", "10.30.0.3", "fdff::3"]) {
      const calls = [{ protocol: "http", address }] as const;
      const [result] = await lab.ask<CallResult[]>("a1", { kind: "together", calls, rounds: 3 });
      expect(result?.failures).toEqual([]);
    }
    const seen = await Lab.endCapture(clear);
    expect(seen).toContain("fc00::41:3:7");
    expect(seen).not.toContain("fc00::18:3:1");
  });

  test("a clear datagram that claims an address inside WireGuard is not even read", async () => {
    const inside = {
      from: tunnelAddressOf(lab.keys.get("node-b") ?? ""),
      to: tunnelAddressOf(lab.keys.get("node-a") ?? ""),
    };
    await configure(lab.sandbox, STRANGER, [
      `address add ${inside.from}/128 dev lo nodad`,
      `route add ${inside.to}/128 dev eth0`,
      ...(await neighbours(lab, "node-a", [inside.to])),
    ]);
    const before = await settledIngress(lab, "node-a");
    const forged = packet().ipv4({ src: "10.30.0.3", dst: "10.101.3.23" }).udp({ sport: 80, dport: 4000 });
    const datagrams = Array(50).fill(Buffer.from(forged.payload("forged").bytes()).toString("hex"));
    const [from, to] = [[inside.from, TUNNEL_PORT] as const, [inside.to, TUNNEL_PORT] as const];
    const spoofed = { namespace: STRANGER, from, to, datagrams };
    expect(await spoof(lab.sandbox, spoofed, () => untilReadOn(lab, "node-a"))).toEqual({ sent: 50, answers: 0 });
    expect(await ingress(lab, "node-a")).toEqual(before);
  });

  test.skipIf(absence("iptables") !== undefined)(
    "the doctor says that all is well, and finds WireGuard's port closed",
    async () => {
      const wrong = async (): Promise<string> => {
        const { stdout } = await lab.sapwood("node-a", ["doctor"]);
        return stdout
          .split("\n")
          .filter((line) => line.startsWith("WRONG"))
          .join("\n");
      };
      await eventually("all to be well", async () => (await wrong()) === "");
      await lab.sandbox.expect(["iptables", "-A", "INPUT", "-p", "udp", "--dport", "51820", "-j", "DROP"], "node-a");
      expect(await wrong()).toMatch(/^WRONG +firewall +a rule of chain INPUT .* to UDP port 51820 on eth0$/);
      await lab.sandbox.expect(["iptables", "-F", "INPUT"], "node-a");
    },
  );
});
