// Address translation and forwarding of a worker node, by each of the kernel's three interfaces, on machines whose firewall
// drops what it does not know, as Docker sets it up. One cluster, each node with tools of its own.

import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { builtFile } from "../../src/lab/build-paths.ts";
import type { SandboxProgram } from "../../src/lab/sandbox.ts";
import { UNDERLAY_NAMESPACE } from "../../src/lab/topology.ts";
import { BROKER, containerName, OakestraCluster } from "../support/oakestra/cluster.ts";
import { describeCluster } from "../support/oakestra/describe-cluster.ts";

const JOB = "x.d.server.d";
const MAPPED_PORT = fileURLToPath(new URL("in-workload/mapped-port.mjs", import.meta.url));
const WITHOUT_NFT = "mount --bind /dev/null $(command -v nft)";
const LEGACY = "mount --bind /usr/sbin/xtables-legacy-multi /usr/sbin/xtables-nft-multi";

interface Machine {
  readonly what: string;
  readonly node: string;
  readonly address: { readonly v4: string; readonly v6: string };
  /** Takes tools away from the daemon. */
  readonly tools: string;
  readonly iptables: string;
  readonly backend: "nftables" | "iptables";
  /** Another program's rules, for both families. */
  readonly foreign: string;
}

const MACHINES: readonly Machine[] = [
  {
    ...{ what: "nftables beside Docker's iptables", node: "node-a", address: { v4: "192.0.2.11", v6: "2001:db8::11" } },
    ...{ tools: ":", iptables: "iptables-nft", backend: "nftables", foreign: "-P FORWARD DROP" },
  },
  {
    ...{ what: "iptables upon nftables", node: "node-b", address: { v4: "192.0.2.12", v6: "2001:db8::12" } },
    ...{ tools: WITHOUT_NFT, iptables: "iptables-nft", backend: "iptables", foreign: "-A FORWARD -j REJECT" },
  },
  {
    ...{ what: "iptables of old", node: "node-c", address: { v4: "192.0.2.13", v6: "2001:db8::13" } },
    ...{
      tools: `${WITHOUT_NFT}; ${LEGACY}`,
      iptables: "iptables-legacy",
      backend: "iptables",
      foreign: "-P FORWARD DROP",
    },
  },
];

