import { beforeEach, describe, expect, test } from "vitest";
import { UnderlayWatch } from "../../../../src/control/underlay/underlay-watch.ts";
import type { NewEvent } from "../../../../src/model/alarms.ts";
import type { UnderlayLink } from "../../../../src/sys/interface.ts";

const GOOD: UnderlayLink = { device: "eth0", index: 7, mtu: 1500, isUp: true, hasCarrier: true };

describe("the interface of the tunnel", () => {
  let found: UnderlayLink | undefined;
  let told: NewEvent[];
  let watch: UnderlayWatch;

  beforeEach(() => {
    told = [];
    const tell = (event: NewEvent): void => {
      told.push(event);
    };
    watch = new UnderlayWatch({ address: "192.0.2.11", read: async () => found, alarms: { tell } });
  });

  const problemsOf = async (link: UnderlayLink | undefined): Promise<readonly string[]> => {
    found = link;
    return (await watch.check()).problems;
  };

  test.each([
    ["is down", { ...GOOD, isUp: false, hasCarrier: false }, /eth0, which carries the tunnel, is down/],
    ["has no carrier", { ...GOOD, hasCarrier: false }, /eth0, which carries the tunnel, has no carrier/],
    ["has lost the address", undefined, /No interface has the address 192\.0\.2\.11 .* eth0 had it before/],
  ])("%s: a problem until it is over", async (_what, link, sentence) => {
    expect(await problemsOf(GOOD)).toEqual([]);
    for (let i = 0; i < 2; i++) expect(await problemsOf(link)).toEqual([expect.stringMatching(sentence)]);
    expect(await problemsOf(GOOD)).toEqual([]);
    expect(told).toEqual([]);
  });

  test("an address that no interface ever had is somebody else's affair, as behind a NAT", async () => {
    expect(await problemsOf(undefined)).toEqual([]);
    expect(watch.linkIndices).toEqual([]);
  });

  test.each([
    ["another MTU", { mtu: 1400 }, /takes packets of 1400 bytes now, after 1500/],
    ["another interface", { device: "eth1", index: 8 }, /is eth1 now, after eth0/],
    ["both", { device: "eth1", index: 8, mtu: 9000 }, /is eth1 now, after eth0, and takes packets of 9000 bytes/],
  ])("%s is told once, and is no problem", async (_what, change, sentence) => {
    await problemsOf(GOOD);
    for (let i = 0; i < 2; i++) expect(await problemsOf({ ...GOOD, ...change })).toEqual([]);
    expect(told).toEqual([
      expect.objectContaining({ kind: "underlay-changed", message: expect.stringMatching(sentence) }),
    ]);
    expect(watch.linkIndices).toEqual([{ ...GOOD, ...change }.index]);
  });
});
