// Whose packets a capture takes: by addresses, protocol and port of the outermost IP header, whatever bytes come.
import { describe, expect, test } from "vitest";
import type { CaptureFilter } from "../../../../src/dataplane/capture/capture-contract.ts";
import { matches, packetKey } from "../../../../src/dataplane/capture/packet-match.ts";
import { keyOfText } from "../../../../src/net/address-key.ts";
import { packet } from "../../../support/packet-builder.ts";
import { Random } from "../../../support/random.ts";

const ALL: CaptureFilter = { bit: 0, snapLength: 100, isDroppedOnly: false };
const [A, B] = ["10.18.0.2", "10.30.0.1"];
const [A6, B6] = ["fc00::1", "fdff::5"];

function key(text: string): string {
  return keyOfText(text) ?? "";
}

function isTaken(filter: Partial<CaptureFilter>, bytes: Uint8Array, target = "", isDropped = false): boolean {
  return matches({ ...ALL, ...filter }, packetKey(bytes, bytes.length), isDropped, target === "" ? "" : key(target));
}

const V4 = packet().ip(A, B).tcp({ sport: 4000, dport: 80 }).payload(10).bytes();
const V6 = packet().ip(A6, B6).udp({ sport: 53, dport: 9 }).payload(10).bytes();

describe.each([
  ["IPv4", V4, A, B, 6, 80],
  ["IPv6", V6, A6, B6, 17, 9],
] as const)("%s", (_, bytes, source, destination, protocol, port) => {
  test.each([
    [{}, true],
    [{ address: key(source) }, true],
    [{ address: key(destination) }, true],
    [{ address: key("10.99.0.1") }, false],
    [{ parties: new Set([key(destination)]) }, true],
    [{ parties: new Set([key("10.99.0.1")]) }, false],
    [{ protocols: [protocol] }, true],
    [{ protocols: [1, 58] }, false],
    [{ port }, true],
    [{ port: 12 }, false],
    [{ port, protocols: [protocol], address: key(source) }, true],
    [{ port, protocols: [99] }, false],
    [{ isDroppedOnly: true }, false],
  ] as const)("%o takes it: %o", (filter, expected) => {
    expect(isTaken(filter, bytes)).toBe(expected);
  });

  test("the instance behind a service address is looked at as well", () => {
    expect(isTaken({ parties: new Set([key("10.77.0.1")]) }, bytes, "10.77.0.1")).toBe(true);
    expect(isTaken({ address: key("10.77.0.1") }, bytes, "10.77.0.1")).toBe(true);
  });

  test("dropped ones only", () => {
    expect(isTaken({ isDroppedOnly: true }, bytes, "", true)).toBe(true);
    expect(isTaken({ isDroppedOnly: true, port: 12 }, bytes, "", true)).toBe(false);
  });
});

test("any bytes are answered, and none is an IP packet of any address", () => {
  const random = new Random(1);
  for (let round = 0; round < 2000; round++) {
    const bytes = random.bytes(random.below(100));
    if (bytes.length > 0 && random.chance(0.5)) bytes[0] = random.pick([0x45, 0x60, 0x4f]);
    expect(isTaken({}, bytes)).toBe(true);
    expect(isTaken({ address: key("192.0.2.250") }, bytes)).toBe(false);
  }
});
