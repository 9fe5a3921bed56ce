// Another process takes over from a running proxy under load: no connection and no datagram is lost, whether it comes to
// it or not. The tests are the steps of one story: each upgrade begins where the one before ended. How many of the ways
// are tried in which the other process fails, the caller chooses.
import { readFileSync } from "node:fs";
import binaryen from "binaryen";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parse } from "yaml";
import * as WorkerLayout from "../../assembly/shared/layout/worker.ts";
import { builtFile, sourceFile } from "../../src/lab/build-paths.ts";
import { configFile, controlSocket, eventually } from "../../src/lab/lab.ts";
import type { SandboxProgram } from "../../src/lab/sandbox.ts";
import type { EngineReport } from "../../src/model/module-reports.ts";
import type { EventReport, StatusReport } from "../../src/model/reports.ts";
import { given } from "./given.ts";
import { report, startExchanges } from "./kept-exchanges.ts";
import { kernelDropsMost } from "./kernel-drops.ts";
import { describeLab, openLab, useLab } from "./lab.ts";
import { OtherVersions } from "./other-version.ts";
import { ONE_SERVER } from "./topologies.ts";

const NODE = "node-a";
const DATAGRAMS_PER_SECOND = 100;
/** A batch from the TUN and one from the tunnel. */
const IN_HAND_MOST = 2 * WorkerLayout.BATCH_SIZE;
const TAKE_OVER = "src/node/takeover/take-over.js";
const OWN_VERSION: string = JSON.parse(readFileSync(sourceFile("package.json"), "utf8")).version;

type Change = Omit<Parameters<OtherVersions["make"]>[0], "version">;
const KILL = 'process.kill(process.pid, "SIGKILL")';
const FLOWING = "dies when packets flow through it";
/** The running process hears nothing of such a one, and has nothing to tell. */
const UNHEARD = "ends before it asks";
/** Ways in which the next process fails: how the program is changed for it, and what is said of it. */
const FAILURES: Readonly<Record<string, readonly [change: () => Change, reason: RegExp]>> = {
  [UNHEARD]: [
    () => at("const args =", `if (process.argv.includes("--takeover")) process.exit(3); const args =`, "src/start.js"),
    /status 3/,
  ],
  "has an engine that fails its self-test": [() => ({ files: { "wasm/engine.wasm": swappedEngine() } }), /self-test/],
  "dies when it has the descriptors": [
    () => at("await tryEngine(", `${KILL}; await tryEngine(`),
    /ended before it said "prepared"/,
  ],
  "dies when the workers are held": [
    () => at("const before = callSteps", `${KILL}; const before = callSteps`),
    /ended before it said "flowing"/,
  ],
  "hangs when the workers are held": [
    () => at("const before = callSteps", "for (;;); const before = callSteps"),
    /said nothing for \d+ ms/,
  ],
  [FLOWING]: [
    () => at("const { pid, version } = takeover.passedOn;", `${KILL}; const { pid, version } = takeover.passedOn;`),
    /ended before it said "ready"/,
  ],
  // It says so itself, unless a busy machine lets the running proxy's patience end first.
  "passes no packet on": [() => at("supervisor.release();", ""), /does not call its engine|said nothing for \d+ ms/],
};
export const FAILURE_NAMES: readonly string[] = Object.keys(FAILURES);
export const DAILY_FAILURES: readonly string[] = ["dies when the workers are held", "passes no packet on"];

export function describeUpgrades(failures: readonly string[]): void {
  describeLab("a proxy that another process takes over from", () => story(failures));
}

