// The files that a lab's nodes are given, as `sapwood run` and `sapwood apply` read them.
import { stringify } from "yaml";
import { TUNNEL_PORT } from "../../assembly/shared/protocols.ts";
import type { Tables } from "../control/model.ts";
import type { Topology } from "./topology.ts";

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

/** A node's config file; of the tables' nodes, all but itself. */
export function nodeConfig(topology: Topology, node: string, tables: Tables): string {
  const own = tablesOf(topology).nodes.find(({ id }) => id === node);
  const state = { directory: `/run/sapwood/${node}/state` }; // nothing outlives a lab
  return `${stringify({ node: own, state, ...topology.settings })}${tablesText(node, tables)}`;
}

/** Nodes and services alone. */
export function tablesText(node: string, { nodes, services }: Tables): string {
  return stringify({
    nodes: nodes.filter(({ id }) => id !== node),
    services: services.map(({ instances, ...service }) => ({
      ...service,
      instances: instances.map(({ namespaceAddresses, instanceAddresses, ...instance }) => ({
        ...instance,
        namespace: namespaceAddresses,
        addresses: instanceAddresses,
      })),
    })),
  });
}
