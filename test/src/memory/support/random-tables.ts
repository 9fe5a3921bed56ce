// Small random tables over few addresses, so that consecutive ones move, swap and reuse the same keys all the time.

import type { TableChange, TableNode } from "../../../../src/memory/table-change.ts";
import type { Instance, Service } from "../../../../src/model/tables.ts";
import type { Random } from "../../../support/random.ts";
import type { Seen, SeenCandidate, SeenInstance } from "./table-reader.ts";

export const OWN_NODE = "node-a";
export const POLICIES = ["round-robin", "closest", "random"];

export interface Content {
  readonly nodes: ReadonlyMap<string, TableNode>;
  readonly services: ReadonlyMap<string, Service>;
}

export const NOTHING: Content = { nodes: new Map(), services: new Map() };

// v6 keys that differ in one word each: a torn key would be another's.
const V4 = Array.from({ length: 12 }, (_, i) => `10.30.0.${i + 1}`);
const V6 = ["1", "2", "3"].flatMap((a) => ["1", "2", "3", "4"].map((b) => `fdff:${a}::${b}:0:0:1`));
export const ADDRESSES = [...V4, ...V6];
export const NAMESPACES = Array.from({ length: 6 }, (_, i) => [`10.18.0.${i + 1}`, `fc00::18:0:${i + 1}`] as const);

function randomContent(random: Random): Content {
  const nodes = new Map(
    ["node-b", "node-c", "node-d"]
      .filter(() => random.chance(0.7))
      .map((id, i) => {
        const underlay = { address: `192.0.2.${10 + i + 10 * random.below(3)}`, port: 50103 };
        return [id, { id, underlay, distanceKm: Number.NaN }];
      }),
  );
  const v4 = shuffled(random, V4);
  const v6 = shuffled(random, V6);
  const namespaces = shuffled(random, NAMESPACES);
  const services = new Map<string, Service>();
  for (const name of ["b.demo", "c.demo", "d.demo"]) {
    if (random.chance(0.2)) continue;
    const instances: Instance[] = [];
    for (let number = 1; number <= 3; number++) {
      const namespace = random.chance(0.7) ? namespaces.pop() : undefined;
      if (namespace === undefined) continue;
      instances.push({
        number,
        node: random.pick([OWN_NODE, ...nodes.keys()]),
        namespaceAddresses: random.chance(0.7) ? namespace : [random.pick(namespace)],
        instanceAddresses: take(random, v4, v6),
        weight: 1 + random.below(2),
        draining: random.chance(0.3),
      });
    }
    const addresses = [...take(random, v4, v6), ...take(random, v4, v6)].map((address) => ({
      address,
      policy: random.pick(POLICIES),
    }));
    services.set(name, { name, addresses, instances: random.chance(0.8) ? instances : instances.reverse() });
  }
  return { nodes, services };
}

function shuffled<T>(random: Random, values: readonly T[]): T[] {
  return values
    .map((value) => ({ value, order: random.u32() }))
    .sort((a, b) => a.order - b.order)
    .map(({ value }) => value);
}

function take(random: Random, v4: string[], v6: string[]): string[] {
  return [...(random.chance(0.7) ? v4.splice(0, 1) : []), ...(random.chance(0.7) ? v6.splice(0, 1) : [])];
}

/** Keeps each node and service of `before` with some probability, so that a change is a part of the whole. */
export function mutated(random: Random, before: Content): Content {
  const fresh = randomContent(random);
  if (random.chance(0.2)) return fresh;
  // Weights and draining change most often: the same instances in other lists.
  const services = new Map(
    [...before.services].map(([name, service]) => [
      name,
      random.chance(0.4)
        ? service
        : {
            ...service,
            addresses: service.addresses.filter(() => random.chance(0.9)),
            instances: service.instances
              .filter(() => random.chance(0.8))
              .map((instance) => ({ ...instance, draining: random.chance(0.3), weight: 1 + random.below(2) })),
          },
    ]),
  );
  const nodes = new Map(
    [...before.nodes].map(([id, node]) => [
      id,
      random.chance(0.7) ? node : { ...node, underlay: { address: `192.0.2.${random.below(250)}`, port: 50103 } },
    ]),
  );
  return { nodes, services };
}

export function difference(before: Content, after: Content): TableChange {
  return {
    setNodes: [...after.nodes.values()].filter((node) => before.nodes.get(node.id) !== node),
    removeNodes: [...before.nodes.keys()].filter((id) => !after.nodes.has(id)),
    setServices: [...after.services.values()].filter((service) => before.services.get(service.name) !== service),
    removeServices: [...before.services.keys()].filter((name) => !after.services.has(name)),
  };
}

/** What a worker must see of an address. */
export function expectedService(content: Content, address: string): Seen {
  for (const service of content.services.values()) {
    const bound = service.addresses.find((entry) => entry.address === address);
    if (bound !== undefined) {
      const candidates = service.instances
        .filter((one) => one.namespaceAddresses.length > 0)
        .map((one) => expectedCandidate(content, one));
      return { kind: "balanced", policy: POLICIES.indexOf(bound.policy), candidates };
    }
    const instance = service.instances.find((one) => one.instanceAddresses.includes(address));
    if (instance !== undefined) return { kind: "instance", instance: expectedInstance(content, instance) };
  }
  return undefined;
}

export function expectedWorkload(content: Content, namespace: string): SeenInstance | undefined {
  const instances = [...content.services.values()].flatMap((service) => service.instances);
  const instance = instances.find((one) => one.node === OWN_NODE && one.namespaceAddresses.includes(namespace));
  return instance === undefined ? undefined : expectedInstance(content, instance);
}

function expectedCandidate(content: Content, instance: Instance): SeenCandidate {
  const { weight, draining } = instance;
  return { ...expectedInstance(content, instance), weight, draining, local: instance.node === OWN_NODE };
}

function expectedInstance(content: Content, instance: Instance): SeenInstance {
  const underlay = content.nodes.get(instance.node)?.underlay;
  return {
    number: instance.number,
    isAlive: true,
    namespaceAddresses: instance.namespaceAddresses,
    instanceAddresses: instance.instanceAddresses,
    endpoint: underlay === undefined ? "local" : `${underlay.address} ${underlay.port}`,
  };
}
