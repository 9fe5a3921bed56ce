// A proxy starts, crashes, starts again and stops; and where it cannot start it says why in one sentence. Each time
// the node's network is compared with what it was before.

import { getPriority } from "node:os";
import { dirname } from "node:path";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { TUNNEL_PORT } from "../../assembly/shared/sockets.ts";
import { configFile, controlSocket, eventually, type Lab } from "../../src/lab/lab.ts";
import { nodeConfig, tablesOf } from "../../src/lab/node-config.ts";
import { Sandbox, type SandboxProgram } from "../../src/lab/sandbox.ts";
import type { CallResult } from "../../src/lab/workload-protocol.ts";
import type { StatusReport } from "../../src/model/reports.ts";
import { describeLab, openLab, sapwoodCommand } from "../support/lab.ts";
import { TWO_NODES } from "../support/topologies.ts";

const NODE = "node-a";
const EXIT_FAILED = 1;
const EXIT_BAD_CONFIG = 2;
const SENTENCE = /^sapwood: [^\n]+\.\n$/;

describeLab("a node's proxy", () => {
  let lab: Lab;
  let untouched: string;
  const started: SandboxProgram[] = [];

  beforeAll(async () => {
    lab = await openLab(TWO_NODES, async (opened) => {
      opened.writeConfig(NODE, tablesOf(TWO_NODES));
      await opened.startProxy("node-b");
    });
    untouched = await networkState();
  });
  afterAll(() => lab?.close());
  afterEach(async () => {
    // One that a failed assertion left running would be in the way of the next test.
    await Promise.all(started.splice(0).map((proxy) => proxy.stop()));
    expect(await networkState()).toBe(untouched);
  });

  test("starts after kill -9 without clean-up, and SIGTERM then restores what was before the crash", async () => {
    const first = await startProxy();
    await expectAnswer();
    first.kill("SIGKILL");
    await first.ended;
    const second = await startProxy();
    await expectAnswer();
    await expectCleanEnd(second, "SIGTERM");
  });

  test("sets up device, routes and forwarding, and SIGINT takes them away", async () => {
    const proxy = await startProxy();
    const during = await networkState();
    for (const part of ["10.30.0.0/16", "fdff::/16", "ip_forward:1"]) {
      expect(during).toContain(part);
      expect(untouched).not.toContain(part);
    }
    await expectCleanEnd(proxy, "SIGINT");
    // Nothing but what it was given.
    expect(await lab.sandbox.expect(["ls", dirname(configFile(NODE))])).toBe("node.yaml\nsapwood.flows\n");
  });

  test.skipIf(Sandbox.needsUserNamespace)("lets its worker go before other threads, its own included", async () => {
    const proxy = await startProxy();
    const { pid, workers } = await lab.report<StatusReport>(NODE, "status");
    const show = `mount -t proc proc /proc && cat /proc/${pid}/task/*/stat`; // the sandbox has the host's
    const stats = await lab.sandbox.expect(["unshare", "--mount", "sh", "-c", show]);
    const nices = stats.match(/(?<=\) (?:\S+ ){16})\S+/gm) ?? [];
    expect(nices[0]).toBe(String(getPriority()));
    expect(nices.filter((nice) => Number(nice) < 0)).toHaveLength(workers.length);
    await expectCleanEnd(proxy, "SIGTERM");
  });

  test("keeps three capabilities, in every thread, and no way to more", async () => {
    lab.writeConfig(NODE, tablesOf(TWO_NODES));
    const proxy = lab.sandbox.start(runCommand(), NODE); // with all that root may do
    started.push(proxy);
    await proxy.until("the proxy to be ready", ({ stdout }) => stdout.includes("sapwood ready"));
    const { pid } = await lab.report<StatusReport>(NODE, "status");
    const show = `mount -t proc proc /proc && cat /proc/${pid}/task/*/status`; // the sandbox has the host's
    const status = await lab.sandbox.expect(["unshare", "--mount", "sh", "-c", show]);
    const threads = status.match(/^Name:/gm) ?? [];
    expect(threads.length).toBeGreaterThan(5);
    // CAP_NET_BIND_SERVICE, CAP_NET_ADMIN and CAP_SYS_NICE: bits 10, 12 and 23.
    for (const set of ["CapPrm", "CapEff", "CapBnd"]) {
      const masks = status.match(new RegExp(`(?<=^${set}:\\s+)\\S+`, "gm"));
      expect(masks, set).toEqual(threads.map(() => "0000000000801400"));
    }
    expect(status.match(/(?<=^NoNewPrivs:\s+)\d/gm)).toEqual(threads.map(() => "1"));
    await expectAnswer();
    await expectCleanEnd(proxy, "SIGTERM");
  });

  test("a proxy that is started with the right to read everything, and no more, gives that up as well", async () => {
    const rights = "-all,+net_admin,+net_bind_service,+sys_nice,+dac_read_search";
    const prefix = ["setpriv", "--no-new-privs", "--inh-caps", rights, "--bounding-set", rights];
    const proxy = lab.sandbox.start([...prefix, ...runCommand()], NODE);
    started.push(proxy);
    await proxy.until("the proxy to be ready", ({ stdout }) => stdout.includes("sapwood ready"));
    const { pid } = await lab.report<StatusReport>(NODE, "status");
    const show = `mount -t proc proc /proc && cat /proc/${pid}/task/*/status`;
    const status = await lab.sandbox.expect(["unshare", "--mount", "sh", "-c", show]);
    expect(new Set(status.match(/(?<=^CapPrm:\s+)\S+/gm))).toEqual(new Set(["0000000000801400"]));
    await expectCleanEnd(proxy, "SIGTERM");
  });

  test("lives on when its terminal closes, and then ends as cleanly as ever", async () => {
    lab.writeConfig(NODE, tablesOf(TWO_NODES));
    const status = `${dirname(configFile(NODE))}/exit-status`;
    // The shell stays to tell; it ignores the signal that a closing terminal sends.
    const shell = `trap "" HUP; ${runCommand().join(" ")}; echo $? >${status}`;
    const terminal = lab.sandbox.start(["script", "--quiet", "--flush", "--command", shell, "/dev/null"], NODE);
    await terminal.until("the proxy to be ready", ({ stdout }) => stdout.includes("sapwood ready"));
    terminal.kill("SIGKILL");
    await terminal.ended;
    await expectAnswer();
    const { pid, config } = await lab.report<StatusReport>(NODE, "status");
    expect(config).toEqual({ file: configFile(NODE), isFollowed: true });
    await lab.sandbox.expect(["kill", "-TERM", String(pid)]);
    await eventually("the proxy to end", async () => (await lab.sandbox.run(["test", "-s", status])).code === 0);
    expect(await lab.sandbox.expect(["sh", "-c", `cat ${status} && rm ${status}`])).toBe("0\n");
  });

  test("lets a second one on the same socket fail, and goes on", async () => {
    const proxy = await startProxy();
    const { code, stderr } = await runProxy();
    expect(code).toBe(EXIT_FAILED);
    expect(stderr).toMatch(SENTENCE);
    await expectAnswer();
    await expectCleanEnd(proxy, "SIGTERM");
  });

  test("refuses a tunnel port that is in use", async () => {
    const bind = `require("dgram").createSocket("udp4").bind(${TUNNEL_PORT}, () => console.log("bound"))`;
    const other = lab.sandbox.start([process.execPath, "-e", bind], NODE);
    await other.until("the port to be taken", ({ stdout }) => stdout.includes("bound"));
    const { code, stderr } = await runProxy();
    other.kill("SIGKILL");
    await other.ended;
    expect(code).toBe(EXIT_FAILED);
    expect(stderr).toMatch(SENTENCE);
    expect(stderr).toContain(String(TUNNEL_PORT));
  });

  test("refuses to run without rights", async () => {
    const { code, stderr } = await runProxy(["setpriv", "--bounding-set", "-all", "--inh-caps", "-all"]);
    expect(code).toBe(EXIT_FAILED);
    expect(stderr).toMatch(SENTENCE);
    expect(stderr).toMatch(/CAP_NET_ADMIN|root/);
  });

  test("refuses to run without the program ip", async () => {
    // Folders of programs are hidden one by one, the last by a program that is in memory by then.
    const hide = [
      'touch /run/node && mount --bind "$1" /run/node && shift',
      "for folder in /usr/local/sbin /usr/local/bin /sbin /bin /usr/sbin; do",
      "  [ -L $folder ] || mount -t tmpfs tmpfs $folder; done",
      "mount -t tmpfs tmpfs /usr/bin",
      'exec /run/node "$@"',
    ].join("\n");
    const [node = "", ...rest] = runCommand();
    const { code, stderr } = await lab.sandbox.run(["unshare", "--mount", "sh", "-c", hide, "sh", node, ...rest], NODE);
    expect(stderr).toMatch(SENTENCE);
    expect(stderr).toContain('"ip" is missing');
    expect(code).toBe(EXIT_FAILED);
  });

  test.for([
    ["an unknown field", "underlay:", "underlya:", "underlya"],
    ["a wrong type", `port: ${TUNNEL_PORT}`, "port: high", "port"],
    ["no address", "fdff::105", "fdff::1::5", "fdff::1::5"],
  ] as const)("refuses a config with %s, naming file, line and field", async ([, good, bad, named]) => {
    const text = nodeConfig(TWO_NODES, NODE, tablesOf(TWO_NODES)).replace(good, bad);
    const line = text.split("\n").findIndex((each) => each.includes(bad)) + 1;
    lab.sandbox.writeFile(configFile(NODE), text);
    for (const { code, stderr } of [
      await runProxy(),
      await lab.startSapwood(NODE, ["check", configFile(NODE)]).ended,
    ]) {
      expect(code).toBe(EXIT_BAD_CONFIG);
      expect(stderr).toContain(`${configFile(NODE)}:${line}`);
      expect(stderr).toContain(named);
    }
    lab.writeConfig(NODE, tablesOf(TWO_NODES));
  });

  async function startProxy(): Promise<SandboxProgram> {
    const proxy = await lab.startProxy(NODE);
    started.push(proxy);
    return proxy;
  }

  function runCommand(): string[] {
    return sapwoodCommand("run", "--config", configFile(NODE), "--socket", controlSocket(NODE));
  }

  async function runProxy(prefix: readonly string[] = []) {
    return await lab.sandbox.run([...prefix, ...runCommand()], NODE);
  }

  async function expectAnswer(): Promise<void> {
    const calls = ["10.30.0.2", "fdff:2000::1"].map((address) => ({ protocol: "http", address }) as const);
    for (const result of await lab.ask<CallResult[]>("a1", { kind: "together", calls, rounds: 2 })) {
      expect(result.failures).toEqual([]);
    }
  }

  async function expectCleanEnd(proxy: SandboxProgram, signal: "SIGTERM" | "SIGINT"): Promise<void> {
    proxy.kill(signal);
    const { code, stderr } = await proxy.ended;
    expect(code, stderr).toBe(0);
  }

  /** Devices, routes and kernel parameters of the node. */
  async function networkState(): Promise<string> {
    const script = [
      "ip -brief link show",
      "ip -4 route show",
      "ip -6 route show",
      "ip rule show && ip -6 rule show",
      "nft --stateless list ruleset",
      "grep -rs . /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv4/conf /proc/sys/net/ipv6/conf || true", // some cannot be read
    ].join(" && ");
    const state = await lab.sandbox.expect(["sh", "-c", script], NODE);
    // Devices and routes that come back may be in another place.
    return state.split("\n").sort().join("\n");
  }
});
