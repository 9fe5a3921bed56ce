// A service manager keeps the descriptors of the TUN and the tunnel while the proxy is killed and starts again: packets
// wait in their queues, and none is dropped. A program stands for systemd (support/kept-descriptors.ts).
import { beforeAll, expect, test } from "vitest";
import { sourceFile } from "../../src/lab/build-paths.ts";
import { tablesOf } from "../../src/lab/node-config.ts";
import type { SandboxProgram } from "../../src/lab/sandbox.ts";
import type { CountersReport, StatusReport } from "../../src/model/reports.ts";
import { killManaged, startManaged } from "../support/kept-descriptors.ts";
import { report, startExchanges } from "../support/kept-exchanges.ts";
import { describeLab, openLab, useLab } from "../support/lab.ts";
import { ONE_SERVER } from "../support/topologies.ts";

const NODE = "node-a";
const KILLS = 3;
const DATAGRAMS_PER_SECOND = 100;

describeLab("a proxy whose descriptors a service manager keeps", () => {
  const lab = useLab(() => openLab(ONE_SERVER));
  let manager: SandboxProgram;

  beforeAll(async () => {
    expect((await lab().proxy(NODE).stop()).code).toBe(0);
    manager = await startManaged(lab(), NODE);
  });

  test("drops nothing while it is killed and starts again, and loses no connection", async () => {
    const exchanges = await startExchanges(lab());
    const client = sourceFile("test/e2e/in-workload/numbered-datagrams.mjs");
    const argv = [process.execPath, client, String(DATAGRAMS_PER_SECOND), "10.30.0.3"];
    const datagrams = lab().sandbox.start(argv, "a1");
    await datagrams.until("the client to send", ({ stdout }) => stdout.includes("sending\n"));
    const dropsBefore = await tunDrops();
    for (let kill = 0; kill < KILLS; kill++) await killed();
    const { broken, moved } = await report(exchanges);
    expect({ broken, moved }).toEqual({ broken: [], moved: 0 });
    expect(await tunDrops()).toBe(dropsBefore);
    expect(manager.stderr.match(/took over the TUN of the process before/g)).toHaveLength(KILLS);
    await datagrams.stop();
    await exchanges.stop();
  });

  test("opens devices anew that its configuration has otherwise", async () => {
    lab().writeConfig(NODE, tablesOf(ONE_SERVER), { tun: { queues: 2 } });
    await killed();
    expect(manager.stderr).toContain("the devices that systemd kept are opened anew");
    expect((await lab().report<StatusReport>(NODE, "status")).tun.queues).toBe(2);
    // Lines of the proxy may come between them.
    await manager.until("the new descriptors", ({ stdout }) =>
      stdout.replace(/^sapwood ready.*\n/gm, "").includes("kept tun-1\nkept tunnel-0\nkept tunnel-1\n"),
    );
  });

  test("opens anew what it has of a TUN that somebody deleted, when it is started again", async () => {
    const before = manager.stdout.match(/sapwood ready/g)?.length ?? 0;
    const refusals = manager.stderr.match(/kept are opened anew/g)?.length ?? 0;
    await lab().sandbox.expect(["ip", "link", "del", "sapwood0"], NODE);
    await manager.until("the next start", ({ stdout }) => (stdout.match(/sapwood ready/g)?.length ?? 0) > before);
    expect(manager.stderr).toMatch(/^sapwood: The TUN "sapwood0" is gone/m);
    expect(manager.stderr.match(/kept are opened anew/g)?.length).toBe(refusals + 1);
    expect((await lab().report<StatusReport>(NODE, "status")).network).toMatchObject({ isUp: true, problems: [] });
  });

  test("takes them back when it is stopped, so that nothing is left", async () => {
    manager.kill("SIGTERM");
    const { code, stdout } = await manager.ended;
    expect(code).toBe(0);
    expect(stdout).toMatch(/(?:forgot tun(?:nel)?-[01]\n){4}$/);
    expect(await lab().sandbox.expect(["ip", "-brief", "link", "show"], NODE)).not.toContain("sapwood0");
    lab().writeConfig(NODE, tablesOf(ONE_SERVER));
    await lab().startProxy(NODE);
  });

  const killed = (): Promise<void> => killManaged(lab(), NODE, manager);

  async function tunDrops(): Promise<number> {
    return (await lab().report<CountersReport>(NODE, "counters")).kernel.tunDrops ?? 0;
  }
});
