// The index of addresses against a Map, through many changes in random order.

import { expect, test } from "vitest";
import { AddressOwners } from "../../../../src/control/tables/address-owners.ts";
import { packAddress } from "../../../../src/net/packed-address.ts";
import { Random } from "../../../support/random.ts";

function packed(address: string): string {
  return packAddress(address) ?? "";
}

test("finds the owner of each address that was added and not removed", async () => {
  const random = new Random(5);
  const twin = new Map<string, number>();
  const owners = new AddressOwners((owner, address) => twin.get(address) === owner);
  for (let step = 0; step < 20_000; step++) {
    const address = packed(`fdff::${random.below(400).toString(16)}`);
    const owner = twin.get(address);
    expect(owners.find(address)).toBe(owner ?? 0);
    if (owner === undefined) {
      const added = 1 + random.below(50);
      twin.set(address, added);
      await owners.reserve(1);
      owners.add(`before${address}`, 6, added);
    } else {
      owners.remove(address, 0, owner);
      twin.delete(address);
    }
  }
  for (const [address, owner] of twin) expect(owners.find(address)).toBe(owner);
});

test("what has no room is not added", async () => {
  const owners = new AddressOwners(() => true);
  const add = (i: number): void => owners.add(packed(`fdff::${i.toString(16)}`), 0, i);
  await owners.reserve(40);
  for (let i = 1; i <= 64; i++) add(i);
  expect(() => add(65)).toThrow(RangeError);
});

test("an owner that does not count has nothing", () => {
  const inForce = new Set([1]);
  const owners = new AddressOwners((owner) => inForce.has(owner));
  const address = packed("10.30.0.1");
  owners.add(address, 0, 2);
  expect(owners.find(address)).toBe(0);
  owners.add(address, 0, 1);
  expect(owners.find(address)).toBe(1);
  owners.remove(address, 0, 2);
  expect(owners.find(address)).toBe(1);
});
