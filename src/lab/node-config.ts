// The config file of a lab's node, as `sapwood run` reads it.
import { stringify } from "yaml";
import type { Tables } from "../control/model.ts";
import { type Topology, TUNNEL_PORT } from "./topology.ts";

/** All nodes and services of the topology. */
export function tablesOf({ nodes, services, underlayFamily }: Topology): Tables {
  return {
    nodes: nodes.map(({ id, location, underlay }) => ({
      id,
      location,
      underlay: { address: underlay[underlayFamily], port: TUNNEL_PORT },
    })),
    services,
  };
}

/** YAML text of a node's config. */
export function nodeConfig(topology: Topology, node: string, tables: Tables): string {
  const self = tablesOf(topology).nodes.find(({ id }) => id === node);
  return stringify({
    node: self,
    tun: { mtu: topology.workloadMtu },
    nodes: tables.nodes.filter(({ id }) => id !== node),
    services: tables.services,
  });
}
