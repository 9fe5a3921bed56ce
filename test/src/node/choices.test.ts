import { expect, test } from "vitest";
import { chooseQueues, isGuarded, isPersistent } from "../../../src/node/choices.ts";

test.each([
  ["auto", 1, 1],
  ["auto", 2, 1],
  ["auto", 3, 1],
  ["auto", 8, 4],
  ["auto", 128, 16],
  [4, 2, 4],
] as const)("%s queues on %i processors are %i", (configured, processors, expected) => {
  expect(chooseQueues(configured, processors)).toBe(expected);
});

test.each([
  ["auto", {}, false],
  ["auto", { INVOCATION_ID: "0123" }, true],
  ["auto", { NOTIFY_SOCKET: "/run/systemd/notify" }, true],
  [false, { INVOCATION_ID: "0123" }, false],
  [true, {}, true],
] as const)("unreachable routes, or a persistent TUN, %s beside %j: %s", (wanted, env, expected) => {
  expect(isGuarded({ guard: { routes: wanted, keep: false, workloads: true } }, env)).toBe(expected);
  const tun = { name: "sapwood0", mtu: "auto", queues: "auto", keep: false, persist: wanted } as const;
  expect(isPersistent({ tun }, env)).toBe(expected);
});
