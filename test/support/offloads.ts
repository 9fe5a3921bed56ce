// What tests of the offloads share: two nodes, what has to arrive between them, and proxies with offloads switched off.
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { postText } from "../../src/cli/client.ts";
import { controlSocket, type Lab } from "../../src/lab/lab.ts";
import { type Topology, UNDERLAY_NAMESPACE } from "../../src/lab/topology.ts";
import type { CallResult, SendResult } from "../../src/lab/workload-protocol.ts";
import type { CountersReport, NodeReport, OffloadReport, StatusReport } from "../../src/model/reports.ts";
import type { SwitchableOffload } from "../../src/sys/offload.ts";
import { describeLab, openLab, useLab, useProxies } from "./lab.ts";
import { TWO_NODES } from "./topologies.ts";

const BURSTS_PROGRAM = fileURLToPath(new URL("../e2e/in-workload/udp-bursts.mjs", import.meta.url));
export const SWITCHED_OFF = "switched off by `sapwood offload`";
export const TRANSFER_BYTES = 16 * 2 ** 20;
const HTTP_ROUNDS = 20;
const BURSTS = 10;
/** What the server's answer adds to a datagram, and the largest headers in front of it. */
const ANSWER_BYTES = 150 + 40 + 8;

export const NODES = TWO_NODES.nodes.map(({ id }) => id);
export const CALLED = [
  ["IPv4", "10.30.0.2"],
  ["IPv6", "fdff:2000::1"],
] as const;

const CONFIG_FIELDS: Readonly<Record<SwitchableOffload, string>> = {
  "tun-tcp": "tunTcp",
  "tun-udp": "tunUdp",
  "udp-gso": "udpGso",
  "udp-gro": "udpGro",
};

interface UnderlayMtu extends Pick<Topology, "underlayMtu" | "underlayFamily"> {
  readonly tunMtu: number;
}

function switchedOff(names: readonly SwitchableOffload[]): Topology["settings"] {
  return { offloads: Object.fromEntries(names.map((name) => [CONFIG_FIELDS[name], false])) };
}

/** Requests, a transfer and bursts of datagrams, over both families. */
export function itCarriesEverything(openedLab: () => Lab, mtu = TWO_NODES.workloadMtu): void {
  test.for(CALLED)("HTTP over %s", async ([, address]) => {
    const job = { kind: "together", calls: [{ protocol: "http", address }], rounds: HTTP_ROUNDS } as const;
    const [result] = await openedLab().ask<CallResult[]>("a1", job);
    expect(result?.failures).toEqual([]);
    expect(result?.instances).toEqual(Array(HTTP_ROUNDS).fill("B 1"));
  });

  test.for(CALLED)("16 MiB of TCP over %s arrive with the same SHA-256", async ([, address]) => {
    const result = await openedLab().ask<SendResult>("a1", { kind: "send", address, sizeBytes: TRANSFER_BYTES });
    expect(result.received).toBe(result.sent);
  });

  test.for(CALLED)("bursts of UDP datagrams over %s are all answered", async ([, address]) => {
    await expectBursts(openedLab(), address, mtu);
  });
}

/** Over an underlay whose devices take so much, which the TUN's MTU follows. */
export function describeOrdinaryUnderlay({ tunMtu, ...underlay }: UnderlayMtu): void {
  describeLab(`over an underlay whose devices have an MTU of ${underlay.underlayMtu}`, () => {
    const lab = useLab(() => openLab({ ...TWO_NODES, ...underlay, workloadMtu: tunMtu }));
    itCarriesEverything(lab, tunMtu);

    test(`the TUN has an MTU of ${tunMtu}`, async () => {
      const { tun } = await lab().report<StatusReport>("node-a", "status");
      expect(tun.mtu).toBe(tunMtu);
    });
  });
}

/**
 * A configured tun.mtu that the tunnel cannot carry in one piece: UDP_SEGMENT cannot cut to more than the device's MTU,
 * so such sends are refused and repeated as single datagrams, which the kernel sends in fragments; then the path's MTU
 * is known, and whoever sends more is told. Without probes, which would find it before.
 */
