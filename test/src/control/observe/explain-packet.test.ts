// The packets that are explained: how people write them, and that they are good packets.

import { expect, test } from "vitest";
import { frameOf, parseEnd, parseTarget } from "../../../../src/control/observe/explain-packet.ts";
import { packetIn } from "../../../support/packets-of.ts";
import { parse } from "../../../support/reference/parser.ts";

test.each([
  ["10.30.0.2:80/tcp", { end: { address: "10.30.0.2", port: 80 }, protocol: "tcp" }],
  ["10.30.0.2:80", { end: { address: "10.30.0.2", port: 80 }, protocol: "tcp" }],
  ["[FDFF::0001]:53/udp", { end: { address: "fdff::1", port: 53 }, protocol: "udp" }],
  ["fdff::1/icmp", { end: { address: "fdff::1", port: undefined }, protocol: "icmp" }],
])("%s is understood", (text, expected) => {
  expect(parseTarget(text)).toEqual(expected);
});

test.each(["", "10.30.0.2", "10.30.0.2/tcp", "10.30.0.2:80/icmp", "10.30.0.2:80/sctp", "host:80", "10.30.0.2:99999"])(
  "%j is refused with an example",
  (text) => {
    expect(() => parseTarget(text)).toThrow(/"to" must be .* like 10\.30\.0\.2:80\/tcp/);
  },
);

test("a workload needs no port", () => {
  expect(parseEnd("fc00::2")).toEqual({ address: "fc00::2", port: undefined });
  expect(parseEnd("10.18.0.2:5000")).toEqual({ address: "10.18.0.2", port: 5000 });
  expect(parseEnd("workload")).toBeUndefined();
});

test.each([
  ["10.18.0.2", "10.30.0.2"],
  ["fc00::2", "fdff::1"],
])("packets from %s are good ones of every protocol", (source, destination) => {
  for (const protocol of ["tcp", "udp", "icmp"] as const) {
    const ends = { source: { address: source, port: 40_000 }, destination: { address: destination, port: 80 } };
    const frame = frameOf({ ...ends, protocol });
    const parsed = parse(packetIn(frame));
    expect(typeof parsed, `${protocol}: ${String(parsed)}`).toBe("object");
  }
});
