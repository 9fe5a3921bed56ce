// What the others are told when the node's address changes, and when.
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { createLogger } from "../../../../../src/base/log.ts";
import { AddressWatch } from "../../../../../src/control/providers/oakestra/address-watch.ts";

let found: () => Promise<string>;
let looks: number;
let changes: string[];
let watch: AddressWatch;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] });
  [found, looks, changes] = [async () => "192.0.2.1", 0, []];
  watch = new AddressWatch({
    find: () => {
      looks += 1;
      return found();
    },
    address: "192.0.2.1",
    onChange: () => void changes.push(watch.address),
    log: createLogger("info", { write: () => undefined }),
  });
});
afterEach(() => {
  watch.close();
  vi.useRealTimers();
});

test("the address is looked at every 5 s, and a change is told once [remedy 13]", async () => {
  await vi.advanceTimersByTimeAsync(60_000);
  expect([looks, changes]).toEqual([12, []]);
  found = async () => "192.0.2.2";
  await vi.advanceTimersByTimeAsync(5000);
  expect(changes).toEqual(["192.0.2.2"]);
  await vi.advanceTimersByTimeAsync(60_000);
  expect([watch.address, changes]).toEqual(["192.0.2.2", ["192.0.2.2"]]);
});

test("one that cannot be found out stays as it was, and is looked for again", async () => {
  found = () => Promise.reject(new Error("no route"));
  await vi.advanceTimersByTimeAsync(10_000);
  expect([watch.address, changes]).toEqual(["192.0.2.1", []]);
  found = async () => "192.0.2.2";
  await vi.advanceTimersByTimeAsync(5000);
  expect(changes).toEqual(["192.0.2.2"]);
});

test("a look that takes long is the only one", async () => {
  found = () => new Promise(() => undefined);
  await vi.advanceTimersByTimeAsync(60_000);
  expect(looks).toBe(1);
});
