// Networks that are smaller than the demo network: each node less is a proxy, a recording and a judge less.
import {
  DEMO,
  instance,
  type LabWorkload,
  SERVICE_A,
  SERVICE_B,
  type Topology,
  WORKLOADS,
} from "../../src/lab/topology.ts";
import { given } from "./given.ts";

/** Node a with A 1, node b with B 1, to which all of B's addresses lead. */
export const TWO_NODES: Topology = {
  ...DEMO,
  nodes: DEMO.nodes.slice(0, 2),
  workloads: DEMO.workloads.slice(0, 2),
  services: [SERVICE_A, { ...SERVICE_B, instances: SERVICE_B.instances.slice(0, 1) }],
};

const SERVERS: readonly LabWorkload[] = [
  given(WORKLOADS.find(({ name }) => name === "b1")),
  { name: "b2", node: "node-b", addresses: { v4: "10.18.3.12", v6: "fc00::18:3:12" } },
  { name: "b3", node: "node-b", addresses: { v4: "10.18.3.13", v6: "fc00::18:3:13" } },
];

/** Node a with A 1, node b with all instances of B. */
export const ONE_SERVER: Topology = {
  ...DEMO,
  nodes: DEMO.nodes.slice(0, 2),
  workloads: [...DEMO.workloads.slice(0, 1), ...SERVERS],
  services: [
    SERVICE_A,
    {
      ...SERVICE_B,
      instances: SERVICE_B.instances.map((one, i) => instance(one.number, given(SERVERS[i]), one.instanceAddresses)),
    },
  ],
};
