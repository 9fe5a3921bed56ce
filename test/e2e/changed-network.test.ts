// Somebody changes what the proxy set up in the kernel: it puts that back without a restart, and says so. One lab; each
// test leaves it as it was.
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { eventually, type Lab } from "../../src/lab/lab.ts";
import type { CallResult } from "../../src/lab/workload-protocol.ts";
import type { NetworkReport, StatusReport } from "../../src/model/reports.ts";
import { describeLab, openLab } from "../support/lab.ts";
import { TWO_NODES } from "../support/topologies.ts";

const NODE = "node-a";
const RANGES = ["10.30.0.0/16", "fdff::/16"];

describeLab("a node whose network somebody changes", () => {
  let lab: Lab;

  beforeAll(async () => {
    lab = await openLab(TWO_NODES);
    await expectAnswers();
  });
  afterAll(() => lab?.close());
  afterEach(expectAnswers);

  test.for([
    ["the link is taken down and up", ["link set sapwood0 down", "link set sapwood0 up"], "route 10.30.0.0/16"],
    ["the link is taken down", ["link set sapwood0 down"], "the link was down"],
    ["IPv4 routes are flushed", ["route flush dev sapwood0"], "the route 10.30.0.0/16 was missing"],
    ["IPv6 routes are flushed", ["-6 route flush dev sapwood0"], "the route fdff::/16 was missing"],
    ["the MTU is raised", ["link set sapwood0 mtu 9000"], "the MTU was 9000, not 1450"],
    ["the MTU is less than IPv6 takes", ["link set sapwood0 mtu 1000"], "the MTU was 1000, not 1450"],
    ["the queue is shortened", ["link set sapwood0 txqueuelen 1"], "the queue length was 1"],
  ] as const)("%s: put back, and told", async ([, commands, what]) => {
    const before = await network();
    for (const command of commands) await lab.sandbox.expect(["ip", ...command.split(" ")], NODE);
    await eventually("a repair", async () => (await network()).repairs > before.repairs);
    await eventually("all to be there", async () => {
      const { isUp, routes, problems } = await network();
      return isUp && problems.length === 0 && RANGES.every((range) => routes.includes(range));
    });
    expect((await network()).lastRepair?.what.join()).toContain(what);
    await lab.proxy(NODE).until("the repair to be logged", ({ stderr }) => stderr.includes(what));
    const shown = await lab.sandbox.expect(["ip", "-details", "address", "show", "sapwood0"], NODE);
    expect(shown).toMatch(/mtu 1450 .*qlen 4096/);
    expect(shown).not.toContain("inet6"); // it would speak IPv6 by itself
  });

  test("a parameter of the interface is put back, and one that others share is told and left", async () => {
    const own = "/proc/sys/net/ipv4/conf/sapwood0/rp_filter";
    const shared = "/proc/sys/net/ipv4/ip_forward";
    await lab.sandbox.expect(["sh", "-c", `echo 1 > ${own}; echo 0 > ${shared}`], NODE);
    await eventually("the repair", async () => (await lab.sandbox.expect(["cat", own], NODE)) === "0\n");
    await eventually("the problem", async () => (await network()).problems.some((one) => one.includes("ip_forward")));
    expect(await lab.sandbox.expect(["cat", shared], NODE)).toBe("0\n");
    expect(lab.proxy(NODE).stderr.match(/ip_forward must be 1/g)).toHaveLength(1);
    await lab.sandbox.expect(["sh", "-c", `echo 1 > ${shared}`], NODE);
    await eventually("no problem", async () => (await network()).problems.length === 0);
  });

  test("somebody else's route to a range stays, and is told", async () => {
    const add = "route replace 10.30.0.0/16 dev br0";
    await lab.sandbox.expect(["ip", ...add.split(" ")], NODE);
    await eventually("the problem", async () => (await network()).problems.some((one) => one.includes("10.30.0.0/16")));
    expect(await lab.sandbox.expect(["ip", "route", "show", "10.30.0.0/16"], NODE)).toContain("br0");
    await lab.sandbox.expect(["ip", "route", "del", "10.30.0.0/16", "dev", "br0"], NODE);
    await eventually("the route", async () => (await network()).routes.includes("10.30.0.0/16"));
  });

  async function network(): Promise<NetworkReport> {
    return (await lab.report<StatusReport>(NODE, "status")).network;
  }

  async function expectAnswers(): Promise<void> {
    const calls = ["10.30.0.2", "fdff:2000::1"].map((address) => ({ protocol: "http", address }) as const);
    const results = await lab.ask<CallResult[]>("a1", { kind: "together", calls, rounds: 3 });
    expect(results.flatMap(({ failures }) => failures)).toEqual([]);
  }
});
