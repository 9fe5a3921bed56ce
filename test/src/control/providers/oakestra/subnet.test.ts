// The addresses of a node's own subnet.
import { expect, test } from "vitest";
import {
  AddressPool,
  bridgeAddresses,
  isInSubnet,
  readSubnet,
} from "../../../../../src/control/providers/oakestra/subnet.ts";

const SUBNET = { v4: "10.18.0.64", v6: "fc00::100" };

test("the bridge has the first address, containers the next ones", () => {
  expect(bridgeAddresses(SUBNET)).toEqual({ v4: "10.18.0.65", v6: "fc00::101" });
  const pool = new AddressPool(SUBNET);
  expect(pool.take()).toEqual({ v4: "10.18.0.66", v6: "fc00::102" });
  expect(pool.take()).toEqual({ v4: "10.18.0.67", v6: "fc00::103" });
});

test("what came back is given out first, the oldest first", () => {
  const pool = new AddressPool(SUBNET);
  const [a, b] = [pool.take(), pool.take(), pool.take()];
  if (a === undefined || b === undefined) throw new Error("the pool is empty");
  pool.release(b);
  pool.release(a);
  expect([pool.take(), pool.take(), pool.take().v4]).toEqual([b, a, "10.18.0.69"]);
});

test("there are 61 addresses, and the next one is refused until one comes back", () => {
  const pool = new AddressPool(SUBNET);
  const all = Array.from({ length: 61 }, () => pool.take());
  expect(new Set(all.map(({ v4 }) => v4)).size).toBe(61);
  expect(all.at(-1)).toEqual({ v4: "10.18.0.126", v6: "fc00::13e" });
  expect(() => pool.take()).toThrow("All 61 addresses of the node's subnet are in use.");
  pool.release({ v4: "10.18.0.80", v6: "fc00::110" });
  expect(pool.take()).toEqual({ v4: "10.18.0.80", v6: "fc00::110" });
});

test("addresses of containers that run already are not given out", () => {
  const pool = new AddressPool(SUBNET, [{ v4: "10.18.0.66", v6: "fc00::102" }]);
  expect(pool.take()).toEqual({ v4: "10.18.0.67", v6: "fc00::103" });
});

test("addresses of a container that the node had in another subnet are not given out", () => {
  const old = { v4: "10.18.0.2", v6: "fc00::2" };
  const pool = new AddressPool(SUBNET, [old]);
  pool.release(old);
  expect(pool.take()).toEqual({ v4: "10.18.0.66", v6: "fc00::102" });
});

test.each([
  ["10.18.0.64", "fc00::100", SUBNET],
  ["10.18.0.64", "FC00:0::100", SUBNET],
  ["", "fc00::100", 'expected the network address of a /26, found ""'],
  ["10.18.0.65", "fc00::100", 'expected the network address of a /26, found "10.18.0.65"'],
  ["fc00::", "fc00::100", 'expected the network address of a /26, found "fc00::"'],
  ["10.18.0.64", "", 'expected the network address of a /120, found ""'],
  ["10.18.0.64", "10.18.0.0", 'expected the network address of a /120, found "10.18.0.0"'],
])("a reply with %j and %j [behaviour 4]", (address, addressv6, expected) => {
  expect(readSubnet(address, addressv6)).toEqual(expected);
});

test("which addresses are in it", () => {
  const found = ["10.18.0.127", "10.18.0.128", "fc00::1ff", "fc00::200", "x"].filter((one) => isInSubnet(SUBNET, one));
  expect(found).toEqual(["10.18.0.127", "fc00::1ff"]);
});
