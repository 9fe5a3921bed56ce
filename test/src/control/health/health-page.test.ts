// Pages about the health of instances: what one node writes is what the other one reads.
import { describe, expect, test } from "vitest";
import * as HealthPageLayout from "../../../../assembly/shared/layout/health-page.ts";
import {
  decodePage,
  encodePages,
  type HealthPage,
  healthKey,
  isCovered,
} from "../../../../src/control/health/health-page.ts";
import { given } from "../../../support/given.ts";
import { Random } from "../../../support/random.ts";

function key(value: number): string {
  return value.toString(16).padStart(32, "0");
}

function decoded(unhealthy: readonly string[], most = 100): HealthPage[] {
  return encodePages(unhealthy, most).map((page) => given(decodePage(page)));
}

/** What the pages say of an address; each covers others. */
function said(pages: readonly HealthPage[], address: string): boolean[] {
  return pages.filter((page) => isCovered(page, address)).map(({ unhealthy }) => unhealthy.has(address));
}

test.each([0, 1, 26, 27, 28, 54, 55, 1000])(
  "%i unhealthy instances: every address is in one page and right there",
  (count) => {
    const random = new Random(count + 1);
    const all = Array.from({ length: 2 * count + 2 }, () => key(random.u32()));
    const unhealthy = all.slice(0, count);
    const pages = decoded(unhealthy);
    expect(pages).toHaveLength(Math.max(1, Math.ceil(new Set(unhealthy).size / HealthPageLayout.ADDRESS_MAX)));
    for (const one of [...all, key(0), "f".repeat(32)]) expect(said(pages, one)).toEqual([unhealthy.includes(one)]);
  },
);

test("of more than there is room for the rest is not told", () => {
  const pages = decoded(
    Array.from({ length: 100 }, (_, i) => key(i + 1)),
    2,
  );
  expect(pages).toHaveLength(2);
  expect(said(pages, key(54))).toEqual([true]);
  expect(said(pages, key(55))).toEqual([false]);
});

test("an instance is known by the same address whatever order its addresses have", () => {
  const [v4, v6] = ["10.30.0.3", "fdff::3"];
  expect(healthKey({ instanceAddresses: [v4, v6] })).toBe(`${"0".repeat(20)}ffff0a1e0003`);
  expect(healthKey({ instanceAddresses: [v6, v4] })).toBe(healthKey({ instanceAddresses: [v4] }));
  expect(healthKey({ instanceAddresses: [] })).toBeUndefined();
});

describe("what is no page", () => {
  function changed(at: number, value: number): Uint8Array {
    const page = Buffer.from(given(encodePages([key(1)], 9)[0]));
    page.writeUInt16LE(value, at);
    return page;
  }

  test.each([
    ["too short", new Uint8Array(HealthPageLayout.SIZE - 1)],
    ["a page beyond the last", changed(HealthPageLayout.NUMBER, 1)],
    ["of no pages", changed(HealthPageLayout.COUNT, 0)],
    ["with more addresses than it has room for", changed(HealthPageLayout.ADDRESS_COUNT, 28)],
  ])("%s", (_what, bytes) => {
    expect(decodePage(bytes)).toBeUndefined();
  });
});
