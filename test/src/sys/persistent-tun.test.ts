// TUN devices that outlive their process, in a namespace of its own: what the next one finds, and what it leaves alone.
import { userInfo } from "node:os";
import { beforeAll, describe, expect, test } from "vitest";
import type { OffloadState } from "../../../src/sys/offload.ts";
import { runInNamespaceWithFolder, tunProblem } from "../../support/namespace.ts";

interface Shown {
  readonly ifindex: number;
  readonly routes: readonly string[];
}

interface Start {
  readonly isAdopted: boolean;
  readonly unusable?: string;
  readonly corrected: readonly string[];
  readonly offloads: readonly OffloadState[];
  readonly running: Shown;
  readonly left: Shown;
}

interface Foreign {
  readonly message: string;
  readonly isSame: boolean;
}

type Names<Value, Key extends string> = Readonly<Record<Key, Value>>;
type Results = Names<Start, "fresh" | "same" | "changed" | "down" | "otherRange" | "plain" | "group" | "owner"> &
  Names<Foreign, "foreignTun" | "foreignBridge"> &
  Names<string, "otherNode" | "held" | "closed" | "sameNode"> & { readonly closeFailures: readonly string[] };

describe.skipIf(tunProblem !== undefined)(`a TUN that was left${tunProblem ? ` (${tunProblem})` : ""}`, () => {
  let results: Results;
  const asSetUp = { mtu: 1400, isUp: true, persist: true, addresses: [], routes: ["10.30.0.0/16", "fdff::/16"] };
  const { username } = userInfo();

  beforeAll(() => {
    results = runInNamespaceWithFolder(new URL("./in-namespace/persistent-tun.mjs", import.meta.url)) as Results;
  });

  test("has its routes without a process, and no queue", () => {
    const { isAdopted, running, left } = results.fresh;
    expect(isAdopted).toBe(false);
    expect(running).toMatchObject({ ...asSetUp, numqueues: 2, user: username });
    expect(left).toEqual({ ...running, numqueues: 0 });
  });

  test("is the next process's, with nothing to correct and all offloads", () => {
    const { isAdopted, corrected, running, offloads } = results.same;
    expect({ isAdopted, corrected }).toEqual({ isAdopted: true, corrected: [] });
    expect(running).toEqual(results.fresh.running);
    expect(offloads).toEqual(results.fresh.offloads);
  });

  test("is corrected where it was changed, and gets another number of queues", () => {
    expect(results.changed.corrected).toEqual([
      "the address 192.0.2.9 was there",
      "the route 10.77.0.0/16 was there",
      "the route 192.0.2.0/24 was there",
      "the MTU was 1300, not 1400",
      "the route 10.30.0.0/16 was missing", // the kernel takes it along with the last IPv4 address
    ]);
    expect(results.changed.running).toEqual({ ...results.fresh.running, numqueues: 3 });
  });

  test("is brought up again", () => {
    expect(results.down.corrected).toContain("the link was down");
    expect(results.down.running).toEqual(results.fresh.running);
  });

  test("loses routes of ranges that are no longer the node's", () => {
    const { corrected, running } = results.otherRange;
    expect(corrected.slice(0, 2)).toEqual(["the route 10.30.0.0/16 was there", "the route fdff::/16 was there"]);
    expect(running).toEqual({ ...results.fresh.running, routes: ["10.31.0.0/16"] });
  });

  test("is not for another node, nor for a second process", () => {
    expect(results.otherNode).toBe(
      'tun-unavailable: The TUN "swkept0" cannot be created: expected no device of that name, or one with the alias ' +
        `"sapwood node node-b"; found a device of kind tun with the alias "sapwood node ${results.sameNode}", of somebody else.`,
    );
    expect(results.held).toBe('tun-unavailable: The TUN "swkept0" is held by another process, perhaps another proxy.');
  });

  test("ends with a process that says so", () => {
    expect(results.closeFailures).toEqual([]);
    expect(results.closed).not.toContain("swkept0");
  });

  test.for([
    ["foreignTun", "a device of kind tun with no alias"],
    ["foreignBridge", "a device of kind bridge with no alias"],
  ] as const)("%s: a device of somebody else is refused and stays as it is", ([which, found]) => {
    expect(results[which]).toEqual({ message: expect.stringContaining(`found ${found}`), isSame: true });
  });

  test.for([
    ["plain", "its vnet_hdr was false, not true"],
    ["group", expect.stringMatching(/^its group was \S+, not unset$/)],
  ] as const)("%s: a device whose queues cannot be ours is made anew", ([which, unusable]) => {
    expect(results[which]).toMatchObject({ isAdopted: false, unusable, running: { ...asSetUp, user: username } });
  });

  test("belongs to this user again", () => {
    expect(results.owner).toMatchObject({ isAdopted: true, running: { ...asSetUp, user: username } });
  });
});
