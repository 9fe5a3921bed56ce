// The demo network: the figure of the platform's documentation, address for address. Each box is a network namespace.
//
//   a1 (A 1)               b1 (B 1)               b2 (B 2)               b3 (B 3)            workloads
//   10.101.3.23            10.18.3.1              10.21.3.2              10.41.3.7           namespace addresses
//   fc00::101:3:23         fc00::18:3:1           fc00::21:3:2           fc00::41:3:7
//   10.30.1.5  fdff::105   10.30.0.3  fdff::3     10.30.0.4  fdff::4     10.30.0.5  fdff::5  instance addresses
//     │ eth0                 │ eth0                 │ eth0                 │ eth0
//   ┌─┴── br0 ───────┐     ┌─┴── br0 ───────┐     ┌─┴── br0 ───────┐     ┌─┴── br0 ───────┐
//   │ node-a         │     │ node-b         │     │ node-c         │     │ node-d         │   one `sapwood run` each
//   │ Munich         │     │ Garching       │     │ Frankfurt      │     │ Berlin         │
//   └─── eth0 ───────┘     └─── eth0 ───────┘     └─── eth0 ───────┘     └─── eth0 ───────┘
//    192.0.2.11 │           192.0.2.12 │           192.0.2.13 │           192.0.2.14 │
//    2001:db8::11           2001:db8::12           2001:db8::13           2001:db8::14
//               └──────────────────────┴───────── br0 ────────┴──────────────────────┘         namespace "underlay"
//
// B has two service addresses per family: closest 10.30.0.1, fdff:1000::1; round robin 10.30.0.2, fdff:2000::1.
import type { Instance, Location, Service } from "../model/tables.ts";
import { addNamespaces, addVethPairs, configure } from "./netns.ts";
import type { Sandbox } from "./sandbox.ts";

export const UNDERLAY_NAMESPACE = "underlay";

export interface LabNode {
  readonly id: string; // also its network namespace
  readonly location: Location;
  readonly underlay: AddressPair;
  readonly bridge: AddressPair; // gateway of the node's workloads
}

export interface LabWorkload {
  readonly name: string; // also its network namespace
  readonly node: string;
  readonly addresses: AddressPair;
}

interface AddressPair {
  readonly v4: string;
  readonly v6: string;
}

/** All that makes a lab; tests derive variants with spread syntax. */
export interface Topology {
  readonly nodes: readonly LabNode[];
  readonly workloads: readonly LabWorkload[];
  readonly services: readonly Service[];
  readonly underlayFamily: "v4" | "v6";
  /** The nodes send to each other through WireGuard: which one. */
  readonly encryption?: "auto" | "kernel" | "wireguard-go" | undefined;
  /** Nodes of an encrypted underlay that have no key and are reached in clear. */
  readonly clearNodes?: readonly string[];
  readonly underlayMtu: number;
  readonly workloadMtu: number;
  /** Further sections of every node's config file. */
  readonly settings?: Readonly<Record<string, unknown>>;
  /** Further variables of every proxy's environment. */
  readonly environment?: Readonly<Record<string, string>>;
  /** Entry of another build of the program, for the proxies. */
  readonly program?: string | undefined;
}

export const NODES: readonly LabNode[] = [
  labNode("node-a", 11, 101, { latitude: 48.137, longitude: 11.575 }),
  labNode("node-b", 12, 18, { latitude: 48.249, longitude: 11.651 }),
  labNode("node-c", 13, 21, { latitude: 50.11, longitude: 8.682 }),
  labNode("node-d", 14, 41, { latitude: 52.52, longitude: 13.405 }),
];

export const WORKLOADS: readonly LabWorkload[] = [
  { name: "a1", node: "node-a", addresses: { v4: "10.101.3.23", v6: "fc00::101:3:23" } },
  { name: "b1", node: "node-b", addresses: { v4: "10.18.3.1", v6: "fc00::18:3:1" } },
  { name: "b2", node: "node-c", addresses: { v4: "10.21.3.2", v6: "fc00::21:3:2" } },
  { name: "b3", node: "node-d", addresses: { v4: "10.41.3.7", v6: "fc00::41:3:7" } },
];

export const SERVICE_A: Service = {
  name: "A",
  addresses: [],
  instances: [instance(1, workload("a1"), ["10.30.1.5", "fdff::105"])],
};

