// The tables that the scenarios share, seen from node-a; documentation addresses on the underlay.
//
//   node-a (this node)   a 1   10.101.3.23  fc00::101:3:23     client, and an instance of "a"
//                        c 1   10.101.3.24  fc00::101:3:24     the only instance of "c"
//   node-b 192.0.2.2     b 1   10.18.3.1    fc00::18:3:1      sends from its tunnel's port
//   node-c 2001:db8::3   b 2   10.21.3.2    fc00::21:3:2      sends from any port
//   node-d 192.0.2.4     b 3   10.41.3.7    fc00::41:3:7      sends from another address as well, and may speak for
//                        d 1   10.41.3.8    (IPv4 only)       instances that the tables lack
import type { Instance, Node, Service, Tables } from "../../src/model/tables.ts";
import { EngineFixture, type FixtureOptions } from "./engine-fixture.ts";

export const RANGES = ["10.30.0.0/16", "fdff::/16"];
export const THIS_NODE = "node-a";

export const NODE = {
  b: { id: "node-b", underlay: { address: "192.0.2.2", port: 50103 } },
  c: {
    id: "node-c",
    underlay: { address: "2001:db8::3", port: 50103 },
    accept: { anyPort: true, addresses: [], anyAddress: false, unknownSources: false },
  },
  d: {
    id: "node-d",
    underlay: { address: "192.0.2.4", port: 6000 },
    accept: { anyPort: false, addresses: ["192.0.2.44"], anyAddress: false, unknownSources: true },
  },
} satisfies Readonly<Record<string, Node>>;
export const TO = { b: "192.0.2.2:50103", c: "[2001:db8::3]:50103", d: "192.0.2.4:6000" };
/** Whom messages come from. */
export const FROM = {
  b: { address: "192.0.2.2", port: 50103 },
  c: { address: "2001:db8::3", port: 42000 },
  d: { address: "192.0.2.44", port: 6000 },
  stranger: { address: "198.51.100.66", port: 50103 },
};

/** Addresses of one workload. */
interface Workload {
  readonly v4: string;
  readonly v6: string;
  readonly instanceV4: string;
  readonly instanceV6: string;
}

export const A1 = { v4: "10.101.3.23", v6: "fc00::101:3:23", instanceV4: "10.30.1.5", instanceV6: "fdff::105" };
export const C1 = { v4: "10.101.3.24", v6: "fc00::101:3:24", instanceV4: "10.30.1.6", instanceV6: "fdff::106" };
export const B1 = { v4: "10.18.3.1", v6: "fc00::18:3:1", instanceV4: "10.30.0.3", instanceV6: "fdff::3" };
export const B2 = { v4: "10.21.3.2", v6: "fc00::21:3:2", instanceV4: "10.30.0.4", instanceV6: "fdff::4" };
export const B3 = { v4: "10.41.3.7", v6: "fc00::41:3:7", instanceV4: "10.30.0.5", instanceV6: "fdff::5" };
export const D1 = { v4: "10.41.3.8", instanceV4: "10.30.0.6" };

/** Service addresses. */
export const CLOSEST = { b: { v4: "10.30.0.1", v6: "fdff:1000::1" } };
export const ROUND_ROBIN = {
  a: { v4: "10.30.1.1", v6: "fdff:2000::a" },
  b: { v4: "10.30.0.2", v6: "fdff:2000::1" },
  c: { v4: "10.30.1.2", v6: "fdff:2000::c" },
  d: { v4: "10.30.0.7", v6: "fdff:2000::d" },
  empty: { v4: "10.30.0.9", v6: "fdff:2000::e" },
};
/** In the service ranges and in no table. */
export const UNKNOWN = { v4: "10.30.77.77", v6: "fdff:2000::7777" };

export function instance(number: number, node: string, workload: Workload, draining = false): Instance {
  return {
    number,
    node,
    namespaceAddresses: [workload.v4, workload.v6],
    instanceAddresses: [workload.instanceV4, workload.instanceV6],
    weight: 1,
    draining,
  };
}

export function service(name: string, instances: readonly Instance[], ...addresses: readonly string[]): Service {
  return { name, addresses: addresses.map((address) => ({ address, policy: "round-robin" })), instances };
}

const INSTANCE_D: Instance = {
  ...{ number: 1, node: "node-d", weight: 1, draining: false },
  ...{ namespaceAddresses: [D1.v4], instanceAddresses: [D1.instanceV4] },
};
export const SERVICE = {
  a: service("a", [instance(1, THIS_NODE, A1)], ROUND_ROBIN.a.v4, ROUND_ROBIN.a.v6),
  c: service("c", [instance(1, THIS_NODE, C1)], ROUND_ROBIN.c.v4, ROUND_ROBIN.c.v6),
  d: service("d", [INSTANCE_D], ROUND_ROBIN.d.v4, ROUND_ROBIN.d.v6),
  empty: service("empty", [], ROUND_ROBIN.empty.v4, ROUND_ROBIN.empty.v6),
};

/** Service "b" with the instances that a test wants; by default its three. */
export function serviceB(
  instances: readonly Instance[] = [instance(1, "node-b", B1), instance(2, "node-c", B2), instance(3, "node-d", B3)],
): Service {
  return service("b", instances, CLOSEST.b.v4, CLOSEST.b.v6, ROUND_ROBIN.b.v4, ROUND_ROBIN.b.v6);
}

/** The tables, with "b" replaced and services added as a test wants. */
export function world(b: Service = serviceB(), ...more: readonly Service[]): Tables {
  return {
    nodes: [NODE.b, NODE.c, NODE.d],
    services: [SERVICE.a, b, SERVICE.c, SERVICE.d, SERVICE.empty, ...more],
  };
}

/** An engine on node-a with these tables. */
export function onNodeA(options: Partial<FixtureOptions> = {}): Promise<EngineFixture> {
  return EngineFixture.create({ nodeId: THIS_NODE, ranges: RANGES, tables: world(), ...options });
}
