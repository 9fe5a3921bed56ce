// What the table writer is told: the nodes and services that differ from what is in force, each as a whole.

export interface TableNode {
  readonly id: string;
  readonly underlay: { readonly address: string; readonly port: number };
  /** Great-circle distance from this node; NaN when a location is missing. */
  readonly distanceKm: number;
}

export interface TableInstance {
  readonly number: number;
  readonly node: string; // TableNode.id or the own node's id
  readonly namespaceAddresses: readonly string[]; // canonical, at most one per family
  readonly instanceAddresses: readonly string[]; // canonical, at most one per family
  readonly weight: number;
  readonly draining: boolean;
}

export interface TableService {
  readonly name: string;
  readonly addresses: readonly { readonly address: string; readonly policy: string }[];
  readonly instances: readonly TableInstance[];
}

/** One generation's difference. What is set replaces what has the same id or name. */
export interface TableChange {
  readonly setNodes?: readonly TableNode[];
  readonly removeNodes?: readonly string[]; // ids
  readonly setServices?: readonly TableService[];
  readonly removeServices?: readonly string[]; // names
}
