// `npm run bench oakestra`: the round trip to a known service on a worker node of Oakestra, while a container there calls
// a thousand addresses a second that nobody knows, beside the same while it does not; in turns, within one run. Then how
// long a container has no new connection when the daemon is killed and started by the rule of its unit.
import { setTimeout as pause } from "node:timers/promises";
import { Command } from "commander";
import { builtFile } from "../../src/lab/build-paths.ts";
import { eventually } from "../../src/lab/lab.ts";
import type { SandboxProgram } from "../../src/lab/sandbox.ts";
import { SERVICE_PORT } from "../../src/lab/workload-protocol.ts";
import { RESTART_MS } from "../../src/node/netmanager-installation.ts";
import { containerName, OakestraCluster } from "../../test/support/oakestra/cluster.ts";
import { thisMachine } from "../path/machine.ts";
import { type EchoResult, LISTENING } from "../path/tool-protocol.ts";
import { summarise } from "../statistics.ts";
import { limit, wholeNumber } from "../whole-number.ts";

interface Options {
  readonly json?: true;
  readonly seconds: number;
  readonly rounds: number;
  readonly mostRatio?: number;
  readonly mostSeconds?: number;
}

const options = new Command("bench oakestra")
  .description(
    "Measures what calls of unknown addresses, and kills of the daemon, do to an Oakestra node's containers.",
  )
  .option("--json", "print one JSON object")
  .option("--seconds <n>", "of each measurement", wholeNumber, 5)
  .option("--rounds <n>", "measurements of each kind", wholeNumber, 5)
  .option("--most-ratio <n>", "exit with 1 if the p99 with unknown addresses is more than n times the quiet one", limit)
  .option("--most-seconds <n>", "exit with 1 if new connections do not work n seconds after a kill", limit)
  .parse()
  .opts<Options>();

const WORKERS = ["65a000000000000000000001", "65a000000000000000000002"];
const [CLIENT, SERVER] = ["c.d.client.d", "x.d.server.d"];
const SERVICE = { v4: "10.30.0.10", v6: "fdff:2000::10" };
/** Of an attempt to connect; the next one begins after a tenth of it. */
const ATTEMPT_MS = 200;
/** What the real cluster manager takes for an answer. */
const ANSWER_MS = 6;

const cluster = await OakestraCluster.open(2);
try {
  await prepare();
  const quiet: EchoResult[] = [];
  const flooded: EchoResult[] = [];
  for (let round = 0; round < options.rounds; round++) {
    quiet.push(await echo());
    const flood = await startFlood(round);
    flooded.push(await echo());
    flood.kill("SIGTERM");
    await flood.ended;
  }
  const restartsMs: number[] = [];
  for (let round = 0; round < options.rounds; round++) restartsMs.push(await killAndConnect());
  print(quiet, flooded, restartsMs);
} finally {
  await cluster.close();
}

async function prepare(): Promise<void> {
  await cluster.order("behave", { delayMs: ANSWER_MS });
  await cluster.order("service", { job: CLIENT, addresses: [] });
  const address = { IpType: "RR", Address: SERVICE.v4, Address_v6: SERVICE.v6 };
  await cluster.order("service", { job: SERVER, addresses: [address] });
  await cluster.order("instance", { job: CLIENT, number: 0, ip: "10.30.0.12", ipv6: "fdff::12" });
  await cluster.order("instance", { job: SERVER, number: 0, ip: "10.30.0.20", ipv6: "fdff::20" });
  for (const [i, node] of cluster.nodes.entries()) {
    await cluster.startNode(node);
    requireDone(await cluster.register(node, WORKERS[i] ?? ""));
  }
  requireDone(await cluster.deploy("node-a", { job: CLIENT, number: 0 }));
  requireDone(await cluster.deploy("node-b", { job: SERVER, number: 0 }));
}

function requireDone({ status, body }: { readonly status: number; readonly body: string }): void {
  if (status !== 200) throw new Error(`The daemon answered ${status}: ${body}`);
}

/** Each measurement has a server of its own, as that answers one client. */
async function echo(): Promise<EchoResult> {
  const server = cluster.lab.sandbox.start(program("echo-server"), containerName(SERVER, 0));
  await server.until("the echo server", ({ stdout }) => stdout.includes(LISTENING));
  const client = program("echo-client", SERVICE.v4, String(options.seconds));
  const result = JSON.parse(await cluster.lab.sandbox.expect(client, containerName(CLIENT, 0))) as EchoResult;
  server.kill("SIGKILL");
  await server.ended;
  return result;
}

