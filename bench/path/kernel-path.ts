// The kernel's own overlay, as flannel and kube-proxy (nftables mode) set it up: VXLAN between the nodes, with static
// neighbours, and on the client's node DNAT of the service address by one look-up in a verdict map.
import { configure } from "../../src/lab/netns.ts";
import { Sandbox } from "../../src/lab/sandbox.ts";
import { build, type LabNode, type LabWorkload } from "../../src/lab/topology.ts";
import type { Path } from "./path.ts";
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

export async function openKernelPath(): Promise<Path> {
  const sandbox = await Sandbox.open();
  const close = () => sandbox.close();
  try {
    await build(sandbox, TOPOLOGY);
    await joinByVxlan(sandbox, CLIENT_END, SERVER_END);
    await joinByVxlan(sandbox, SERVER_END, CLIENT_END);
    await sandbox.expect(["nft", "-f", "-"], CLIENT_NODE.id, RULES);
    return { name: "kernel", sandbox, drops: async () => ({}), close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Checksums, segmentation and buffers stay at their defaults. */
async function joinByVxlan(sandbox: Sandbox, here: VxlanEnd, there: VxlanEnd): Promise<void> {
  const underlay = `local ${here.node.underlay.v4} remote ${there.node.underlay.v4} dev eth0`;
  await sandbox.expect(["sh", "-e", "-c", FORWARD], here.node.id);
  await configure(sandbox, here.node.id, [
    `link add vxlan0 address ${here.mac} mtu ${TOPOLOGY.workloadMtu} type vxlan id 1 ${underlay} dstport 4789 nolearning`,
    "link set vxlan0 up",
    `addr add ${here.v4}/24 dev vxlan0`,
    `addr add ${here.v6}/64 dev vxlan0 nodad`,
    `neigh add ${there.v4} lladdr ${there.mac} dev vxlan0 nud permanent`,
    `neigh add ${there.v6} lladdr ${there.mac} dev vxlan0 nud permanent`,
    `route add ${there.workload.addresses.v4}/32 via ${there.v4} dev vxlan0`,
    `route add ${there.workload.addresses.v6}/128 via ${there.v6} dev vxlan0`,
  ]);
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
