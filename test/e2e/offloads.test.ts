// Every offload is a matter of speed alone: whatever the kernel takes over or refuses, the same bytes arrive. Each
// offload by itself switched off in the configuration: test/long/offloads.test.ts.
import { execFileSync } from "node:child_process";
import { beforeAll, describe, expect, test } from "vitest";
import type { Lab } from "../../src/lab/lab.ts";
import { UNDERLAY_NAMESPACE } from "../../src/lab/topology.ts";
import type { CallResult, SendResult } from "../../src/lab/workload-protocol.ts";
import type { CountersReport, NodeReport, StatusReport } from "../../src/model/reports.ts";
import { OFFLOAD_SWITCHES, type SwitchableOffload } from "../../src/sys/offload.ts";
import { describeLab, openLab, useLab, useProxies } from "../support/lab.ts";
import {
  CALLED,
  expectBursts,
  HTTP_ROUNDS,
  itCarriesEverything,
  NODES,
  offloadsOf,
  TRANSFER_BYTES,
  TWO_NODES,
  testSwitchedOff,
} from "../support/offloads.ts";

const hasEthtool = isInstalled("ethtool");

// One lab: its proxies are started anew with other settings, which is what differs.
describeLab("between two nodes", () => {
  const lab = useLab(() => openLab(TWO_NODES));

  describe("with every offload", () => {
    itCarriesEverything(lab);

    test("they are in force and in use", async () => {
      for (const node of NODES) {
        const offloads = await offloadsOf(lab(), node);
        expect(offloads.filter(({ on }) => !on)).toEqual([]);
      }
      const { counters } = await lab().report<CountersReport>("node-a", "counters");
      expect(counters.tunReadFrames).toBeLessThan((counters.egressPackets ?? 0) / 2);
      expect(counters.udpSentMessages).toBeLessThan((counters.egressPackets ?? 0) / 2);
      expect(counters.gsoRefused).toBe(0);
    });
  });

  describe("switched while the proxy runs", () => {
    const reason = "switched off by `sapwood offload`";

    test.each(OFFLOAD_SWITCHES)("%s off and on again", async (name) => {
      await switchOffload(lab(), name, "off");
      for (const node of NODES) {
        expect((await offloadsOf(lab(), node)).filter(({ on }) => !on)).toEqual([{ name, on: false, reason }]);
      }
      for (const [, address] of CALLED) {
        const job = { kind: "together", calls: [{ protocol: "http", address }], rounds: HTTP_ROUNDS } as const;
        const [http] = await lab().ask<CallResult[]>("a1", job);
        expect(http?.failures).toEqual([]);
        const sent = await lab().ask<SendResult>("a1", { kind: "send", address, sizeBytes: TRANSFER_BYTES });
        expect(sent.received).toBe(sent.sent);
        await expectBursts(lab(), address, TWO_NODES.workloadMtu);
      }
      await switchOffload(lab(), name, "on");
      for (const node of NODES) expect((await offloadsOf(lab(), node)).filter(({ on }) => !on)).toEqual([]);
    });

    test("back and forth in the middle of transfers, whose bytes arrive", async () => {
      let isSwitched = false;
      const transfers = CALLED.map(async ([, address]) => {
        do {
          const sent = await lab().ask<SendResult>("a1", { kind: "send", address, sizeBytes: 8 * TRANSFER_BYTES });
          expect(sent.received).toBe(sent.sent);
        } while (!isSwitched);
      });
      for (const state of ["off", "on"] as const) {
        for (const name of OFFLOAD_SWITCHES) await switchOffload(lab(), name, state);
      }
      isSwitched = true;
      await Promise.all(transfers);
    });

    describe("all off", () => {
      beforeAll(async () => {
        for (const name of OFFLOAD_SWITCHES) await switchOffload(lab(), name, "off");
      });
      itCarriesEverything(lab);
    });
  });

  testSwitchedOff(lab, OFFLOAD_SWITCHES);

  // The last: the devices stay as they are made here.
  describe.skipIf(!hasEthtool)(
    `over devices of the underlay that have no offloads${hasEthtool ? "" : " (skipped: no ethtool)"}`,
    () => {
      useProxies(lab, {}, async () => {
        for (const node of NODES) {
          await withoutOffloads(lab(), node, "eth0");
          await withoutOffloads(lab(), UNDERLAY_NAMESPACE, node);
        }
      });
      itCarriesEverything(lab);
    },
  );
});

describeLab("over an underlay whose devices", () => {
  const sizes = [
    { underlayMtu: 1400, underlayFamily: "v4", tunMtu: 1350 },
    { underlayMtu: 1280, underlayFamily: "v6", tunMtu: 1280 }, // the least of IPv6 leaves no room for the tunnel
    { underlayMtu: 9000, underlayFamily: "v4", tunMtu: 8950 },
  ] as const;
  describe.each(sizes)("have an MTU of $underlayMtu", ({ underlayMtu, underlayFamily, tunMtu }) => {
    const lab = useLab(() => openLab({ ...TWO_NODES, underlayMtu, underlayFamily, workloadMtu: tunMtu }));
    itCarriesEverything(lab, tunMtu);

    test(`give the TUN an MTU of ${tunMtu}`, async () => {
      const { tun } = await lab().report<StatusReport>("node-a", "status");
      expect(tun.mtu).toBe(tunMtu);
    });
  });

  // A configured tun.mtu that the tunnel cannot carry in one piece: UDP_SEGMENT cannot cut to more than the device's
  // MTU, so such sends are refused and repeated as single datagrams, which the kernel sends in fragments; then the
  // path's MTU is known, and whoever sends more is told. Without probes, which would find it before.
  describe.each(["v4", "v6"] as const)("have a smaller MTU than the TUN's assumes, %s", (underlayFamily) => {
    const settings = { tun: { mtu: 1450 }, probe: { interval: 0 } };
    const lab = useLab(() => openLab({ ...TWO_NODES, underlayMtu: 1400, underlayFamily, settings }));
    itCarriesEverything(lab);

    test("refuse UDP_SEGMENT, and nothing is lost by it", async () => {
      for (const node of NODES) {
        const { counters, drops } = await lab().report<CountersReport>(node, "counters");
        expect(drops.egress.sendFailed).toBe(0);
        if (node === "node-a") expect(counters.gsoRefused).toBeGreaterThan(0);
      }
    });

    test("show the path's MTU in `sapwood nodes`", async () => {
      const nodes = await lab().report<readonly NodeReport[]>("node-a", "nodes");
      const overhead = underlayFamily === "v4" ? 28 : 48;
      expect(nodes.map(({ id, mtu }) => [id, mtu])).toEqual([
        ["node-a", null],
        ["node-b", 1400 - overhead],
      ]);
    });
  });
});

async function switchOffload(lab: Lab, name: SwitchableOffload, state: "on" | "off"): Promise<void> {
  for (const node of NODES) {
    const { code, stderr } = await lab.sapwood(node, ["offload", name, state]);
    expect(code, stderr).toBe(0);
  }
}

async function withoutOffloads(lab: Lab, namespace: string, device: string): Promise<void> {
  const features = ["rx", "tx", "sg", "tso", "gso", "gro", "tx-udp-segmentation"];
  await lab.sandbox.expect(["ethtool", "-K", device, ...features.flatMap((name) => [name, "off"])], namespace);
}

function isInstalled(program: string): boolean {
  try {
    execFileSync("sh", ["-c", `command -v ${program}`]);
    return true;
  } catch {
    return false;
  }
}
