// The services in force and who has which address, against plain maps, through many changes in random order.

import { expect, test } from "vitest";
import { ServicesInForce } from "../../../../src/control/tables/services-in-force.ts";
import type { Service } from "../../../../src/model/tables.ts";
import { Random } from "../../../support/random.ts";

const NAMES = Array.from({ length: 12 }, (_, i) => `service-${i}`);
const addressOf = (prefix: string, i: number): string => `${prefix}::${(i + 1).toString(16)}`;
const ADDRESSES = Array.from({ length: 40 }, (_, i) => i);

/** A service with some of the addresses that nobody else has. */
function serviceOf(random: Random, name: string, free: number[]): Service {
  const take = (): number => free.splice(random.below(free.length), 1)[0] ?? 0;
  return {
    name,
    addresses: random.chance(0.5) ? [{ address: addressOf("fdff:2000", take()), policy: "closest" }] : [],
    instances: Array.from({ length: random.below(3) }, (_, number) => {
      const i = take();
      return {
        ...{ number, node: random.pick(["node-a", "node-b"]), weight: 1 + random.below(9), draining: false },
        ...{ namespaceAddresses: [addressOf("fc00", i)], instanceAddresses: [addressOf("fdff", i)] },
      };
    }),
  };
}

test("each address has the owner that it has in the services, whatever came and went", async () => {
  const random = new Random(8);
  const inForce = new ServicesInForce("node-a");
  const twin = new Map<string, Service>();
  const usedBy = ({ addresses, instances }: Service): string[] => [
    ...addresses.map(({ address }) => address),
    ...instances.flatMap(({ namespaceAddresses, instanceAddresses }) => [...namespaceAddresses, ...instanceAddresses]),
  ];
  for (let step = 0; step < 100; step++) {
    const names = NAMES.filter(() => random.chance(0.3));
    const removed = NAMES.filter((name) => !names.includes(name) && twin.has(name) && random.chance(0.2));
    const others = [...twin.values()].filter(({ name }) => !names.includes(name) && !removed.includes(name));
    const used = new Set(others.flatMap(usedBy));
    const isFree = (i: number): boolean =>
      ["fdff:2000", "fc00", "fdff"].every((prefix) => !used.has(addressOf(prefix, i)));
    const free = ADDRESSES.filter(isFree);
    const set = names.map((name, i) => {
      const former = twin.get(name);
      // Often only weights change, or nothing at all.
      const isKept =
        former !== undefined &&
        random.chance(0.5) &&
        usedBy(former).every((address) => {
          return free.some((one) => ["fdff:2000", "fc00", "fdff"].some((prefix) => addressOf(prefix, one) === address));
        });
      if (!isKept) return { service: serviceOf(random, name, free), path: ["services", i] };
      for (const address of usedBy(former)) {
        const at = free.findIndex((one) => ["fdff:2000", "fc00", "fdff"].some((p) => addressOf(p, one) === address));
        if (at >= 0) free.splice(at, 1);
      }
      const instances = former.instances.map((instance) => ({ ...instance, weight: 1 + random.below(9) }));
      return { service: { ...former, instances }, path: ["services", i] };
    });
    const prepared = await inForce.prepare(set, removed, undefined);
    if (random.chance(0.2))
      await inForce.release(prepared.entries); // the change was refused
    else {
      await inForce.release(inForce.commit(prepared));
      for (const name of removed) twin.delete(name);
      for (const { service } of set) twin.set(service.name, service);
    }
    const services = [...twin.values()];
    for (const i of ADDRESSES) {
      const ownerOf = (address: string): string | undefined =>
        services.find((service) => usedBy(service).includes(address))?.name;
      for (const prefix of ["fdff:2000", "fdff"]) {
        expect(inForce.addressOwner(addressOf(prefix, i))).toBe(ownerOf(addressOf(prefix, i)));
      }
      const owner = ownerOf(addressOf("fc00", i));
      expect(inForce.namespaceOwner(addressOf("fc00", i))).toBe(owner);
      expect(inForce.namespaceOwner(addressOf("fc00", i), new Set([owner ?? ""]))).toBeUndefined();
    }
    const instances = services.flatMap((service) => service.instances);
    const addresses = services.reduce((sum, service) => sum + service.addresses.length, 0);
    expect(inForce.sizes).toEqual({ services: services.length, addresses, instances: instances.length });
    const isLocal = (service: Service): boolean => service.instances.some(({ node }) => node === "node-a");
    expect(
      inForce
        .local()
        .map(({ name }) => name)
        .sort(),
    ).toEqual(
      services
        .filter(isLocal)
        .map(({ name }) => name)
        .sort(),
    );
  }
});