export const SERVICE_B: Service = {
  name: "B",
  addresses: [
    { address: "10.30.0.1", policy: "closest" },
    { address: "fdff:1000::1", policy: "closest" },
    { address: "10.30.0.2", policy: "round-robin" },
    { address: "fdff:2000::1", policy: "round-robin" },
  ],
  instances: [
    instance(1, workload("b1"), ["10.30.0.3", "fdff::3"]),
    instance(2, workload("b2"), ["10.30.0.4", "fdff::4"]),
    instance(3, workload("b3"), ["10.30.0.5", "fdff::5"]),
  ],
};

/** The network of the drawing above. */
export const DEMO: Topology = {
  nodes: NODES,
  workloads: WORKLOADS,
  services: [SERVICE_A, SERVICE_B],
  underlayFamily: "v4",
  underlayMtu: 1500,
  workloadMtu: 1450,
};

/** An instance that runs in a workload of the lab. */
export function instance(number: number, at: LabWorkload, instanceAddresses: readonly string[]): Instance {
  const namespaceAddresses = [at.addresses.v4, at.addresses.v6];
  return { number, node: at.node, namespaceAddresses, instanceAddresses, weight: 1, draining: false };
}

/** Makes the namespaces, links, addresses and routes; starts nothing. */
export async function build(sandbox: Sandbox, topology: Topology): Promise<void> {
  const { nodes, workloads, underlayMtu, workloadMtu } = topology;
  await addNamespaces(sandbox, [
    UNDERLAY_NAMESPACE,
    ...nodes.map((node) => node.id),
    ...workloads.map(({ name }) => name),
  ]);
  await addVethPairs(sandbox, [
    ...nodes.map(({ id }) => cable(id, "eth0", UNDERLAY_NAMESPACE, id, underlayMtu)),
    ...workloads.map(({ name, node }) => cable(name, "eth0", node, name, workloadMtu)),
  ]);
  await Promise.all([
    configure(
      sandbox,
      UNDERLAY_NAMESPACE,
      bridgeLines(
        nodes.map(({ id }) => id),
        underlayMtu,
      ),
    ),
    ...nodes.map((node) => configure(sandbox, node.id, nodeLines(node, topology))),
  ]);
  // After their bridge is up: an IPv6 route via a gateway needs the link.
  await Promise.all(workloads.map((at) => configure(sandbox, at.name, workloadLines(at, topology))));
}

function nodeLines(node: LabNode, { workloads, workloadMtu }: Topology): string[] {
  const ports = workloads.filter((at) => at.node === node.id).map(({ name }) => name);
  return [
    ...bridgeLines(ports, workloadMtu),
    ...addressLines("br0", node.bridge, 24, 112),
    "link set eth0 up",
    ...addressLines("eth0", node.underlay, 24, 64),
  ];
}

function workloadLines(at: LabWorkload, { nodes }: Topology): string[] {
  const gateway = nodes.find(({ id }) => id === at.node)?.bridge;
  return [
    "link set eth0 up",
    ...addressLines("eth0", at.addresses, 24, 112),
    `route add default via ${gateway?.v4}`,
    `route add default via ${gateway?.v6}`,
  ];
}

function bridgeLines(ports: readonly string[], mtu: number): string[] {
  const joined = ports.flatMap((port) => [`link set ${port} master br0`, `link set ${port} up`]);
  return [`link add br0 mtu ${mtu} type bridge`, ...joined, "link set br0 up"];
}

/** `nodad`: an address that waits for duplicate detection cannot be used for seconds. */
function addressLines(device: string, { v4, v6 }: AddressPair, v4Bits: number, v6Bits: number): string[] {
  return [`addr add ${v4}/${v4Bits} dev ${device}`, `addr add ${v6}/${v6Bits} dev ${device} nodad`];
}

function cable(namespace: string, device: string, otherNamespace: string, otherDevice: string, mtu: number) {
  return {
    ends: [
      { namespace, device },
      { namespace: otherNamespace, device: otherDevice },
    ],
    mtu,
  } as const;
}

function labNode(id: string, host: number, subnet: number, location: Location): LabNode {
  return {
    id,
    location,
    underlay: { v4: `192.0.2.${host}`, v6: `2001:db8::${host}` },
    bridge: { v4: `10.${subnet}.3.254`, v6: `fc00::${subnet}:3:fe` },
  };
}

function workload(name: string): LabWorkload {
  const found = WORKLOADS.find((candidate) => candidate.name === name);
  if (found === undefined) throw new RangeError(`The demo network has no workload "${name}".`);
  return found;
}
