// Addresses against ipaddr.js: the hand-written reader must accept nothing that it refuses, and mean the same bytes;
// the writer must write the same text.

import ipaddr from "ipaddr.js";
import { describe, expect, test } from "vitest";
import {
  canonicalAddress,
  contains,
  familyOf,
  formatAddress,
  isCanonicalAddress,
  parseAddress,
  parsePrefix,
  unusableRange,
} from "../../../src/net/address.ts";
import { Random, testSeed } from "../../support/random.ts";

const MAPPED = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255];

describe("canonical text", () => {
  test.each([
    ["10.30.0.1", "10.30.0.1"],
    ["FDFF:2000:0:0:0:0:0:1", "fdff:2000::1"],
    ["fdff:0::3", "fdff::3"],
    ["2001:db8:0:1:0:0:0:1", "2001:db8:0:1::1"],
    ["2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"],
    ["2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"],
    ["::ffff:192.0.2.1", "192.0.2.1"],
    ["::ffff:c000:201", "192.0.2.1"],
    ["::", "::"],
    ["1::", "1::"],
  ])("of %s is %s", (text, canonical) => {
    expect(canonicalAddress(text)).toBe(canonical);
    expect(isCanonicalAddress(canonical)).toBe(true);
    expect(isCanonicalAddress(text)).toBe(text === canonical);
  });

  test.each([
    "",
    "10.30.0",
    "10.30.0.256",
    "10.30.0.01",
    "10.30.0.1.",
    "10.30..1",
    "0x0a.30.0.1",
    "10.30.0.1 ",
    ":",
    ":::",
    "1:::2",
    "1::2::3",
    "1:2:3:4:5:6:7",
    "1:2:3:4:5:6:7:8:9",
    "1:2:3:4:5:6:7::8",
    "12345::",
    "fdff::g",
    "fe80::1%eth0",
    ":1::",
    "1:",
    "::1.2.3",
    "1.2.3.4::",
    "fdff::/16",
    "node-a",
  ])("%j is no address", (text) => {
    expect(parseAddress(text)).toBeUndefined();
  });
});

test("random and mutated texts mean what ipaddr.js reads, or nothing", () => {
  const random = new Random(testSeed(7));
  const letters = "0123456789abcdefF:::..%g ";
  for (let i = 0; i < 20_000; i++) {
    const bytes = Array.from(random.bytes(16), (byte) => (random.chance(0.5) ? 0 : byte));
    const address = random.chance(0.3) ? new ipaddr.IPv4(bytes.slice(12)) : new ipaddr.IPv6(bytes);
    let text = random.chance(0.5) ? address.toString() : address.toNormalizedString();
    if (random.chance(0.5)) {
      const at = random.below(text.length + 1);
      const letter = letters[random.below(letters.length)] ?? "";
      text = text.slice(0, at) + (random.chance(0.7) ? letter : "") + text.slice(at + random.below(2));
    }
    const parsed = parseAddress(text);
    if (parsed === undefined) {
      // What only it accepts: zones, and IPv4 that is not four plain decimals.
      const isStrict = ipaddr.IPv4.isValidFourPartDecimal(text) || (ipaddr.IPv6.isValid(text) && !/[%.]/.test(text));
      expect(isStrict && !/(^|\.)0\d/.test(text), text).toBe(false);
    } else {
      const expected = ipaddr.parse(text).toByteArray();
      expect(Array.from(parsed), text).toEqual(expected.length === 4 ? [...MAPPED, ...expected] : expected);
      expect(parseAddress(formatAddress(parsed)), text).toEqual(parsed);
    }
  }
});

test("random addresses are written as ipaddr.js writes them by RFC 5952", () => {
  const random = new Random(testSeed(8));
  for (let i = 0; i < 20_000; i++) {
    const zeroShare = random.below(10) / 10; // runs of every length, also of bytes that make no group
    const bytes = Array.from(random.bytes(16), (byte) => (random.chance(zeroShare) ? 0 : byte));
    const address = new ipaddr.IPv6(bytes);
    if (!address.isIPv4MappedAddress()) expect(formatAddress(Uint8Array.from(bytes))).toBe(address.toRFC5952String());
  }
});

describe("prefixes", () => {
  test("an IPv4 prefix is 96 bits longer in the tables", () => {
    const prefix = parsePrefix("10.30.0.0/16");
    expect(prefix).toMatchObject({ text: "10.30.0.0/16", family: 4, length: 16 });
    expect(Array.from(prefix.bytes)).toEqual([...MAPPED, 10, 30, 0, 0]);
    expect(Array.from(prefix.mask)).toEqual([...Array(12).fill(255), 255, 255, 0, 0]);
  });

  test.each([
    ["10.30.0.0/16", "10.30.255.255", true],
    ["10.30.0.0/16", "10.31.0.0", false],
    ["10.30.0.0/16", "fdff::1", false],
    ["fdff::/16", "fdff:ffff::", true],
    ["fdff::/16", "fdfe::", false],
    ["10.30.0.128/25", "10.30.0.127", false],
    ["10.30.0.1/32", "10.30.0.1", true],
    ["2001:db8::/33", "2001:db8:8000::", false],
  ])("%s contains %s: %s", (prefix, address, isInside) => {
    expect(contains(parsePrefix(prefix), parseAddress(address) ?? new Uint8Array())).toBe(isInside);
  });

  test.each([
    ["10.30.0.1/16", /without host bits \(10\.30\.0\.0\/16\)/],
    ["fdff::1/16", /without host bits \(fdff::\/16\)/],
    ["10.30.0.0/33", /at most 32/],
    ["fdff::/129", /at most 128/],
    ["10.30.0.0", /a prefix like/],
    ["10.30.0.0/", /a prefix like/],
    ["10.30.0.0/016", /a prefix like/],
    ["/16", /a prefix like/],
  ])("%s is refused", (text, sentence) => {
    expect(() => parsePrefix(text)).toThrow(sentence);
  });
});

test.each([
  ["10.30.0.1", undefined],
  ["fdff::1", undefined],
  ["::2", undefined],
  ["0.0.0.0", "unspecified"],
  ["::", "unspecified"],
  ["127.0.0.1", "loopback"],
  ["::1", "loopback"],
  ["224.0.0.1", "multicast"],
  ["ff02::1", "multicast"],
  ["169.254.1.1", "link-local"],
  ["fe80::1", "link-local"],
  ["255.255.255.255", "reserved"],
])("%s as the address of a host: %s", (text, range) => {
  expect(unusableRange(parseAddress(text) ?? new Uint8Array())).toBe(range);
  expect(familyOf(text)).toBe(ipaddr.parse(text).kind() === "ipv4" ? 4 : 6);
});
