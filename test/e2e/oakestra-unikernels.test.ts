// Unikernels on worker nodes, in both layouts of their device and with both kinds of address translation. In the place of a
// virtual machine there is a network namespace whose tap is wired to tap0. One cluster; the tests of a node are one story.
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { builtFile } from "../../src/lab/build-paths.ts";
import { eventually } from "../../src/lab/lab.ts";
import { addNamespaces, configure } from "../../src/lab/netns.ts";
import { UNDERLAY_NAMESPACE } from "../../src/lab/topology.ts";
import type { CallResult } from "../../src/lab/workload-protocol.ts";
import { BROKER, containerName, OakestraCluster } from "../support/oakestra/cluster.ts";
import { describeCluster } from "../support/oakestra/describe-cluster.ts";

const CLIENT = "c.d.client.d";
const RELAY = new URL("../support/oakestra/tap-relay.mjs", import.meta.url).pathname;
const NODES = [
  { node: "node-a", what: "a bridge, by nftables", tap: "bridge", tools: ":" },
  { node: "node-b", what: "a macvtap", tap: "macvtap", tools: ":" },
  {
    ...{ node: "node-c", what: "a bridge, by iptables and without conntrack", tap: "bridge" },
    tools: "for tool in nft conntrack; do mount --bind /dev/null $(command -v $tool); done",
  },
] as const;

