// What the node is, or is to be: from the proxy where one runs, else from the configuration.

import type { Config } from "../control/config/config.ts";
import type { InstanceReport, NodeReport, ServiceAddressReport, StatusReport } from "../model/reports.ts";

/** What a running proxy answers. */
export interface ProxyAnswers {
  readonly status: StatusReport;
  readonly nodes: readonly NodeReport[];
  readonly instances: readonly InstanceReport[];
  readonly services: readonly ServiceAddressReport[];
}

export interface Peer {
  readonly id: string;
  readonly address: string;
  readonly port: number;
}

/** A workload of this node. */
interface OwnWorkload {
  readonly address: string;
  /** Its service has an address that clients call. */
  readonly isCalled: boolean;
}

export interface Settings {
  readonly nodeId: string;
  readonly tun: { readonly name: string; readonly mtu: number | "auto"; readonly queues: number | "auto" };
  /** Canonical prefixes. */
  readonly ranges: readonly string[];
  /** The one that other nodes send to. */
  readonly address: string;
  readonly bind: string;
  readonly port: number;
  /** Undefined: the underlay is not encrypted. */
  readonly wireguard: { readonly device: string; readonly port: number } | undefined;
  readonly peers: readonly Peer[];
  readonly workloads: readonly OwnWorkload[];
  /** Nodes that answer no probe are expected: strangers may be heard. */
  readonly acceptsStrangers: boolean;
}

/** Undefined when neither tells. */
export function settingsOf(config: Config | undefined, proxy: ProxyAnswers | undefined): Settings | undefined {
  if (proxy !== undefined) return running(proxy, config);
  if (config === undefined) return undefined;
  const { node, tun, ranges, tables } = config;
  const { address, bind, port, encryption, wireguardDevice, wireguardPort } = node.underlay;
  return {
    nodeId: node.id,
    tun,
    ranges: ranges.map(({ text }) => text),
    ...{ address, bind, port },
    wireguard: encryption === "none" ? undefined : { device: wireguardDevice, port: wireguardPort },
    peers: tables.nodes.map(({ id, underlay }) => ({ id, address: underlay.address, port: underlay.port })),
    workloads: tables.services.flatMap(({ addresses, instances }) =>
      instances
        .filter((instance) => instance.node === node.id)
        .flatMap(({ namespaceAddresses }) =>
          namespaceAddresses.map((one) => ({ address: one, isCalled: addresses.length > 0 })),
        ),
    ),
    acceptsStrangers: node.acceptStrangers,
  };
}

function running({ status, nodes, instances, services }: ProxyAnswers, config: Config | undefined): Settings {
  const called = new Set(services.map(({ service }) => service));
  const { tun, tunnel, network } = status;
  const own = nodes.find(({ isLocal }) => isLocal);
  const underlay = config?.node.underlay;
  return {
    nodeId: status.node,
    tun,
    ranges: config?.ranges.map(({ text }) => text) ?? network.routes,
    address: own?.underlay.address ?? tunnel.address,
    bind: underlay?.bind ?? tunnel.address,
    port: tunnel.port,
    wireguard:
      tunnel.encryption === "none" || underlay === undefined
        ? undefined
        : { device: underlay.wireguardDevice, port: underlay.wireguardPort },
    peers: nodes.filter(({ isLocal }) => !isLocal).map(({ id, underlay: place }) => ({ id, ...place })),
    workloads: instances
      .filter(({ isLocal }) => isLocal)
      .flatMap(({ namespaceAddresses, service }) =>
        namespaceAddresses.map((address) => ({ address, isCalled: called.has(service) })),
      ),
    acceptsStrangers: config?.node.acceptStrangers ?? false,
  };
}
