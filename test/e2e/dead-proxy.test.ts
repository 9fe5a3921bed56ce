// A proxy dies, and the node has a default route. What workloads send to service addresses meanwhile must not leave by
// it, in clear and with real addresses; whoever sends it hears so at once.

import { afterAll, beforeAll, expect, test } from "vitest";
import { configFile, controlSocket, type Lab } from "../../src/lab/lab.ts";
import { configure } from "../../src/lab/netns.ts";
import { nodeConfig, tablesOf } from "../../src/lab/node-config.ts";
import type { SandboxProgram } from "../../src/lab/sandbox.ts";
import { type Topology, UNDERLAY_NAMESPACE } from "../../src/lab/topology.ts";
import type { CallResult } from "../../src/lab/workload-protocol.ts";
import { describeLab, openLab, sapwoodCommand } from "../support/lab.ts";
import { TWO_NODES } from "../support/topologies.ts";

const NODE = "node-a";
const SERVICES = ["10.30.0.2", "fdff:2000::1"];
const SERVICE_PACKETS = "net 10.30.0.0/16 or net fdff::/16";
const UNREACHABLE = /^E(?:HOST|NET)UNREACH$/;
/** A client that is told waits far less, even on a busy machine. Where only the wire is looked at, nobody need be told. */
const AT_ONCE_MS = 30_000;
const SILENT_MS = 300;
/** The last packet of a recording: a marker that says that all before it is in. */
const MARKER_PORT = 9;

describeLab("while a node's proxy is dead", () => {
  let lab: Lab;

  beforeAll(async () => {
    lab = await openLab(TWO_NODES, async (opened) => {
      await opened.startProxy("node-b");
    });
    // Somebody who takes whatever leaves the node: a router of the provider, say.
    await configure(lab.sandbox, NODE, ["route add default via 192.0.2.12", "route add default via 2001:db8::12"]);
  });
  afterAll(() => lab?.close());

  test("nothing for a service address leaves the node, and clients hear at once", async () => {
    const proxy = await start({ guard: { routes: true } });
    await expectAnswers();
    proxy.kill("SIGKILL");
    await proxy.ended;
    const { seen, errors } = await callUnanswered();
    expect(seen).toEqual([]);
    expect(errors).toEqual([expect.stringMatching(UNREACHABLE), expect.stringMatching(UNREACHABLE)]);
    const next = await start({ guard: { routes: true } });
    await expectAnswers();
    expect(await guardRoutes()).toHaveLength(2);
    await stop(next);
    expect(await guardRoutes()).toEqual([]);
  });

  test("a node whose configuration says so keeps the routes over a clean stop, and gives them up by it", async () => {
    await stop(await start({ guard: { routes: true, keep: true } }));
    expect(await guardRoutes()).toHaveLength(2);
    expect((await callUnanswered(SILENT_MS)).seen).toEqual([]);
    await stop(await start({ guard: { routes: false } }));
    expect(await guardRoutes()).toEqual([]);
  });

  test("without these routes packets leave, and the recording shows them", async () => {
    const proxy = await start({ guard: { routes: false } });
    proxy.kill("SIGKILL");
    await proxy.ended;
    expect((await callUnanswered(SILENT_MS)).seen).not.toEqual([]);
    await stop(await start({ guard: { routes: false } }));
  });

  test("systemd's variable is enough", async () => {
    const proxy = await start({}, ["env", "INVOCATION_ID=0123456789abcdef0123456789abcdef"]);
    expect(await guardRoutes()).toHaveLength(2);
    await stop(proxy);
  });

  async function start(settings: Topology["settings"], prefix: readonly string[] = []): Promise<SandboxProgram> {
    lab.sandbox.writeFile(
      configFile(NODE),
      nodeConfig({ ...TWO_NODES, settings: { tun: { persist: false }, ...settings } }, NODE, tablesOf(TWO_NODES)),
    );
    const argv = sapwoodCommand("run", "--config", configFile(NODE), "--socket", controlSocket(NODE));
    const proxy = lab.sandbox.start([...prefix, ...argv], NODE);
    await proxy.until("the proxy to be ready", ({ stdout }) => stdout.includes("sapwood ready"));
    return proxy;
  }

  async function stop(proxy: SandboxProgram): Promise<void> {
    proxy.kill("SIGTERM");
    const { code, stderr } = await proxy.ended;
    expect(code, stderr).toBe(0);
  }

  async function expectAnswers(): Promise<void> {
    const calls = SERVICES.map((address) => ({ protocol: "http", address }) as const);
    for (const { failures } of await lab.ask<CallResult[]>("a1", { kind: "together", calls, rounds: 1 })) {
      expect(failures).toEqual([]);
    }
  }

  /** Calls each service once; the client's errors, and which packets were seen on the node's uplink. */
  async function callUnanswered(timeoutMs = AT_ONCE_MS): Promise<{ errors: string[]; seen: string[] }> {
    const filter = `${SERVICE_PACKETS} or udp dst port ${MARKER_PORT}`;
    const argv = ["tcpdump", "-n", "-l", "--immediate-mode", "-i", "br0", filter];
    const recording = lab.sandbox.start(argv, UNDERLAY_NAMESPACE);
    await recording.until("the recording to begin", ({ stderr }) => stderr.includes("listening on"));
    const call = [
      "const end = (what) => { console.log(what); process.exit(); };",
      "const socket = require('net').connect({ host: process.argv[1], port: 80, timeout: Number(process.argv[2]) });",
      "socket.on('error', ({ code }) => end(code)).on('timeout', () => end('silence')).on('connect', () => end('connected'));",
    ].join("\n");
    const errors: string[] = [];
    for (const address of SERVICES) {
      errors.push((await lab.sandbox.expect([process.execPath, "-e", call, address, String(timeoutMs)], "a1")).trim());
    }
    const send = `require('dgram').createSocket('udp4').send('end', ${MARKER_PORT}, '192.0.2.12', () => process.exit())`;
    await lab.sandbox.expect([process.execPath, "-e", send], NODE);
    await recording.until("the marker", ({ stdout }) => stdout.includes(`.${MARKER_PORT}: UDP`));
    await recording.stop();
    const seen = recording.stdout.split("\n").filter((line) => line !== "" && !line.includes(`.${MARKER_PORT}: UDP`));
    return { errors, seen };
  }

  async function guardRoutes(): Promise<string[]> {
    const show = "ip -4 route show type unreachable; ip -6 route show type unreachable";
    const routes = await lab.sandbox.expect(["sh", "-c", show], NODE);
    return routes.split("\n").filter((line) => line !== "");
  }
});
