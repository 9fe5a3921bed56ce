// The kernel's own overlay, as flannel and kube-proxy (nftables mode) set it up: VXLAN between the nodes, with static
// neighbours, and on the client's node DNAT of the service address by one look-up in a verdict map. Encrypted: the same
// inside WireGuard, the kernel's if it has one, else wireguard-go.
import { availableParallelism } from "node:os";
import { eventually } from "../../src/lab/lab.ts";
import { configure } from "../../src/lab/netns.ts";
import { wireguardDevice } from "../../src/lab/node-config.ts";
import { Sandbox } from "../../src/lab/sandbox.ts";
import { build, type LabNode, type LabWorkload } from "../../src/lab/topology.ts";
import { newPrivateKey, publicKeyOf } from "../../src/net/wireguard-key.ts";
import type { Path, PathName } from "./path.ts";
import { CLIENT, CLIENT_NODE, SERVER, SERVER_NODE, SERVICE_ADDRESSES, TOPOLOGY } from "./scenario.ts";

const FORWARD = "for of in ipv4/ip_forward ipv6/conf/all/forwarding; do echo 1 > /proc/sys/net/$of; done";

/** The addresses of the VXLAN devices, which only the routes name. */
interface VxlanEnd {
  readonly node: LabNode;
  readonly workload: LabWorkload;
  readonly mac: string;
  readonly v4: string;
  readonly v6: string;
}

const CLIENT_END: VxlanEnd = {
  node: CLIENT_NODE,
  workload: CLIENT,
  mac: "02:00:00:00:00:01",
  v4: "198.51.100.1",
  v6: "2001:db8:1::1",
};
const SERVER_END: VxlanEnd = {
  node: SERVER_NODE,
  workload: SERVER,
  mac: "02:00:00:00:00:02",
  v4: "198.51.100.2",
  v6: "2001:db8:1::2",
};

/** WireGuard's interfaces, one on each node. */
const WIREGUARD_PORT = 51_820;
const WIREGUARD_MTU = 1420;
const VXLAN_OVERHEAD = 50;
const INSIDE: Readonly<Record<string, string>> = { [CLIENT_NODE.id]: "203.0.113.1", [SERVER_NODE.id]: "203.0.113.2" };

export async function openKernelPath(name: Extract<PathName, `kernel${string}`>): Promise<Path> {
  const sandbox = await Sandbox.open();
  const close = () => sandbox.close();
  const isEncrypted = name === "kernel encrypted";
  try {
    await build(sandbox, TOPOLOGY);
    if (isEncrypted) await joinByWireguard(sandbox);
    await joinByVxlan(sandbox, CLIENT_END, SERVER_END, isEncrypted);
    await joinByVxlan(sandbox, SERVER_END, CLIENT_END, isEncrypted);
    await sandbox.expect(["nft", "-f", "-"], CLIENT_NODE.id, RULES);
    if (name === "kernel tuned") await spreadOverProcessors(sandbox);
    return { name, sandbox, drops: async () => ({}), close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Checksums, segmentation and buffers stay at their defaults. */
async function joinByVxlan(sandbox: Sandbox, here: VxlanEnd, there: VxlanEnd, isEncrypted: boolean): Promise<void> {
  const underlay = isEncrypted
    ? `local ${INSIDE[here.node.id]} remote ${INSIDE[there.node.id]} dev ${wireguardDevice(here.node.id)}`
    : `local ${here.node.underlay.v4} remote ${there.node.underlay.v4} dev eth0`;
  const mtu = isEncrypted ? WIREGUARD_MTU - VXLAN_OVERHEAD : TOPOLOGY.workloadMtu;
  await sandbox.expect(["sh", "-e", "-c", FORWARD], here.node.id);
  await configure(sandbox, here.node.id, [
    `link add vxlan0 address ${here.mac} mtu ${mtu} type vxlan id 1 ${underlay} dstport 4789 nolearning`,
    "link set vxlan0 up",
    `addr add ${here.v4}/24 dev vxlan0`,
    `addr add ${here.v6}/64 dev vxlan0 nodad`,
    `neigh add ${there.v4} lladdr ${there.mac} dev vxlan0 nud permanent`,
    `neigh add ${there.v6} lladdr ${there.mac} dev vxlan0 nud permanent`,
    `route add ${there.workload.addresses.v4}/32 via ${there.v4} dev vxlan0`,
    `route add ${there.workload.addresses.v6}/128 via ${there.v6} dev vxlan0`,
  ]);
}

/** Receive packet steering (RPS) for every device of nodes and workloads. */
async function spreadOverProcessors(sandbox: Sandbox): Promise<void> {
  const mask = (2n ** BigInt(availableParallelism()) - 1n).toString(16);
  const script = `mount -t sysfs none /sys; for queue in /sys/class/net/*/queues/rx-*; do echo ${mask} > $queue/rps_cpus; done`;
  const namespaces = [...TOPOLOGY.nodes.map(({ id }) => id), ...TOPOLOGY.workloads.map(({ name }) => name)];
  const spread = ["unshare", "--mount", "sh", "-e", "-c", script];
  await Promise.all(namespaces.map((namespace) => sandbox.expect(spread, namespace)));
}

/** As sapwood sets it up, with addresses that nobody has to derive. */
async function joinByWireguard(sandbox: Sandbox): Promise<void> {
  const ends = await Promise.all(
    [CLIENT_NODE, SERVER_NODE].map(async (node) => {
      const privateKey = newPrivateKey();
      const keyFile = `/run/${node.id}.key`;
      sandbox.writeFile(keyFile, `${privateKey}\n`);
      await addWireguard(sandbox, node.id);
      return { node, keyFile, publicKey: publicKeyOf(privateKey) };
    }),
  );
  await Promise.all(
    ends.map(async ({ node, keyFile }) => {
      const device = wireguardDevice(node.id);
      const own = ["listen-port", String(WIREGUARD_PORT), "private-key", keyFile];
      const peers = ends
        .filter((end) => end.node !== node)
        .flatMap((end) => [
          ...["peer", end.publicKey, "endpoint", `${end.node.underlay.v4}:${WIREGUARD_PORT}`],
          ...["allowed-ips", `${INSIDE[end.node.id]}/32`],
        ]);
      await sandbox.expect(["wg", "set", device, ...own, ...peers], node.id);
      await configure(sandbox, node.id, [
        `addr add ${INSIDE[node.id]}/24 dev ${device}`,
        `link set ${device} mtu ${WIREGUARD_MTU} up`,
      ]);
    }),
  );
}

async function addWireguard(sandbox: Sandbox, node: string): Promise<void> {
  const device = wireguardDevice(node);
  const inKernel = await sandbox.run(["ip", "link", "add", "dev", device, "type", "wireguard"], node);
  if (inKernel.code === 0) return;
  sandbox.start(["wireguard-go", "--foreground", device], node);
  await eventually(`wireguard-go on ${node}`, async () => (await sandbox.run(["wg", "show", device], node)).code === 0);
}

const RULES = `
  table ip services {
    chain b { dnat to ${SERVER.addresses.v4}; }
    map addresses { type ipv4_addr : verdict; elements = { ${SERVICE_ADDRESSES.v4} : goto b } }
    chain prerouting { type nat hook prerouting priority dstnat; ip daddr vmap @addresses; }
  }
  table ip6 services {
    chain b { dnat to ${SERVER.addresses.v6}; }
    map addresses { type ipv6_addr : verdict; elements = { ${SERVICE_ADDRESSES.v6} : goto b } }
    chain prerouting { type nat hook prerouting priority dstnat; ip6 daddr vmap @addresses; }
  }
`;