describeCluster("unikernels on a worker node", () => {
  let cluster: OakestraCluster;

  beforeAll(async () => {
    cluster = await OakestraCluster.open(NODES.length);
    await cluster.order("service", { job: CLIENT, addresses: [] });
    await cluster.order("instance", { job: CLIENT, number: 0, ip: "10.30.0.99", ipv6: "fdff::99" });
    const argv = [process.execPath, builtFile("src/lab/workload-server.js"), "outside"];
    const server = cluster.lab.sandbox.start(argv, UNDERLAY_NAMESPACE);
    await server.until("a server outside", ({ stdout }) => stdout.includes("ready\n"));
    await Promise.all(NODES.map(({ node }) => start(node)));
    for (const [i, { node }] of NODES.entries()) {
      expect((await cluster.register(node, `65a00000000000000000000${i}`)).status).toBe(200);
    }
    expect((await cluster.deploy("node-a", { job: CLIENT, number: 0 })).status).toBe(200);
  });
  afterAll(() => cluster?.close());

  describe.each(NODES)("by $what", ({ node, tap }) => {
    const index = NODES.findIndex((one) => one.node === node);
    const job = `u${index}.d.guest.d`;
    const netns = `${job}.instance.0`;
    const guest = `guest-${index}`;
    const service = [`10.30.0.1${index}`, `fdff:2000::1${index}`];
    const order = { pid: 0, serviceName: job, instanceNumber: 0, portMappings: "8080:80" };
    let addresses: { nsAddress: string; nsAddressv6: string };

    test("a deploy makes a namespace with a device for the guest, and answers with both addresses", async () => {
      const [Address, Address_v6] = service;
      await cluster.order("service", { job, addresses: [{ IpType: "RR", Address, Address_v6 }] });
      await cluster.order("instance", { job, number: 0, ip: `10.30.0.2${index}`, ipv6: `fdff::2${index}` });
      const { status, body } = await cluster.post(node, "/unikernel/deploy", order);
      expect({ status, body }).toEqual({ status: 200, body: expect.stringContaining(`"serviceName":"${job}"`) });
      addresses = JSON.parse(body);
      expect(addresses).toMatchObject({
        nsAddress: expect.stringMatching(/^10\.18\./),
        nsAddressv6: expect.stringMatching(/^fc00::/),
      });
      const links = await cluster.lab.sandbox.expect(["ip", "-d", "link"], netns);
      expect(links).toContain(tap === "bridge" ? "virbr0" : "macvtap mode vepa");
      expect(links).toContain("tap0");
      expect((await cluster.post(node, "/unikernel/deploy", order)).status).toBe(500);
    });

    test("a guest is reached by the addresses of its service and by mapped ports, and reaches the outside [remedy 9]", async () => {
      await startGuest();
      const calls = service.map((address) => ({ protocol: "http", address }) as const);
      const results: CallResult[] = await cluster.lab.ask(containerName(CLIENT, 0), {
        kind: "together",
        calls,
        rounds: 1,
      });
      expect(results.map(({ failures }) => failures)).toEqual([[], []]);
      expect(results.map(({ instances }) => instances)).toEqual([[guest], [guest]]);
      const mapped = `http://192.0.2.1${index + 1}:8080`;
      expect(await cluster.lab.sandbox.expect(["curl", "-sS", "-m", "20", mapped], UNDERLAY_NAMESPACE)).toContain(
        guest,
      );
      const outside = await cluster.lab.sandbox.expect(["curl", "-sS", "-m", "20", `http://${BROKER}`], guest);
      expect(JSON.parse(outside)).toMatchObject({ instance: "outside", source: `192.0.2.1${index + 1}` });
    });

    test("a daemon that is killed keeps it, and an undeploy leaves neither namespace nor interface", async () => {
      cluster.daemon(node).kill("SIGKILL");
      await cluster.daemon(node).ended;
      await start(node);
      const calls = [{ protocol: "http", address: service[0] ?? "" }] as const;
      await eventually("the guest to answer", async () => {
        const [result] = await cluster.lab.ask<CallResult[]>(containerName(CLIENT, 0), {
          kind: "together",
          calls,
          rounds: 1,
        });
        return result?.failures.length === 0;
      });
      const undeploy = { ...order, pid: -1 };
      expect(await cluster.post(node, "/unikernel/undeploy", undeploy)).toEqual({ status: 200, body: "" });
      expect(await cluster.post(node, "/unikernel/undeploy", undeploy)).toEqual({ status: 200, body: "" });
      expect(await cluster.lab.sandbox.expect(["ip", "netns"])).not.toContain(netns);
      const links = await cluster.lab.sandbox.expect(["ip", "-br", "link"], node);
      expect(links.match(/veth00\w+/g) ?? []).toHaveLength(node === "node-a" ? 1 : 0); // the client's
      expect((await cluster.post(node, "/unikernel/deploy", order)).status).toBe(200);
      expect((await cluster.post(node, "/unikernel/undeploy", undeploy)).status).toBe(200);
      const told = cluster.daemon(node).stderr.split("install conntrack").length - 1;
      expect(told).toBe(node === "node-c" ? 1 : 0);
    });

    /** As the programs that run unikernels do it. */
    async function startGuest(): Promise<void> {
      const { sandbox } = cluster.lab;
      await addNamespaces(sandbox, [guest]);
      let device = "/dev/net/tun";
      if (tap === "macvtap") {
        device = `/run/${guest}.tap`;
        const number = "cat /sys/class/net/tap0/macvtap/*/dev | tr : ' '";
        await sandbox.expect(["sh", "-c", `mknod ${device} c $(ip netns exec ${netns} sh -c "${number}")`]);
      }
      const relay = (path: string, name: string, where: string) => {
        const argv = [process.execPath, RELAY, builtFile("src/sys/libc.js"), path, name, `/run/${guest}.sock`];
        return sandbox.start(argv, where);
      };
      const host = relay(device, "tap0", netns);
      await host.until("the tap", ({ stdout }) => stdout.includes("listening\n"));
      await relay("/dev/net/tun", "g0", guest).until("the cable", ({ stdout }) => stdout.includes("connected\n"));
      const show = ["ip", "-json", "link", "show", "tap0"];
      const mac: unknown = JSON.parse(await sandbox.expect(show, netns))[0].address;
      const { nsAddress: v4, nsAddressv6: v6 } = addresses;
      const own = tap === "bridge" ? ["192.168.1.2/30", "fd5a:9d00:1::2/126"] : [`${v4}/26`, `${v6}/120`];
      const gateways =
        tap === "bridge"
          ? ["192.168.1.1", "fd5a:9d00:1::1"]
          : [v4.replace(/\d+$/, (n) => String((Number(n) & ~63) + 1)), v6.replace(/02$/, "01")];
      if (tap === "macvtap") {
        const peer = /veth01\w+/.exec(await sandbox.expect(["ip", "-br", "link"], netns))?.[0];
        await configure(sandbox, netns, [`addr flush dev ${peer}`]);
        await configure(sandbox, guest, [`link set dev g0 address ${String(mac)}`]);
      }
      await configure(sandbox, guest, [
        ...own.map((address) => `addr add ${address} dev g0${address.includes(":") ? " nodad" : ""}`),
        "link set dev g0 up",
        ...gateways.map((gateway) => `route add default via ${gateway}`),
      ]);
      const argv = [process.execPath, builtFile("src/lab/workload-server.js"), guest];
      const server = sandbox.start(argv, guest);
      await server.until("the guest's server", ({ stdout }) => stdout.includes("ready\n"));
    }
  });

  async function start(node: string): Promise<void> {
    const { tap = "", tools = "" } = NODES.find((one) => one.node === node) ?? {};
    // Namespaces by name stay visible for everybody.
    const unshare = ["unshare", "--mount", "--propagation", "unchanged", "sh", "-e", "-c", `${tools}; exec "$@"`, "sh"];
    await cluster.startNode(node, {}, [`UnikernelTap=${tap}`, ...unshare]);
  }
});
