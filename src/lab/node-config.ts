// The files that a lab's nodes are given, as `sapwood run` and `sapwood apply` read them.
import { stringify } from "yaml";
import { TUNNEL_PORT } from "../../assembly/shared/sockets.ts";
import { type Tables, writtenHealth } from "../model/tables.ts";
import type { Topology } from "./topology.ts";

/** All nodes and services of the topology. */
export function tablesOf({ nodes, services, underlayFamily, clearNodes = [] }: Topology): Tables {
  return {
    nodes: nodes.map(({ id, location, underlay }) => ({
      id,
      location,
      underlay: {
        address: underlay[underlayFamily],
        port: TUNNEL_PORT,
        ...(clearNodes.includes(id) ? { encryption: "none" as const } : {}),
      },
    })),
    services,
  };
}

/** Public keys by node. */
export type PublicKeys = ReadonlyMap<string, string>;

/** Whether a node of the topology is reached through WireGuard. */
export function hasKey({ encryption, clearNodes = [] }: Topology, node: string): boolean {
  return encryption !== undefined && !clearNodes.includes(node);
}

/** The name of a node's WireGuard interface: the socket of wireguard-go is named after it for all nodes of a lab. */
export function wireguardDevice(node: string): string {
  return `wg-${node}`;
}

/** A node's config file; of the tables' nodes, all but itself. */
export function nodeConfig(topology: Topology, node: string, tables: Tables, keys: PublicKeys = new Map()): string {
  const state = { directory: `/run/sapwood/${node}/state` }; // nothing outlives a lab
  return `${stringify({ node: ownNode(topology, node), state, ...topology.settings })}${tablesText(node, tables, keys)}`;
}

function ownNode(topology: Topology, node: string) {
  const own = tablesOf(topology).nodes.find(({ id }) => id === node);
  if (!hasKey(topology, node)) return own;
  const wireguard = { wireguardBackend: topology.encryption, wireguardDevice: wireguardDevice(node) };
  return { ...own, underlay: { ...own?.underlay, encryption: "wireguard", ...wireguard } };
}

/** Nodes and services alone. A node whose entry has no key gets the one that it is known to have. */
export function tablesText(node: string, { nodes, services }: Tables, keys: PublicKeys = new Map()): string {
  return stringify({
    nodes: nodes.filter(({ id }) => id !== node).map((one) => ({ publicKey: keys.get(one.id), ...one })),
    services: services.map(({ instances, health, ...service }) => ({
      ...service,
      health: writtenHealth(health),
      instances: instances.map(({ namespaceAddresses, instanceAddresses, ...instance }) => ({
        ...instance,
        namespace: namespaceAddresses,
        addresses: instanceAddresses,
      })),
    })),
  });
}
