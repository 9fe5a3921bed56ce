// `npm run bench publish`: what a stream of datagrams through a proxy notices while very many services are changed,
// beside the same stream without a change.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { Command } from "commander";
import { renderTable } from "../../src/base/text-table.ts";
import { builtFile } from "../../src/lab/build-paths.ts";
import { configFile, controlSocket } from "../../src/lab/lab.ts";
import { nodeConfig, tablesOf } from "../../src/lab/node-config.ts";
import { Sandbox } from "../../src/lab/sandbox.ts";
import { build } from "../../src/lab/topology.ts";
import type { StatusReport } from "../../src/model/reports.ts";
import { publish } from "../history.ts";
import { sapwood } from "../path/drops.ts";
import { describeMachine, sourceCommit, thisMachine } from "../path/machine.ts";
import { figure } from "../path/report.ts";
import { CLIENT, CLIENT_NODE, SERVER, SERVER_NODE, SERVICE_ADDRESSES, TOPOLOGY } from "../path/scenario.ts";
import { LISTENING } from "../path/tool-protocol.ts";
import { wholeNumber } from "../whole-number.ts";
import { manyServicesConfig, weightPatch } from "./many-services.ts";
import { type Disturbance, disturbanceIn, monotonicUs, type Slice, type Span } from "./windows.ts";

interface Options {
  readonly json?: true;
  readonly publish?: true;
  readonly services: number;
  readonly instances: number;
  readonly changes: number;
  readonly rounds: number;
  readonly rate: number;
}

interface Change {
  readonly name: string;
  readonly spans: Span[];
}

const START_TIMEOUT_MS = 300_000;
const SETTLE_MS = 300; // after a change was answered: what it held is freed
const QUIET_MS = 3_000;
const MIB = 2 ** 20;
/** Client and server stand for other machines: what the proxies do must not keep them from sending and receiving. */
const ELSEWHERE = ["nice", "-n", "-20"];

const options = new Command("bench publish")
  .description("Measures the gaps in a stream of datagrams while very many services change.")
  .option("--json", "print one JSON object")
  .option("--publish", "add the figures to bench/results/history.jsonl")
  .option("--services <n>", "services in force", wholeNumber, 100_000)
  .option("--instances <n>", "their instances", wholeNumber, 1_000_000)
  .option("--changes <n>", "services that change at once", wholeNumber, 10_000)
  .option("--rounds <n>", "how often they change", wholeNumber, 5)
  .option("--rate <n>", "datagrams per second", wholeNumber, 10_000)
  .parse()
  .opts<Options>();

const quiet: Change = { name: "no change", spans: [] };
const computing: Change = { name: "a program that only computes", spans: [] };
const merged: Change = { name: "apply --merge", spans: [] };

const folder = mkdtempSync(join(tmpdir(), "sapwood-publish-"));
const sandbox = await Sandbox.open();
try {
  await run();
} finally {
  await sandbox.close();
  rmSync(folder, { recursive: true });
}

async function run(): Promise<void> {
  const config = join(folder, "node.json");
  writeFileSync(config, manyServicesConfig(options, 1));
  const patches = [2, 1].map((weight) => {
    const file = join(folder, `weight-${weight}.json`);
    writeFileSync(file, weightPatch(options, options.changes, weight));
    return file;
  });
  await build(sandbox, TOPOLOGY);
  sandbox.writeFile(configFile(SERVER_NODE.id), nodeConfig(TOPOLOGY, SERVER_NODE.id, tablesOf(TOPOLOGY)));
  await startProxy(SERVER_NODE.id, configFile(SERVER_NODE.id));
  const startMs = performance.now();
  await startProxy(CLIENT_NODE.id, config);
  const readyMs = performance.now() - startMs;
  const before = await status();

  const receiver = sandbox.start([...ELSEWHERE, ...tool("stream-receiver")], SERVER.name);
  await receiver.until("the receiver of the stream", ({ stdout }) => stdout === LISTENING);
  const forEver = 3_600;
  const stream = tool("stream-sender", SERVICE_ADDRESSES.v4, String(options.rate), String(forEver));
  const sender = sandbox.start([...ELSEWHERE, ...stream], CLIENT.name);
  await pause(QUIET_MS); // compilers of V8, and the flow itself
  await merge(patches[0] ?? "");
  const mergeMs = await timeOf(() => merge(patches[1] ?? ""));
  for (let round = 0; round < options.rounds; round++) {
    await during(quiet, () => pause(QUIET_MS));
    await during(computing, () => compute(mergeMs));
    await during(merged, () => merge(patches[round % 2] ?? ""));
  }
  const after = await status();
  sender.kill("SIGKILL");
  const { stdout } = await receiver.ended;
  conclude(JSON.parse(stdout.slice(LISTENING.length)), readyMs, before, after);
}

