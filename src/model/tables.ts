// What the control plane knows, independent of where it came from (YAML file, control socket, orchestrator).
// Addresses are canonical text (net/address.ts); sets of them are validated as a whole by table-store.ts.

/** Where a node's tunnel can be reached. */
export interface Endpoint {
  readonly address: string; // IPv4 or IPv6, canonical
  readonly port: number; // UDP, 1...65535
}

/** Degrees, WGS 84. */
export interface Location {
  readonly latitude: number;
  readonly longitude: number;
}

export const ENCRYPTIONS = ["none", "wireguard"] as const;
export type Encryption = (typeof ENCRYPTIONS)[number];

interface NodeUnderlay extends Endpoint {
  readonly wireguardPort?: number | undefined; // UDP, where its WireGuard listens; WIREGUARD_PORT unless given
  /** "none": the node has no key and is reached in clear, although the underlay is encrypted. */
  readonly encryption?: Encryption | undefined;
}

/** What a node's datagrams may be like beyond what a node of sapwood's sends. */
export interface Acceptance {
  /** They come from any port of its addresses. */
  readonly anyPort: boolean;
  /** They come from these addresses as well. */
  readonly addresses: readonly string[];
  /** They come from anywhere. */
  readonly anyAddress: boolean;
  /** Their packets have sources of the service ranges that the tables lack. */
  readonly unknownSources: boolean;
}

export interface Node {
  readonly id: string;
  readonly underlay: NodeUnderlay;
  readonly accept?: Acceptance | undefined;
  /** WireGuard's, as `wg pubkey` writes it. */
  readonly publicKey?: string | undefined;
  /** The key that is to replace it; the node may use either. */
  readonly nextPublicKey?: string | undefined;
  readonly location?: Location | undefined;
}

/** A virtual address of a service and its policy. */
export interface ServiceAddress {
  readonly address: string;
  readonly policy: string; // name of a policy module: "round-robin", "closest", ...
}

export interface Instance {
  readonly number: number; // unique within the service
  readonly node: string; // Node.id
  readonly namespaceAddresses: readonly string[]; // at most one per family
  readonly instanceAddresses: readonly string[]; // at most one per family
  readonly weight: number; // 1...65535
  readonly draining: boolean;
}

/**
 * How an instance's own node finds out whether it serves, at its namespace address. Exactly one of `tcp`, `http` and
 * `icmp` is there.
 */
export interface ServiceHealth {
  readonly tcp?: number | undefined; // port that must take a connection
  readonly http?: string | undefined; // path that must be answered with a status below 400
  readonly port?: number | undefined; // of HTTP; HEALTH_HTTP_PORT unless given
  readonly icmp?: true | undefined; // an echo request must be answered
  readonly interval: number; // milliseconds from the start of one check to the next
  readonly timeout: number; // milliseconds, not more than the interval
  readonly healthy: number; // checks in a row that an unhealthy instance must pass
  readonly unhealthy: number; // checks in a row that a healthy instance may not pass
}

export const HEALTH_HTTP_PORT = 80;

export interface Service {
  readonly name: string;
  readonly addresses: readonly ServiceAddress[];
  readonly instances: readonly Instance[];
  readonly health?: ServiceHealth | undefined; // absent = its instances are not checked
}

/** The whole content of the translation tables: one generation. */
export interface Tables {
  readonly nodes: readonly Node[]; // the other nodes; this node is not among them
  readonly services: readonly Service[];
}

/** Nodes and services that come or change, each as a whole, and the names of those that go. All others stay. */
export interface TablesPatch extends Tables {
  readonly remove: { readonly nodes: readonly string[]; readonly services: readonly string[] };
  /** Refuses to take away the last one of a kind (emptying.ts). */
  readonly keepsSome?: boolean;
}

/** As a file has it: lengths of time with their unit. */
export function writtenHealth(health: ServiceHealth | undefined) {
  if (health === undefined) return undefined;
  return { ...health, interval: `${health.interval}ms`, timeout: `${health.timeout}ms` };
}
