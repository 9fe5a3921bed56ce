// What the end-to-end tests share: whether this machine can run a lab, a lab with its proxies and judges, and
// `sapwood lab` as a process of its own.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { afterAll, beforeAll, describe, expect } from "vitest";
import { builtFile } from "../../src/lab/build-paths.ts";
import { Lab } from "../../src/lab/lab.ts";
import { Sandbox } from "../../src/lab/sandbox.ts";
import type { Topology } from "../../src/lab/topology.ts";
import { absence } from "./programs.ts";
import { judgeTunnel, Recordings } from "./recording.ts";
import { expectNoSecret } from "./secrets.ts";

/** Programs without which no lab's packets can be judged. */
const JUDGES = ["tcpdump", "tshark"];
const missing = await whatIsMissing();

/**
 * `describe`, or a skipped one whose name says what this machine lacks: one of the programs that it needs beside the
 * judges, say.
 */
export function describeLab(name: string, body: () => void, ...programs: readonly string[]): void {
  const problem = missing ?? programs.map(absence).find((one) => one !== undefined);
  if (problem === undefined) describe(name, body);
  else describe.skip(`${name} (skipped: ${problem})`, body);
}

/**
 * A lab with its proxies running, unless `start` starts something else. What its nodes send through the tunnel is
 * judged when it closes, and a packet with a wrong checksum or length makes `close` fail.
 */
export async function openLab(
  topology: Topology,
  start: (lab: Lab) => Promise<void> = (lab) => lab.startProxies(),
): Promise<Lab> {
  const lab = await Lab.open(topology);
  try {
    await start(lab);
    await recordTunnel(lab);
    lab.beforeClose(() => judgeRecorded(lab));
    lab.beforeClose(() => judgeLogs(lab));
    return lab;
  } catch (error) {
    await lab.close();
    throw error;
  }
}

const recorded = new WeakMap<Lab, Recordings>();

async function recordTunnel(lab: Lab): Promise<void> {
  recorded.set(lab, await Recordings.ofTunnel(lab));
}

async function judgeRecorded(lab: Lab): Promise<void> {
  const recordings = recorded.get(lab);
  recorded.delete(lab);
  if (recordings !== undefined) await judgeTunnel(lab, recordings);
}

/** No log of a proxy has anything of a node's private key. */
async function judgeLogs(lab: Lab): Promise<void> {
  const find = "find /run/sapwood -name '*.key' -exec cat {} +";
  const keys = (await lab.sandbox.run(["sh", "-c", find])).stdout;
  expectNoSecret(lab.logs, [keys]);
}

/**
 * For the tests of one `describe` the proxies of an open lab run with other settings, after `prepare`; what they send
 * is judged by itself. A lab takes several seconds of a processor, this two.
 */
export function useProxies(
  lab: () => Lab,
  settings: Topology["settings"],
  prepare: () => Promise<void> = async () => {},
): void {
  beforeAll(async () => {
    await judgeRecorded(lab());
    const nodes = lab().topology.nodes.map(({ id }) => id);
    for (const { code, stderr } of await Promise.all(nodes.map((node) => lab().proxy(node).stop())))
      expect(code, stderr).toBe(0);
    await prepare();
    await Promise.all(nodes.map((node) => lab().startProxy(node, undefined, settings)));
    await recordTunnel(lab());
  });
  afterAll(() => judgeRecorded(lab()));
}

/** A lab for the tests of one `describe`. */
export function useLab(open: () => Promise<Lab>): () => Lab {
  let lab: Lab | undefined;
  beforeAll(async () => {
    lab = await open();
  });
  afterAll(() => lab?.close());
  return () => {
    if (lab === undefined) throw new Error("The lab is not open.");
    return lab;
  };
}

/** A program that ended, or that is running, outside any sandbox. */
interface Spawned {
  readonly child: ChildProcess;
  readonly output: { stdout: string; stderr: string };
  readonly ended: Promise<number | null>;
}

export function spawnProgram(argv: readonly string[], env: NodeJS.ProcessEnv = process.env): Spawned {
  const [command = "", ...args] = argv;
  const child = spawn(command, args, { env, stdio: ["ignore", "pipe", "pipe"] });
  const output = { stdout: "", stderr: "" };
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    output.stdout += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    output.stderr += text;
  });
  return { child, output, ended: once(child, "close").then(([code]) => code as number | null) };
}

/** Command line of `sapwood ARGS`. */
export function sapwoodCommand(...args: string[]): string[] {
  return [process.execPath, builtFile("src/main.js"), ...args];
}

async function whatIsMissing(): Promise<string | undefined> {
  try {
    const sandbox = await Sandbox.open();
    const { code } = await sandbox.run(["sh", "-c", `command -v ${JUDGES.join(" && command -v ")}`]);
    const { stdout: setgroups } = await sandbox.run(["cat", "/proc/self/setgroups"]);
    await sandbox.close();
    if (code !== 0) return `${JUDGES.join(" or ")} is not installed`;
    // tcpdump gives up its groups before it records (setgroups(2)).
    return setgroups.trim() === "deny" ? "tcpdump needs root, not a user's own namespace" : undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}
