// The containers of a worker: what the one before it has left is removed by and by.
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { Container } from "../../../../../src/control/providers/oakestra/container.ts";
import type { ContainerNetwork } from "../../../../../src/control/providers/oakestra/container-network.ts";
import { Containers } from "../../../../../src/control/providers/oakestra/containers.ts";

const STEP_MS = 200;
const COUNT = 61;

let refused: Set<number>;
let told: string[];
let containers: Containers;

function left(number: number): Container {
  const addresses = { v4: `10.18.0.${2 + number}`, v6: `fc00::${(2 + number).toString(16)}` };
  return { job: "a.b.c.d", number, addresses, device: `veth00${number}`, mappings: [] };
}

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["performance"] });
  [refused, told] = [new Set(), []];
  const network = {
    remove: async ({ number }: Container) => {
      vi.advanceTimersByTime(STEP_MS);
      if (refused.has(number)) throw new Error("busy");
    },
    forgetConnections: async () => undefined,
  };
  containers = new Containers({
    subnet: { v4: "10.18.0.64", v6: "fc00::100" },
    found: { containers: [], leaving: Array.from({ length: COUNT }, (_, number) => left(number)) },
    tunnelPort: 50103,
    tap: "bridge",
    network: network as unknown as ContainerNetwork,
    save: () => undefined,
    tell: (sentence) => void told.push(sentence),
  });
});
afterEach(() => {
  vi.useRealTimers();
});

test("what is left of many containers holds nothing up for longer than it may", async () => {
  const startedMs = performance.now();
  await containers.removeLeft(2000);
  expect([performance.now() - startedMs, containers.leaving.length]).toEqual([2000, COUNT - 10]);
  await containers.removeLeft(60_000);
  expect([containers.leaving, told]).toEqual([[], []]);
});

test("what cannot be removed leaves the others their turn", async () => {
  for (let number = 0; number < 10; number++) refused.add(number);
  await containers.removeLeft(2000);
  expect([containers.leaving.length, told.length]).toEqual([COUNT, 10]);
  await containers.removeLeft(2000);
  expect(containers.leaving.length).toBe(COUNT - 10);
  expect(told[0]).toBe("something of a.b.c.d, instance 0, is left: busy");
});
