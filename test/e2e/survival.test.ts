// Proxies are killed under load and start again: no connection that was there before is lost or led elsewhere, busy or
// idle, and new ones open. Then the same with TUN devices that outlive them, and what becomes of such a device.
// test/long/killed-proxies.test.ts kills thirty times.
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { configFile, controlSocket, eventually } from "../../src/lab/lab.ts";
import type { SandboxProgram } from "../../src/lab/sandbox.ts";
import { DEMO } from "../../src/lab/topology.ts";
import type { StatusReport } from "../../src/model/reports.ts";
import { killAndRestart } from "../support/kept-exchanges.ts";
import { testKills } from "../support/killed-proxies.ts";
import { describeLab, openLab, useLab, useProxies } from "../support/lab.ts";

const NODE = "node-a";
const TUN = "sapwood0";
const PERSISTENT = { tun: { persist: true } };

describeLab("proxies that are killed under load", () => {
  const lab = useLab(() => openLab(DEMO));

  testKills(lab, 1);

  describe("while their TUN outlives them", () => {
    useProxies(lab, PERSISTENT);
    let monitor: SandboxProgram;
    let before: Awaited<ReturnType<typeof shown>>;

    beforeAll(async () => {
      before = await shown();
      monitor = lab().sandbox.start(["ip", "monitor", "link", "address", "route"], NODE);
    });
    afterAll(async () => {
      if (monitor !== undefined) await monitor.stop();
    });

    testKills(lab, 1, PERSISTENT);

    test("device, addresses and routes are there without a process, and were there all the time", async () => {
      expect(await shown()).toEqual(before);
      lab().proxy(NODE).kill("SIGKILL");
      await lab().proxy(NODE).ended;
      expect({ ...(await shown()), queues: before.queues }).toEqual(before);
      expect((await shown()).queues).toBe(0);
      const next = await lab().startProxy(NODE, undefined, PERSISTENT);
      expect(next.stderr).toContain("took over the TUN of the process before");
      expect(await shown()).toEqual(before);
      await monitor.until("the news of the kill", ({ stdout }) => stdout.includes("NO-CARRIER"));
      expect(monitor.stdout.split("\n").filter((line) => /^Deleted .*sapwood0/.test(line))).toEqual([]);
    });

    test("another MTU in the configuration is in force after a kill, with the same device", async () => {
      const next = await killAndRestart(lab(), NODE, { tun: { ...PERSISTENT.tun, mtu: 1400 } });
      expect(next.stderr).toContain("the MTU was 1450, not 1400");
      expect(await shown()).toEqual({ ...before, mtu: 1400 });
      expect((await lab().report<StatusReport>(NODE, "status")).tun.mtu).toBe(1400);
    });

    test("a clean stop takes device and routes away, unless it is told to keep them", async () => {
      await killAndRestart(lab(), NODE, { tun: { ...PERSISTENT.tun, keep: true } });
      await stop();
      expect({ ...(await shown()), queues: before.queues }).toEqual(before);
      await killAndRestart(lab(), NODE, PERSISTENT);
      await stop();
      expect(await lab().sandbox.expect(["ip", "-brief", "link", "show"], NODE)).not.toContain(TUN);
      expect(await lab().sandbox.expect(["ip", "rule", "show"], NODE)).not.toContain(TUN);
    });

    test("a device that is no longer to outlive its process goes with it", async () => {
      await lab().startProxy(NODE, undefined, PERSISTENT);
      await killAndRestart(lab(), NODE, { tun: { persist: false } });
      expect((await shown()).queues).toBe(before.queues);
      lab().proxy(NODE).kill("SIGKILL");
      await lab().proxy(NODE).ended;
      await eventually("the device to go", async () => !(await ip("-brief link show")).includes(TUN));
    });

    test("somebody else's device of that name is refused in one sentence, and stays as it is", async () => {
      await ip("tuntap add dev sapwood0 mode tun multi_queue vnet_hdr");
      const foreign = await ip("-details link show sapwood0");
      const argv = ["run", "--config", configFile(NODE), "--socket", controlSocket(NODE)];
      const { code, stderr } = await lab().startSapwood(NODE, argv).ended;
      expect(code).toBe(1);
      expect(stderr).toMatch(/^sapwood: The TUN "sapwood0" cannot be created: [^\n]+ of somebody else\.$/m);
      expect(await ip("-details link show sapwood0")).toBe(foreign);
      await ip("link delete sapwood0");
      await lab().startProxy(NODE, undefined, PERSISTENT);
    });

    async function stop(): Promise<void> {
      const { code, stderr } = await lab().proxy(NODE).stop();
      expect(code, stderr).toBe(0);
    }

    function ip(command: string): Promise<string> {
      return lab().sandbox.expect(["ip", ...command.split(" ")], NODE);
    }

    /** What the kernel has of the TUN. */
    async function shown() {
      const [link] = JSON.parse(await ip(`-details -json address show dev ${TUN}`));
      const { ifindex, mtu, flags, addr_info, linkinfo } = link;
      const routes = `${await ip(`-4 route show dev ${TUN}`)}${await ip(`-6 route show dev ${TUN}`)}`;
      return {
        index: ifindex as number,
        mtu: mtu as number,
        isUp: (flags as string[]).includes("UP"),
        addresses: addr_info as unknown[],
        queues: linkinfo.info_data.numqueues as number,
        routes: routes.split("\n").flatMap((line) => line.split(" ")[0] || []),
        rules: (await ip("rule show")).replace("[detached] ", ""),
      };
    }
  });
});
