// The kernel's text of interface statistics, as it looks on a machine with names of all kinds.
import { expect, test } from "vitest";
import { readTransmitDrops, transmitDrops } from "../../../src/sys/link-drops.ts";

const TEXT = `Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:       0       0    0    0    0     0          0         0        0       0    0    0    0     0       0          0
sapwood0: 1 2 3 4 5 6 7 8 9 10 11 12345 13 14 15 16
  eth0:1:   1       2    3    4    5     6          7         8        9      10   11   77   13    14      15         16
`;

test.each([
  ["lo", 0],
  ["sapwood0", 12345],
  ["eth0:1", 77],
  ["sapwood", 0],
  ["", 0],
])("interface %j has dropped %i", (device, drops) => {
  expect(transmitDrops(TEXT, device)).toBe(drops);
});

test("the kernel's own text is read", () => {
  expect(readTransmitDrops("lo")).toBe(0);
});