function program(name: string, ...args: string[]): string[] {
  return [process.execPath, builtFile(`bench/path/${name}.js`), ...args];
}

/** A thousand addresses in each second, none of them twice in a minute. */
async function startFlood(round: number): Promise<SandboxProgram> {
  const source = `const socket = require("dgram").createSocket("udp4");
    socket.on("error", () => undefined);
    let next = ${round * 7919};
    setInterval(() => {
      for (let i = 0; i < 10; i++, next++) socket.send("?", 9, "10.30." + (64 + (next >> 8) % 190) + "." + (next & 255), () => undefined);
    }, 10);
    console.log("ready");`;
  const flood = cluster.lab.sandbox.start([process.execPath, "-e", source], containerName(CLIENT, 0));
  await flood.until("the flood", ({ stdout }) => stdout.includes("ready"));
  const before = queries();
  await eventually("the cluster to be asked", async () => queries() > before);
  return flood;
}

/** Milliseconds from the kill of the client's daemon to the first new connection. */
async function killAndConnect(): Promise<number> {
  const daemon = cluster.daemon("node-a");
  const startedMs = performance.now();
  daemon.kill("SIGKILL");
  await daemon.ended;
  const source = `const { connect } = require("net");
    const attempt = () => {
      const socket = connect({ host: "${SERVICE.v4}", port: ${SERVICE_PORT} }, () => { console.log("connected"); process.exit(); });
      socket.on("error", () => undefined).setTimeout(${ATTEMPT_MS}, () => socket.destroy());
    };
    setInterval(attempt, ${ATTEMPT_MS / 10});
    console.log("trying");`;
  const client = cluster.lab.sandbox.start([process.execPath, "-e", source], containerName(CLIENT, 0));
  await pause(RESTART_MS);
  await Promise.all([
    cluster.startNode("node-a"),
    client.until("a new connection", ({ stdout }) => stdout.includes("connected")),
  ]);
  return performance.now() - startedMs;
}

function queries(): number {
  return cluster.messages(WORKERS[0] ?? "").filter(({ what }) => what === "tablequery/request").length;
}

function print(quiet: readonly EchoResult[], flooded: readonly EchoResult[], restartsMs: readonly number[]): void {
  const median = (results: readonly EchoResult[], what: "p50Us" | "p99Us") =>
    summarise(results.map((one) => one[what])).median;
  const report = {
    machine: thisMachine(),
    rounds: options.rounds,
    seconds: options.seconds,
    quiet: { p50Us: median(quiet, "p50Us"), p99Us: median(quiet, "p99Us") },
    unknownAddresses: { p50Us: median(flooded, "p50Us"), p99Us: median(flooded, "p99Us") },
    lost: flooded.reduce((sum, { lost }) => sum + lost, 0),
    p99Ratio: median(flooded, "p99Us") / median(quiet, "p99Us"),
    connectedAfterKillSeconds: { median: summarise(restartsMs).median / 1000, most: Math.max(...restartsMs) / 1000 },
  };
  requireAtMost("p99 ratio", report.p99Ratio, options.mostRatio);
  requireAtMost("seconds from a kill to a new connection", report.connectedAfterKillSeconds.most, options.mostSeconds);
  if (options.json) return void process.stdout.write(`${JSON.stringify(report, undefined, 2)}\n`);
  const row = (name: string, { p50Us, p99Us }: { readonly p50Us: number; readonly p99Us: number }) =>
    `${name.padEnd(34)} p50 ${p50Us.toFixed(0).padStart(6)} µs   p99 ${p99Us.toFixed(0).padStart(6)} µs\n`;
  process.stdout.write(row("round trip, quiet", report.quiet));
  process.stdout.write(row("with 1,000 unknown addresses a second", report.unknownAddresses));
  process.stdout.write(`p99 ratio ${report.p99Ratio.toFixed(2)}, ${report.lost} lost\n`);
  const { median: usual, most } = report.connectedAfterKillSeconds;
  process.stdout.write(`new connections after a kill: ${usual.toFixed(2)} s, at most ${most.toFixed(2)} s\n`);
}

function requireAtMost(what: string, found: number, most: number | undefined): void {
  if (most === undefined || found <= most) return;
  process.stderr.write(`${what}: expected at most ${most}, found ${found.toFixed(2)}\n`);
  process.exitCode = 1;
}
