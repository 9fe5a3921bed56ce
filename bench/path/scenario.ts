// The network that both paths are measured on: two nodes of the lab, a client on one and a server on the other, and
// one service address per family that stands for the server. The underlay speaks IPv4, its MTU is Ethernet's.

import {
  type LabNode,
  type LabWorkload,
  NODES,
  SERVICE_A,
  SERVICE_B,
  type Topology,
  WORKLOADS,
} from "../../src/lab/topology.ts";
import type { Service } from "../../src/model/tables.ts";

export type Family = "v4" | "v6";

export const SERVICE_ADDRESSES: Readonly<Record<Family, string>> = { v4: "10.30.0.2", v6: "fdff:2000::1" };

/** Both overlays take 50 bytes or less from the underlay's 1500. */
const WORKLOAD_MTU = 1450;

const SERVICE: Service = {
  ...SERVICE_B,
  addresses: Object.values(SERVICE_ADDRESSES).map((address) => ({ address, policy: "round-robin" })),
  instances: SERVICE_B.instances.slice(0, 1),
};

export const [CLIENT_NODE, SERVER_NODE] = NODES as [LabNode, LabNode];
export const [CLIENT, SERVER] = WORKLOADS as [LabWorkload, LabWorkload];

export const TOPOLOGY: Topology = {
  nodes: [CLIENT_NODE, SERVER_NODE],
  workloads: [CLIENT, SERVER],
  services: [SERVICE_A, SERVICE],
  underlayFamily: "v4",
  underlayMtu: 1500,
  workloadMtu: WORKLOAD_MTU,
};
