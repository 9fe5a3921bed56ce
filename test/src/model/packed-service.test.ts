// What a packed service says is what the service said.

import { expect, test } from "vitest";
import { AddressCursor, PackedService } from "../../../src/model/packed-service.ts";
import type { Service } from "../../../src/model/tables.ts";
import { Random } from "../../support/random.ts";

const SERVICE: Service = {
  name: 'a "quoted" ünïcode-name',
  addresses: [{ address: "10.30.0.2", policy: "round-robin" }],
  instances: [
    {
      number: 7,
      node: "knoten-ß",
      namespaceAddresses: ["10.18.3.1", "fc00::1"],
      instanceAddresses: ["10.30.0.3", "fdff::3"],
      weight: 3,
      draining: true,
    },
  ],
  health: { tcp: 80, interval: 1000, timeout: 500, healthy: 2, unhealthy: 3 },
};
const OTHER: Service = { name: "other", addresses: [], instances: [] };

test("a packed service has the fields of the service, also when it is copied", () => {
  const [packed, other] = [PackedService.of(SERVICE), PackedService.of(OTHER)];
  for (const one of [packed, { ...packed }, PackedService.of(packed)]) expect({ ...one }).toEqual(SERVICE);
  expect(other.instances).toEqual([]);
  expect({ ...packed, instances: [] }).toEqual({ ...SERVICE, instances: [] });
});

test("services that say the same have the same text, others have another one", () => {
  const changed = { ...SERVICE, instances: SERVICE.instances.map((instance) => ({ ...instance, draining: false })) };
  expect(PackedService.of(structuredClone(SERVICE)).text).toBe(PackedService.of(SERVICE).text);
  expect(PackedService.of(changed).text).not.toBe(PackedService.of(SERVICE).text);
});

test("what a service mentions is found without reading it", () => {
  const packed = PackedService.of(SERVICE);
  for (const text of ["knoten-ß", "10.30.0.2", "fc00::1"]) expect(packed.mentions(text)).toBe(true);
  for (const text of ["knoten", "10.30.0.20", "fc00::"]) expect(packed.mentions(text)).toBe(false);
});

test("a cursor finds all addresses of a service, in their order, and its instances", () => {
  const random = new Random(4);
  const cursor = new AddressCursor("knoten-ß");
  const some = (most: number): string[] =>
    Array.from({ length: random.below(most) }, () => `fdff::${random.below(99)}`);
  for (let i = 0; i < 300; i++) {
    const instances = Array.from({ length: random.below(4) }, (_, number) => ({
      ...{ number, weight: 1 + random.below(9), draining: random.chance(0.5) },
      node: random.pick(["knoten-ß", "knoten", 'a"],[b', "\\"]),
      ...{ namespaceAddresses: some(3), instanceAddresses: some(3) },
    }));
    const addresses = some(4).map((address) => ({ address, policy: random.pick(["closest", 'a"],"b']) }));
    const expected = [
      ...addresses.map(({ address }) => ["service", address]),
      ...instances.flatMap(({ node, namespaceAddresses, instanceAddresses }) => [
        ...namespaceAddresses.map((address) => ["namespace", address, node === "knoten-ß"]),
        ...instanceAddresses.map((address) => ["instance", address, node === "knoten-ß"]),
      ]),
    ];
    const found: unknown[] = [];
    cursor.start(PackedService.of({ name: "web", addresses, instances }));
    while (cursor.next()) {
      const address = cursor.text.slice(cursor.from, cursor.to);
      expect(cursor.isAt(address)).toBe(true);
      expect(cursor.isAt(`${address}0`)).toBe(false);
      found.push(cursor.placed === "service" ? ["service", address] : [cursor.placed, address, cursor.isLocal]);
    }
    expect(found).toEqual(expected);
    expect(cursor.instances).toBe(instances.length);
    expect(cursor.localInstances).toBe(instances.filter(({ node }) => node === "knoten-ß").length);
  }
});