export function describeNarrowUnderlay(underlayFamily: "v4" | "v6"): void {
  describeLab(`over an IP${underlayFamily} underlay whose devices have a smaller MTU than the TUN's assumes`, () => {
    const settings = { tun: { mtu: 1450 }, probe: { interval: 0 } };
    const lab = useLab(() => openLab({ ...TWO_NODES, underlayMtu: 1400, underlayFamily, settings }));
    itCarriesEverything(lab);

    test("UDP_SEGMENT is refused, and nothing is lost by it", async () => {
      for (const node of NODES) {
        const { counters, drops } = await lab().report<CountersReport>(node, "counters");
        expect(drops.egress.sendFailed).toBe(0);
        if (node === "node-a") expect(counters.gsoRefused).toBeGreaterThan(0);
      }
    });

    test("`sapwood nodes` shows the path's MTU", async () => {
      const nodes = await lab().report<readonly NodeReport[]>("node-a", "nodes");
      const overhead = underlayFamily === "v4" ? 28 : 48;
      expect(nodes.map(({ id, mtu }) => [id, mtu])).toEqual([
        ["node-a", null],
        ["node-b", 1400 - overhead],
      ]);
    });
  });
}

/** As `sapwood offload` does it on each node, without starting the command. */
export async function switchOffload(lab: Lab, name: SwitchableOffload, state: "on" | "off"): Promise<void> {
  const order = JSON.stringify({ name, on: state === "on" });
  for (const node of NODES) {
    await postText(lab.sandbox.pathFromOutside(controlSocket(node)), "/v1/offloads", order);
  }
}

/** What the devices of the underlay take over. */
export async function switchDevices(lab: Lab, state: "on" | "off"): Promise<void> {
  const features = ["rx", "tx", "sg", "tso", "gso", "gro", "tx-udp-segmentation"].flatMap((name) => [name, state]);
  for (const node of NODES) {
    await lab.sandbox.expect(["ethtool", "-K", "eth0", ...features], node);
    await lab.sandbox.expect(["ethtool", "-K", node, ...features], UNDERLAY_NAMESPACE);
  }
}

async function expectBursts(lab: Lab, address: string, mtu: number): Promise<void> {
  const size = mtu - ANSWER_BYTES;
  const argv = [process.execPath, BURSTS_PROGRAM, address, String(size), String(BURSTS)];
  const { asked, answered, wrong } = JSON.parse(await lab.sandbox.expect(argv, "a1"));
  expect({ answered, wrong }).toEqual({ answered: asked, wrong: 0 });
}

export async function offloadsOf(lab: Lab, node: string): Promise<readonly OffloadReport[]> {
  return (await lab.report<StatusReport>(node, "status")).offloads;
}

/** What each offload must not do when it is off: counters that would tell. */
async function expectUnused(lab: Lab, names: readonly SwitchableOffload[]): Promise<void> {
  for (const node of NODES) {
    const { counters } = await lab.report<CountersReport>(node, "counters");
    const {
      tunReadFrames = 0,
      egressPackets = 0,
      udpSentMessages = 0,
      udpReceivedMessages = 0,
      ingressPackets = 0,
    } = counters;
    expect(egressPackets).toBeGreaterThan(100); // those of the receiver acknowledge many segments each
    if (names.includes("tun-tcp") && names.includes("tun-udp")) {
      expect(tunReadFrames).toBeGreaterThanOrEqual(egressPackets);
    }
    if (names.includes("udp-gso")) expect(udpSentMessages).toBeGreaterThanOrEqual(egressPackets);
    if (names.includes("udp-gro")) expect(udpReceivedMessages).toBeGreaterThanOrEqual(ingressPackets);
  }
}

/** Proxies of an open lab whose configuration has some offloads switched off: all arrives, and none of them is used. */
export function testSwitchedOff(lab: () => Lab, off: readonly SwitchableOffload[]): void {
  describe(`${off.join(", ")} switched off in the configuration`, () => {
    useProxies(lab, switchedOff(off));
    itCarriesEverything(lab);

    test("is off, says so, and is not used", async () => {
      for (const node of NODES) {
        const states = (await offloadsOf(lab(), node)).filter(({ on }) => !on);
        const reason = "switched off in the configuration";
        expect(states).toEqual(off.map((name) => ({ name, on: false, reason })));
      }
      await expectUnused(lab(), off);
    });
  });
}
