// What a packed service says is what the service said.

import { expect, test } from "vitest";
import { PackedService, PackedText, ServiceCursor } from "../../../src/model/packed-service.ts";
import type { Service } from "../../../src/model/tables.ts";
import { unpackAddress } from "../../../src/net/packed-address.ts";
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

test("services that say the same have the same bytes, others have others", () => {
  const changed = { ...SERVICE, instances: SERVICE.instances.map((instance) => ({ ...instance, draining: false })) };
  expect(PackedService.of(structuredClone(SERVICE)).bytes).toBe(PackedService.of(SERVICE).bytes);
  expect(PackedService.of(changed).bytes).not.toBe(PackedService.of(SERVICE).bytes);
});

test("what a service mentions is found without reading it", () => {
  const packed = PackedService.of(SERVICE);
  for (const text of ["knoten-ß", "round-robin"]) expect(packed.mentions(text)).toBe(true);
  for (const text of ["knoten", "noten-ß", "round"]) expect(packed.mentions(text)).toBe(false);
});

test.each<[string, Partial<Service["instances"][number]>]>([
  ["an address in another form", { instanceAddresses: ["FDFF::3"] }],
  ["an address that is none", { namespaceAddresses: ["somewhere"] }],
  ["a weight that is too large", { weight: 65_536 }],
  ["a weight that is not whole", { weight: 0.5 }],
  ["a number below 0", { number: -1 }],
  ["half a character", { node: "\ud800" }],
  ["a very long name", { node: "n".repeat(70_000) }],
])("%s, which no table takes, is kept as it was said", (_what, wrong) => {
  const service = { ...SERVICE, instances: SERVICE.instances.map((instance) => ({ ...instance, ...wrong })) };
  const packed = PackedService.of(service);
  expect({ ...packed }).toEqual(service);
  expect(packed.mentions("knoten-ß")).toBe(true);
  expect(() => new ServiceCursor().start(packed)).toThrow(RangeError);
});

test("a cursor finds all addresses of a service, in their order, and its instances", () => {
  const random = new Random(4);
  const cursor = new ServiceCursor();
  const own = new PackedText("knoten-ß");
  const some = (most: number): string[] =>
    Array.from({ length: random.below(most) }, () => random.pick([`fdff::${1 + random.below(9)}`, "10.30.0.1"]));
  for (let i = 0; i < 300; i++) {
    const instances = Array.from({ length: random.below(4) }, () => ({
      ...{ number: random.u32(), weight: 1 + random.below(65_535), draining: random.chance(0.5) },
      node: random.pick(["knoten-ß", "knoten", "knoten-ss", ""]),
      ...{ namespaceAddresses: some(3), instanceAddresses: some(3) },
    }));
    const addresses = some(4).map((address) => ({ address, policy: random.pick(["closest", "größte"]) }));
    const packed = PackedService.of({ name: "web", addresses, instances });
    const addressesAt = (at: number, count: number): string[] =>
      Array.from({ length: count }, (_, k) => unpackAddress(cursor.bytes, at + 16 * k));
    cursor.start(packed);
    expect([cursor.addresses, cursor.instances]).toEqual([addresses.length, instances.length]);
    const found: unknown[] = [];
    while (cursor.nextAddress()) found.push({ address: addressesAt(cursor.addressAt, 1)[0], policy: cursor.policy });
    expect(found).toEqual(addresses);
    // The instances without a look at the addresses before.
    cursor.start(packed);
    for (const instance of instances) {
      expect(cursor.nextInstance()).toBe(true);
      const { number, weight, isDraining, node } = cursor;
      const namespaceAddresses = addressesAt(cursor.namespacesAt, cursor.namespaces);
      const instanceAddresses = addressesAt(cursor.ownAt, cursor.own);
      expect({ number, weight, draining: isDraining, node, namespaceAddresses, instanceAddresses }).toEqual(instance);
      expect(own.isAt(cursor.bytes, cursor.nodeAt, cursor.nodeEnd)).toBe(node === "knoten-ß");
      const heavier = PackedService.of({ name: "web", addresses: [], instances: [{ ...instance, weight: 3 }] });
      const moved = PackedService.of({ name: "web", addresses: [], instances: [{ ...instance, node: "x" }] });
      expect(cursor.isSamePlace(heavier.bytes, 9)).toBe(true);
      expect(cursor.isSamePlace(moved.bytes, 9)).toBe(false);
    }
    expect(cursor.nextInstance()).toBe(false);
  }
});
