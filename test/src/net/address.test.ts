// Addresses, by ipaddr.js and by the functions for whole tables: both must refuse the same texts, mean the same bytes and
// write the same text.

import ipaddr from "ipaddr.js";
import { describe, expect, test } from "vitest";
import {
  ADDRESS_SIZE,
  canonicalAddress,
  contains,
  familyOf,
  formatAddress,
  parseAddress,
  parsePrefix,
  unusableRange,
} from "../../../src/net/address.ts";
import * as Bulk from "../../../src/net/bulk-address.ts";
import { expectSame } from "../../support/quick-expect.ts";
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
    ["::192.0.2.1", "::c000:201"],
    ["2001:DB8::192.0.2.1", "2001:db8::c000:201"],
    ["64:ff9b::192.0.2.1", "64:ff9b::c000:201"],
    ["1:2:3:4:5:6:192.0.2.1", "1:2:3:4:5:6:c000:201"],
    ["::", "::"],
    ["1::", "1::"],
  ])("of %s is %s", (text, canonical) => {
    expect(canonicalAddress(text)).toBe(canonical);
    expect(canonicalAddress(canonical)).toBe(canonical);
    expect(Bulk.canonicalAddress(text)).toBe(canonical);
  });

  test.each([
    "",
    "10.30.0",
    "10.30.256",
    "169738241",
    "0xa.0x1e.0.1",
    "012.036.0.1",
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
    "::ffff:192.0.2.1%1",
    "::ffff:0300.0.2.1",
    "::ffff:0xc0.0.2.1",
    "::ffff:192.0.2.01",
    "::ffff:192.0.513",
    "1:2:3:4:5:6:7:192.0.2.1",
    "192.0.2.1:1::",
    "::192.0.2.1:1",
    "00001::",
    `${"0".repeat(60)}::1`,
    ":1::",
    "1:",
    "::1.2.3",
    "1.2.3.4::",
    "fdff::/16",
    "node-a",
  ])("%j is no address", (text) => {
    expect(parseAddress(text)).toBeUndefined();
    expect(Bulk.canonicalAddress(text)).toBeUndefined();
  });
});

test("the reader of tables and ipaddr.js agree on random and mutated texts", () => {
  const random = new Random(testSeed(7));
  const letters = "0123456789abcdefF:::...%gx ";
  const counts = { read: 0, refused: 0 };
  for (let i = 0; i < 10_000; i++) {
    const bytes = randomAddress(random);
    let text = randomText(random, bytes);
    if (random.chance(0.5)) {
      const at = random.below(text.length + 1);
      const letter = letters[random.below(letters.length)] ?? "";
      text = text.slice(0, at) + (random.chance(0.7) ? letter : "") + text.slice(at + random.below(2));
    } else {
      expectSame(hexOf(parseAddress(text)), hexOf(bytes), text);
    }
    const parsed = parseAddress(text);
    const inBulk = new Uint8Array(ADDRESS_SIZE);
    expectSame(hexOf(Bulk.readAddress(text, inBulk, 0) ? inBulk : undefined), hexOf(parsed), text);
    expectSame(Bulk.canonicalAddress(text), canonicalAddress(text), text);
    if (parsed !== undefined) expectSame(hexOf(parseAddress(formatAddress(parsed))), hexOf(parsed), text);
    counts[parsed === undefined ? "refused" : "read"] += 1;
  }
  expect(counts.read).toBeGreaterThan(5000);
  expect(counts.refused).toBeGreaterThan(1000);
});

test("the writer of tables and ipaddr.js write random addresses alike, by RFC 5952", () => {
  const random = new Random(testSeed(8));
  for (let i = 0; i < 5000; i++) {
    const bytes = randomAddress(random);
    const room = Uint8Array.from([1, ...bytes, 2]);
    expectSame(Bulk.formatAddress(room, 1), formatAddress(bytes), hexOf(bytes));
    expectSame(formatAddress(room, 1), formatAddress(bytes), hexOf(bytes));
  }
});

function hexOf(bytes: Uint8Array | undefined): string {
  return bytes === undefined ? "no address" : Buffer.from(bytes).toString("hex");
}

/** With runs of zeros of every length, also of bytes that make no group; a quarter of them IPv4. */
function randomAddress(random: Random): Uint8Array {
  const zeroShare = random.below(10) / 10;
  const bytes = Array.from(random.bytes(ADDRESS_SIZE), (byte) => (random.chance(zeroShare) ? 0 : byte));
  return Uint8Array.from(random.chance(0.25) ? [...MAPPED, ...bytes.slice(12)] : bytes);
}

/** One of the texts that an address has. */
function randomText(random: Random, bytes: Uint8Array): string {
  const address = new ipaddr.IPv6(Array.from(bytes));
  const dotted = bytes.subarray(12).join(".");
  const texts = [
    formatAddress(bytes),
    address.toString().toUpperCase(),
    address.toNormalizedString(),
    address.toNormalizedString().replace(/[^:]+:[^:]+$/, dotted),
  ];
  return texts[random.below(texts.length)] ?? "";
}

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