describeCluster(
  "a worker node's firewall",
  () => {
    let cluster: OakestraCluster;

    beforeAll(async () => {
      cluster = await OakestraCluster.open(MACHINES.length);
      await cluster.order("service", { job: JOB, addresses: [] });
      const argv = [process.execPath, builtFile("src/lab/workload-server.js"), "outside"];
      const server = cluster.lab.sandbox.start(argv, UNDERLAY_NAMESPACE);
      await server.until("a server outside", ({ stdout }) => stdout.includes("ready\n"));
    });
    afterAll(() => cluster?.close());

    describe.each(MACHINES)("$what", (machine) => {
      const { node, address, iptables, backend, foreign } = machine;
      const number = MACHINES.indexOf(machine);
      const container = containerName(JOB, number);
      const other = MACHINES.find((one) => one.node !== node)?.node ?? "";
      const mappings = { job: JOB, number, portMappings: "8080:80,8081:80/udp" };
      /** NetManager takes no rule away when it ends. This one would take the mapped port. */
      const leftByNetManager = `$it -t nat -N OAKESTRA
        for chain in PREROUTING OUTPUT; do $it -t nat -A $chain -j OAKESTRA; done
        case $it in *ip6*) to='[fc00::909]';; *) to=10.18.9.9;; esac
        $it -t nat -A OAKESTRA -p tcp --dport 8080 -j DNAT --to-destination $to:80`;
      let clients: readonly SandboxProgram[];
      let before: string;

      beforeAll(async () => {
        await cluster.order("instance", { job: JOB, number, ip: `10.30.0.2${number}`, ipv6: `fdff::2${number}` });
        await cluster.lab.sandbox.expect(["sh", "-c", both(`$it -t filter ${foreign}; $it -t nat -S`)], node);
        before = await rules();
        await cluster.lab.sandbox.expect(["sh", "-c", both(leftByNetManager)], node);
        await start();
        expect((await cluster.register(node, `65a00000000000000000000${number}`)).status).toBe(200);
      });

      test("mapped ports of the node's own addresses lead to the container, in both families", async () => {
        clients = await startClients();
        expect((await cluster.deploy(node, mappings)).status).toBe(200);
        for (const url of [`http://${address.v4}:8080`, `http://[${address.v6}]:8080`]) {
          expect(await fetchFrom(other, url)).toContain(`"${JOB} ${number}"`);
          expect(await fetchFrom(node, url)).toContain(`"${JOB} ${number}"`);
        }
        const elsewhere = await cluster.lab.sandbox.run(
          ["curl", "-sS", "-m", "10", `http://${BROKER}:8080`],
          container,
        );
        expect(elsewhere.stderr).toContain("Failed to connect");
      });

      test("a client that asked before the port was mapped is answered, and connected", async () => {
        for (const client of clients) {
          for (const protocol of ["tcp", "udp"]) await saw(client, `${protocol} ${JOB} ${number}`);
        }
      });

      test("the chain of mapped ports has its name, once, at both hooks of the node's own addresses, in both families [behaviour 13]", async () => {
        const { v4, v6 } = await addressesOf(container);
        const text = await nat();
        if (backend === "nftables") {
          expect(text).not.toContain("-N OAKESTRA"); // of NetManager
          const table = await cluster.lab.sandbox.expect(
            ["nft", "-y", "list", "table", "inet", "sapwood_netmanager"],
            node,
          );
          const [, ports] = /chain OAKESTRA \{\s*([^}]*?)\s*\}/.exec(table) ?? [];
          expect(ports?.split(/\s*\n\s*/)).toEqual([
            "dnat ip to tcp dport map @tcp4",
            "dnat ip6 to tcp dport map @tcp6",
            "dnat ip to udp dport map @udp4",
            "dnat ip6 to udp dport map @udp6",
          ]);
          for (const hook of ["prerouting", "output"]) {
            const chain = `chain ${hook} \\{\\s*type nat hook ${hook} priority -100; policy accept;\\s*`;
            expect(table).toMatch(new RegExp(`${chain}fib daddr type local jump OAKESTRA\\s*\\}`));
          }
          expect(table.match(/jump OAKESTRA/g)).toHaveLength(2);
          expect(table).toContain(`elements = { 8080 : ${v4} . 80 }`);
          expect(table).toContain(`elements = { 8080 : ${v6} . 80 }`);
          return;
        }
        const lines = text.split("\n").filter((line) => line.includes("OAKESTRA") && !line.includes("OAKESTRA_LEAVE"));
        const of = (to: string) => [
          "-N OAKESTRA",
          "-A PREROUTING -m addrtype --dst-type LOCAL -j OAKESTRA",
          "-A OUTPUT -m addrtype --dst-type LOCAL -j OAKESTRA",
          `-A OAKESTRA -p tcp -m tcp --dport 8080 -j DNAT --to-destination ${to}:80`,
          `-A OAKESTRA -p udp -m udp --dport 8081 -j DNAT --to-destination ${to}:80`,
        ];
        expect(lines).toEqual([...of(v4), ...of(`[${v6}]`)]);
      });

      test("a container reaches the outside with the node's address", async () => {
        const answer = JSON.parse(await fetchFrom(container, `http://${BROKER}`));
        expect(answer).toMatchObject({ instance: "outside", source: address.v4 });
      });

      test("rules are not doubled by a process that follows one that was killed", async () => {
        const seen = await rules();
        cluster.daemon(node).kill("SIGKILL");
        await cluster.daemon(node).ended;
        await start();
        expect(await rules()).toBe(seen);
        expect(await fetchFrom(container, `http://${BROKER}`)).toContain("outside");
      });

      test("an undeploy ends connections through mapped ports, and the next container has the port's clients", async () => {
        const { v4, v6 } = await addressesOf(container);
        expect(await tracked()).toContain(v4);
        expect((await cluster.undeploy(node, JOB, number)).status).toBe(200);
        for (const client of clients) await saw(client, "tcp closed");
        const left = await tracked();
        for (const own of [v4, v6]) expect(left).not.toContain(`src=${own} `);
        const next = number + MACHINES.length;
        await cluster.order("instance", { job: JOB, number: next, ip: `10.30.0.2${next}`, ipv6: `fdff::2${next}` });
        expect((await cluster.deploy(node, { ...mappings, number: next })).status).toBe(200);
        for (const client of clients) await saw(client, `udp ${JOB} ${next}`);
        for (const client of clients) await client.stop();
        expect((await cluster.undeploy(node, JOB, next)).status).toBe(200);
        expect((await cluster.deploy(node, mappings)).status).toBe(200);
      });

      test("a filter that comes later, or loses the rules, lets the next container through", async () => {
        await cluster.lab.sandbox.expect(["sh", "-c", both(`$it -F FORWARD; $it ${foreign}`)], node);
        expect((await cluster.undeploy(node, JOB, number)).status).toBe(200);
        expect((await cluster.deploy(node, { job: JOB, number })).status).toBe(200);
        expect(await fetchFrom(container, `http://${BROKER}`)).toContain("outside");
      });

      test("after the last undeploy and a stop the rules are those from before", async () => {
        expect((await cluster.undeploy(node, JOB, number)).status).toBe(200);
        cluster.daemon(node).kill("SIGTERM");
        await cluster.daemon(node).ended;
        expect(await rules()).toBe(before);
      });

      /** On another node, one for each family. */
      async function startClients(): Promise<SandboxProgram[]> {
        const argv = [process.execPath, MAPPED_PORT];
        const started = [address.v4, address.v6].map((one) =>
          cluster.lab.sandbox.start([...argv, one, "8080", "8081"], other),
        );
        for (const client of started) await saw(client, "asking");
        return started;
      }

      async function saw(client: SandboxProgram, line: string): Promise<void> {
        await client.until(`"${line}"`, ({ stdout }) => stdout.split("\n").includes(line));
      }

      async function addressesOf(namespace: string): Promise<{ readonly v4: string; readonly v6: string }> {
        const text = await cluster.lab.sandbox.expect(["ip", "-br", "address", "show", "scope", "global"], namespace);
        const [, v4 = "", v6 = ""] = /(10\.\S+)\/26 .*(fc00:\S+)\/120/.exec(text) ?? [];
        return { v4, v6 };
      }

      /** Connections that the node's kernel tracks, of both families. */
      function tracked(): Promise<string> {
        return cluster.lab.sandbox.expect(["sh", "-c", "conntrack -L -f ipv4; conntrack -L -f ipv6"], node);
      }

      async function start(): Promise<void> {
        const prefix = ["unshare", "--mount", "sh", "-e", "-c", `${machine.tools}; exec "$@"`, "sh"];
        await cluster.startNode(node, {}, prefix);
      }

      /** For both families of this machine's iptables. */
      function both(commands: string): string {
        return `set -e; for it in ${iptables} ${iptables.replace("ip", "ip6")}; do ${commands}; done`;
      }

      function nat(): Promise<string> {
        return cluster.lab.sandbox.expect(["sh", "-c", both("$it -t nat -S")], node);
      }

      /** iptables leaves the chains of the kernel that it has used once. */
      function rules(): Promise<string> {
        const nft = "nft list tables 2>/dev/null | grep sapwood_netmanager || true";
        return cluster.lab.sandbox.expect(["sh", "-c", `${both("$it -S; $it -t nat -S")}; ${nft}`], node);
      }
    });

    function fetchFrom(namespace: string, url: string): Promise<string> {
      return cluster.lab.sandbox.expect(["curl", "-sS", "-m", "20", url], namespace);
    }
  },
  "iptables-legacy",
);