async function startProxy(node: string, config: string): Promise<void> {
  const proxy = sandbox.start(sapwood("run", "--config", config, "--socket", controlSocket(node)), node);
  await proxy.until(`the proxy of ${node} to be ready`, ({ stdout }) => stdout.includes("ready"), START_TIMEOUT_MS);
}

async function status(): Promise<StatusReport> {
  const argv = sapwood("status", "--json", "--socket", controlSocket(CLIENT_NODE.id));
  return JSON.parse(await sandbox.expect(argv, CLIENT_NODE.id));
}

async function merge(file: string): Promise<void> {
  const argv = sapwood("apply", "--merge", file, "--socket", controlSocket(CLIENT_NODE.id));
  await sandbox.expect(argv, CLIENT_NODE.id);
}

/** Keeps one processor busy, as a change does, without a part in the proxy: what the scheduler does to the stream. */
async function compute(ms: number): Promise<void> {
  const loop = `const end = performance.now() + ${ms}; while (performance.now() < end);`;
  await sandbox.expect([process.execPath, "--eval", loop], CLIENT_NODE.id);
}

async function timeOf(make: () => Promise<void>): Promise<number> {
  const startMs = performance.now();
  await make();
  return performance.now() - startMs;
}

async function during(change: Change, make: () => Promise<void>): Promise<void> {
  const startUs = monotonicUs();
  await make();
  await pause(SETTLE_MS);
  change.spans.push({ startUs, endUs: monotonicUs() });
}

function conclude(slices: readonly Slice[], readyMs: number, before: StatusReport, after: StatusReport): void {
  const machine = thisMachine();
  const { services, instances, changes, rounds, rate } = options;
  const found = [quiet, computing, merged].map(({ name, spans }) => ({
    name,
    times: spans.length,
    ...disturbanceIn(slices, spans),
  }));
  const memoryMiB = [before, after].map(({ memory }) => Math.round(memory.rssBytes / MIB));
  const report = { machine, commit: sourceCommit(), date: new Date().toISOString(), readyMs, memoryMiB };
  const sizes = { services, instances, changes, rounds, rate };
  if (options.publish) {
    const gaps = found.map(({ name, longestPathGapMs: value }) => ({
      name: `longest gap, ${name}`,
      value,
      unit: "ms",
    }));
    publish("publish", sizes, [...gaps, { name: "start of the proxy", value: readyMs, unit: "ms" }]);
  }
  if (options.json) {
    process.stdout.write(`${JSON.stringify({ ...report, ...sizes, found }, null, 2)}\n`);
    return;
  }
  process.stdout.write(
    `${render(found)}\n${figure(services)} services, ${figure(instances)} instances, ${figure(changes)} services changed at a time; ` +
      `${figure(rate)} datagrams/s.\nReady after ${(readyMs / 1000).toFixed(1)} s; ` +
      `resident memory ${memoryMiB.join(" MiB, afterwards ")} MiB.\n${describeMachine(machine)}; commit ${report.commit}\n`,
  );
}

function render(found: readonly ({ readonly name: string; readonly times: number } & Disturbance)[]): string {
  return renderTable(
    [
      "meanwhile",
      { right: "times" },
      { right: "seconds each" },
      { right: "longest gap, ms" },
      { right: "made by the path, ms" },
      { right: "longest delay, ms" },
      { right: "gaps above 1 ms, per s" },
    ],
    found.map(({ name, times, seconds, longestGapMs, longestPathGapMs, longestDelayMs, pathGaps }) => [
      name,
      String(times),
      figure(seconds / Math.max(times, 1)),
      ...[longestGapMs, longestPathGapMs, longestDelayMs, pathGaps / seconds].map(figure),
    ]),
  );
}

function tool(name: string, ...args: readonly string[]): string[] {
  return [process.execPath, builtFile(`bench/publish/${name}.js`), ...args];
}
