import { beforeEach, expect, onTestFinished, test } from "vitest";
import { BridgeWatch } from "../../../../../src/control/providers/oakestra/bridge-watch.ts";

let isMissing: boolean;
let restore: () => Promise<void>;
let restored: number;
let told: string[];
let watch: BridgeWatch;

beforeEach(() => {
  isMissing = false;
  restored = 0;
  told = [];
  restore = async () => {
    restored += 1;
    isMissing = false;
  };
  watch = new BridgeWatch({
    isMissing: () => isMissing,
    restore: () => restore(),
    alarms: { tell: ({ kind }) => void told.push(kind), end: () => undefined },
  });
  onTestFinished(() => watch.close());
});

test("a bridge that is there is left alone; one that was removed is put back, and that is told once", async () => {
  await watch.look();
  expect(restored).toBe(0);
  isMissing = true;
  await watch.look();
  await watch.look();
  expect({ restored, told }).toEqual({ restored: 1, told: ["network-repaired"] });
});

test("what cannot be put back is told once and tried again", async () => {
  const good = restore;
  isMissing = true;
  restore = () => Promise.reject(new Error("no room"));
  for (let i = 0; i < 5; i++) await watch.look();
  expect(told).toEqual(["network-problem"]);
  restore = good;
  await watch.look();
  expect(told).toEqual(["network-problem", "network-repaired"]);
});

test("looks while it is put back begin nothing", async () => {
  isMissing = true;
  let finish = (): void => undefined;
  restore = () =>
    new Promise((resolve) => {
      restored += 1;
      finish = resolve;
    });
  const first = watch.look();
  await watch.look();
  finish();
  await first;
  expect(restored).toBe(1);
});