function story(failures: readonly string[]): void {
  const versions = new OtherVersions();
  const lab = useLab(() => openLab(ONE_SERVER));
  let exchanges: SandboxProgram;
  let datagrams: SandboxProgram;
  let descriptors: readonly string[];
  let dropsBefore = 0;

  beforeAll(async () => {
    exchanges = await startExchanges(lab());
    const client = sourceFile("test/e2e/in-workload/numbered-datagrams.mjs");
    const argv = [process.execPath, client, String(DATAGRAMS_PER_SECOND), "10.30.0.3", "fdff:1000::1"];
    datagrams = lab().sandbox.start(argv, "a1");
    await datagrams.until("the client to send", ({ stdout }) => stdout.includes("sending\n"));
    dropsBefore = await kernelDropsMost(lab());
    await expectNothingLost();
    descriptors = await openFiles();
  });
  afterAll(() => versions.remove());

  test("hands everything over: nothing is lost, and no process, file or descriptor is left", async () => {
    const before = await status();
    const { code, stdout, stderr } = await upgrade(builtFile("src/main.js"));
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout).toMatch(
      /^process \d+, version \S+, has taken over from version \S+\n\d+ flows go on; packets waited \d+ ms\n$/,
    );
    const after = await status();
    expect(after.pid).not.toBe(before.pid);
    expect(after.generation).toBe(before.generation);
    expect((await events()).map(({ kind }) => kind)).toContain("taken-over");
    await expectNothingLost();
    await expectNothingLeft(after.pid);
  });

  test("has another version and other packet code afterwards, where these are another version's", async () => {
    const engine = binaryen.readBinary(readFileSync(builtFile("wasm/engine.wasm")));
    engine.addCustomSection("note", Buffer.from("of another version"));
    const program = versions.make({ version: "9.9.9", files: { "wasm/engine.wasm": engine.emitBinary() } });
    const before = await lab().report<EngineReport>(NODE, "engine");
    const { code, stdout } = await upgrade(program);
    expect(code, stdout).toBe(0);
    expect(stdout).toContain(`version 9.9.9, has taken over from version ${OWN_VERSION}\n`);
    const after = await status();
    expect(after.version).toBe("9.9.9");
    expect((await lab().report<EngineReport>(NODE, "engine")).module.sha256).not.toBe(before.module.sha256);
    await expectNothingLost();
    await expectNothingLeft(after.pid);
  });

  test("hands over tables that are in force and in no file", async () => {
    const service = `{ name: extra, instances: [], addresses: [{ address: 10.30.0.99, policy: closest }] }`;
    lab().sandbox.writeFile("/run/sapwood/extra.yaml", `services: [${service}]`);
    expect((await lab().sapwood(NODE, ["apply", "--merge", "/run/sapwood/extra.yaml"])).code).toBe(0);
    expect((await upgrade(builtFile("src/main.js"))).code).toBe(0);
    expect((await lab().sapwood(NODE, ["tables"])).stdout).toContain("10.30.0.99");
    await expectNothingLost();
  });

  describe("goes on when the next process", () => {
    test.each(failures)("%s", async (name) => {
      const [change, reason] = given(FAILURES[name]);
      const before = await status();
      const { code, stderr } = await upgrade(versions.make({ version: "6.6.6", ...change() }));
      expect(code).toBe(1);
      expect(stderr).toMatch(reason);
      expect(stderr).toMatch(/^sapwood: [^\n]+\n$/);
      expect((await status()).pid).toBe(before.pid);
      await expectNothingLost(name === FLOWING ? IN_HAND_MOST : 0);
      await expectNothingLeft(before.pid);
    });

    test("and tells of each by an event, and can still be taken over from", async () => {
      const told = (await events()).filter(({ kind }) => kind === "takeover-failed");
      expect(told).toHaveLength(failures.filter((name) => name !== UNHEARD).length);
      expect((await upgrade(builtFile("src/main.js"))).code).toBe(0);
      await expectNothingLost();
      await expectNothingLeft((await status()).pid);
    });
  });

  test("goes on when its configuration has something that takes a restart, and says what", async () => {
    const before = await status();
    const other = "/run/sapwood/other.yaml";
    const config = await lab().sandbox.expect(["cat", configFile(NODE)], NODE);
    lab().sandbox.writeFile(other, JSON.stringify({ ...parse(config), tun: { name: "other0" } }));
    const argv = ["run", "--config", other, "--socket", controlSocket(NODE), "--takeover"];
    const { code, stderr } = await lab().startSapwood(NODE, argv).ended;
    expect(code).toBe(1);
    expect(stderr).toMatch(/Expected a queue of the TUN "other0"[^\n]+found sapwood0/);
    expect((await status()).pid).toBe(before.pid);
    await expectNothingLost();
  });

  async function upgrade(program: string) {
    const argv = [process.execPath, program, "upgrade", "--socket", controlSocket(NODE)];
    const command = lab().sandbox.start(argv, NODE);
    command.endInput();
    return await command.ended;
  }

  function status(): Promise<StatusReport> {
    return lab().report<StatusReport>(NODE, "status");
  }

  function events(): Promise<readonly EventReport[]> {
    return lab().report<readonly EventReport[]>(NODE, "events");
  }

  /**
   * Since the last time: connections, busy and idle, and each datagram, in its order. Missing may be what the kernel had
   * no room for, and what a process that was killed had in hand.
   */
  async function expectNothingLost(inHandMost = 0): Promise<void> {
    const { broken, moved } = await report(exchanges);
    expect({ broken, moved }).toEqual({ broken: [], moved: 0 });
    const lines = datagrams.stdout.split("\n").length;
    datagrams.write("\n");
    await datagrams.until("the client's report", ({ stdout }) => stdout.split("\n").length > lines);
    const { sent, ...lost } = JSON.parse(datagrams.stdout.trim().split("\n").at(-1) ?? "");
    expect(sent).toBeGreaterThan(0);
    const drops = await kernelDropsMost(lab());
    expect(lost).toEqual({ missing: expect.any(Number), outOfOrder: 0, repeated: 0 });
    expect(lost.missing).toBeLessThanOrEqual(drops - dropsBefore + inHandMost);
    dropsBefore = drops;
  }

  /** The process that serves is the only one, with the files and descriptors of one that was started. */
  async function expectNothingLeft(pid: number): Promise<void> {
    await eventually("other processes to end", async () => {
      const found = await seeingProcesses(`pgrep -f "[m]ain.js run --config ${configFile(NODE)}"`);
      return found.trim() === String(pid);
    });
    // The file of the flows is put in its place when the process before has ended.
    await eventually("the files of one process", async () => {
      const files = await lab().sandbox.expect(
        ["ls", "/run/sapwood/node-a", "/run/sapwood/node-a/sapwood.flows"],
        NODE,
      );
      return (
        files ===
        "/run/sapwood/node-a:\nnode.yaml\nsapwood.flows\nsapwood.sock\n\n/run/sapwood/node-a/sapwood.flows:\nflows\n"
      );
    });
    await eventually("as many descriptors as before", async () => {
      return JSON.stringify(await openFiles()) === JSON.stringify(descriptors);
    });
  }

  /** Runs a script that sees the processes of the lab below /proc, and no others. */
  function seeingProcesses(script: string): Promise<string> {
    const argv = ["unshare", "--mount", "sh", "-c", `mount -t proc proc /proc && ${script}`];
    return lab().sandbox.expect(argv, NODE);
  }

  /** What the proxy's process has open, but for connections and what Node.js has for itself. */
  async function openFiles(): Promise<readonly string[]> {
    const { pid } = await status();
    const links = await seeingProcesses(`for file in /proc/${pid}/fd/*; do readlink $file || true; done`);
    const kinds = links
      .trim()
      .split("\n")
      .map((link) => link.replace(/\[.*\]$/, "").replace(/ \(deleted\)$/, ""));
    return kinds.filter((kind) => !/^(?:pipe:|socket:|\/dev\/null)/.test(kind)).sort();
  }
}

/** The engine with two of its calls in the place of each other. */
function swappedEngine(): Uint8Array {
  const engine = binaryen.readBinary(readFileSync(builtFile("wasm/engine.wasm")));
  const [egress, ingress] = ["egress", "ingress"].map((name) => binaryen.getExportInfo(engine.getExport(name)).value);
  for (const name of ["egress", "ingress"]) engine.removeExport(name);
  engine.addFunctionExport(ingress ?? "", "egress");
  engine.addFunctionExport(egress ?? "", "ingress");
  return engine.emitBinary();
}

function at(before: string, after: string, file = TAKE_OVER): Change {
  return { edits: [{ file, before, after }] };
}
