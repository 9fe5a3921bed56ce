// What a machine does to a node: each fault is told with what to do about it, and what can be is well again without help.
// One lab of two nodes; each test leaves it as it was, and calls show that it serves.
import { spawnSync } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, expect, test } from "vitest";
import { configFile, controlSocket, eventually } from "../../src/lab/lab.ts";
import { tablesOf } from "../../src/lab/node-config.ts";
import type { CallResult } from "../../src/lab/workload-protocol.ts";
import type { EventReport, NodeReport, StatusReport } from "../../src/model/reports.ts";
import { describeLab, openLab, useLab } from "../support/lab.ts";
import { TWO_NODES } from "../support/topologies.ts";

const NODE = "node-a";
const SERVICES = ["10.30.0.2", "fdff:2000::1"];
/** Gives a process another real-time clock: from the Debian package faketime. */
const FAKE_CLOCK = spawnSync("sh", ["-c", "ls /usr/lib/*/faketime/libfaketime.so.1"], {
  encoding: "utf8",
}).stdout.trim();
/** How many seconds that clock is ahead. */
const CLOCK_FILE = "/run/sapwood/clock";
/** More than MachineWatch needs to call it a pause, and a look beside. */
const STOPPED_MS = 6500;

describeLab("a node that meets faults", () => {
  const lab = useLab(() => openLab(TWO_NODES));

  afterEach(expectAnswers);

  test("without a descriptor left packets flow, who asks is told so, and what could not be done is done when there are some", async () => {
    const { pid } = await lab().report<StatusReport>(NODE, "status");
    await inNode("prlimit", "--pid", `${pid}`, "--nofile=3:");
    await lab()
      .proxy(NODE)
      .until("the fault to be told", ({ stderr }) => stderr.includes("out-of-descriptors"));
    const told = await lab().sapwood(NODE, ["status"]);
    expect(told).toMatchObject({ code: 1, stdout: "" });
    expect(told.stderr).toMatch(/^sapwood: The process has as many files and sockets open as it may, [^\n]+\.$/m);
    await expectAnswers();
    await inNode("ip", "link", "set", "sapwood0", "mtu", "1400");
    const [service, ...others] = tablesOf(TWO_NODES).services;
    const tables = { ...tablesOf(TWO_NODES), services: [{ ...service, name: "renamed" }, ...others] } as const;
    lab().writeConfig(NODE, tables as ReturnType<typeof tablesOf>);
    await lab()
      .proxy(NODE)
      .until("the file to be refused", ({ stderr }) => stderr.includes("cannot be read: EMFILE"));
    await expectAnswers();
    await inNode("prlimit", "--pid", `${pid}`, "--nofile=4096:");
    await eventually("the file to be in force", async () => (await status()).lastReload?.ok === true);
    await eventually("the MTU to be put back", async () => (await status()).network.repairs > 0);
    expect((await status()).pid).toBe(pid);
    expect(await kinds("descriptors")).toEqual(["out-of-descriptors", "recovered"]);
    lab().writeConfig(NODE, tablesOf(TWO_NODES));
  });

  test("the interface of the tunnel goes down, loses its address, gets another MTU: told, and served again after it", async () => {
    const told = (await events()).length;
    const step = async (command: string, problem: RegExp | undefined): Promise<void> => {
      await inNode("ip", ...command.split(" "));
      await eventually(`what "ip ${command}" does to be seen`, async () => {
        const { problems } = (await status()).network;
        return problem === undefined ? problems.length === 0 : problems.some((one) => problem.test(one));
      });
    };
    await step("link set eth0 down", /^The interface eth0, which carries the tunnel, is down/);
    await lab().sandbox.expect(["bash", "-c", `echo a >/dev/udp/${SERVICES[0]}/9`], "a1");
    await lab()
      .proxy(NODE)
      .until("the lost packet to be told", ({ stderr }) => stderr.includes("sends-refused"));
    await step("link set eth0 up", undefined);
    await expectAnswers();
    await step("address del 192.0.2.11/24 dev eth0", /^No interface has the address 192\.0\.2\.11/);
    await step("address add 192.0.2.11/24 dev eth0", undefined);
    await expectAnswers();
    await inNode("ip", "link", "set", "eth0", "mtu", "1400");
    const mtusTold = async () => (await kinds("eth0")).filter((kind) => kind === "underlay-changed").length;
    await eventually("the MTU to be told", async () => (await mtusTold()) === 1);
    await expectAnswers();
    await inNode("ip", "link", "set", "eth0", "mtu", "1500");
    await eventually("the MTU of before to be told", async () => (await mtusTold()) === 2);
    const { restarts } = (await status()).workers[0] ?? {};
    expect(restarts).toBe(0);
    const own = new Set((await events()).slice(told).map(({ kind }) => kind));
    for (const kind of ["network-problem", "recovered", "sends-refused", "underlay-changed"])
      expect(own).toContain(kind);
  });

  test("a process that is stopped for a while goes on with its flows, its workers and its nodes", async () => {
    const proxy = lab().proxy(NODE);
    const before = await status();
    const told = (await events()).length;
    proxy.kill("SIGSTOP");
    await sleep(STOPPED_MS); // it is what is tested
    proxy.kill("SIGCONT");
    await proxy.until("the pause to be told", ({ stderr }) => stderr.includes("process-paused"));
    await expectAnswers();
    const after = await status();
    expect(after).toMatchObject({ pid: before.pid, workers: [{ restarts: 0 }] });
    expect((await events()).slice(told).map(({ kind }) => kind)).toEqual(["process-paused"]);
  });

  test.skipIf(FAKE_CLOCK === "")("the clock is set, ahead and back: told, and nothing else happens", async () => {
    await lab().proxy(NODE).stop();
    const settings = [`LD_PRELOAD=${FAKE_CLOCK}`, `FAKETIME_TIMESTAMP_FILE=${CLOCK_FILE}`, "FAKETIME_NO_CACHE=1"];
    const setClock = (seconds: string): Promise<string> =>
      inNode("sh", "-c", `echo ${seconds} > ${CLOCK_FILE}.next && mv ${CLOCK_FILE}.next ${CLOCK_FILE}`);
    await setClock("+0");
    const run = lab().sapwoodCommand(["run", "--config", configFile(NODE), "--socket", controlSocket(NODE)]);
    const proxy = lab().sandbox.start(["env", ...settings, "FAKETIME_DONT_FAKE_MONOTONIC=1", ...run], NODE);
    await proxy.until("the proxy to be ready", ({ stdout }) => stdout.includes("sapwood ready"));
    await expectAnswers();
    await eventually("the other node to be known", async () => (await unreachable()).length === 0);
    const before = await status();
    const told = (await events()).length;
    for (const [index, seconds] of ["+86400", "-86400"].entries()) {
      await setClock(seconds);
      await eventually("the jump to be told", async () => {
        return (await events()).filter(({ kind }) => kind === "clock-jumped").length > index;
      });
      await expectAnswers();
      expect(await unreachable()).toEqual([]);
    }
    expect(await status()).toMatchObject({ pid: before.pid, workers: [{ restarts: 0 }], network: { problems: [] } });
    expect((await events()).slice(told).map(({ kind }) => kind)).toEqual(["clock-jumped", "clock-jumped"]);
    await proxy.stop();
    await lab().startProxy(NODE);
  });

  test("the bridge of the workloads is removed and made anew", async () => {
    await inNode("ip", "link", "del", "br0");
    await eventually("it to be told", async () => (await kinds("br0")).includes("workloads-unreachable"));
    const address = ["10.101.3.254/24", "fc00::101:3:fe/112"].map((one) => `addr add ${one} dev br0 nodad`);
    const commands = ["link add br0 mtu 1450 type bridge", "link set a1 master br0", "link set br0 up", ...address];
    await lab().sandbox.expect(
      ["ip", "-batch", "-"],
      NODE,
      `${commands.join("\n").replace("/24 dev br0 nodad", "/24 dev br0")}\n`,
    );
    await eventually("it to be told", async () => (await kinds("br0")).includes("recovered"));
  });

  test("a deleted TUN ends the proxy with a sentence, told to who follows; without memory the next one ends with another [defect 36]", async () => {
    const follower = lab().startSapwood(NODE, ["events", "--follow", "--socket", controlSocket(NODE)]);
    await follower.until("the follower to be there", ({ stdout }) => stdout.includes("workloads-unreachable"));
    await inNode("ip", "link", "del", "sapwood0");
    const { code, stderr } = await lab().proxy(NODE).ended;
    expect(code).toBe(1);
    expect(stderr).toMatch(/^sapwood: The TUN "sapwood0" is gone: [^\n]+\.$/m);
    await follower.until("the end to be told", ({ stdout }) => /proxy-ending.*The TUN "sapwood0" is gone/.test(stdout));
    await follower.ended;
    const run = lab().sapwoodCommand(["run", "--config", configFile(NODE), "--socket", controlSocket(NODE)]);
    const limited = await lab().sandbox.run(["sh", "-c", 'ulimit -v 6000000; exec "$@"', "sh", ...run], NODE);
    expect(limited.code).toBe(1);
    expect(limited.stderr).toMatch(/^sapwood: The machine has no memory for the tables and flows, [^\n]+\.$/m);
    await lab().startProxy(NODE);
  });

  async function expectAnswers(): Promise<void> {
    const calls = SERVICES.map((address) => ({ protocol: "http", address }) as const);
    const results = await lab().ask<CallResult[]>("a1", { kind: "together", calls, rounds: 2 });
    expect(results.flatMap(({ failures }) => failures)).toEqual([]);
  }

  function inNode(...command: readonly string[]): Promise<string> {
    return lab().sandbox.expect([...command], NODE);
  }

  function status(): Promise<StatusReport> {
    return lab().report<StatusReport>(NODE, "status");
  }

  async function events(): Promise<readonly EventReport[]> {
    return await lab().report<readonly EventReport[]>(NODE, "events");
  }

  async function unreachable(): Promise<string[]> {
    const nodes = await lab().report<readonly NodeReport[]>(NODE, "nodes");
    return nodes.filter(({ isLocal, state }) => !isLocal && state !== "reachable").map(({ id }) => id);
  }

  /** Of the events about a subject. */
  async function kinds(subject: string): Promise<string[]> {
    return (await events()).filter((event) => event.subject === subject).map(({ kind }) => kind);
  }
});
