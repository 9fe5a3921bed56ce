// `npm run soak`: everything at once, for as long as one likes. A lab has traffic of every protocol between nodes whose
// devices lose, double and delay packets and whose system calls fail; its proxies are killed, taken over from, given
// other tables, modules and networks. Nothing that may not be lost is lost, and nothing grows.
// The seed chooses what happens, in its order; when, the machine does.
import { setTimeout as pause } from "node:timers/promises";
import { Command } from "commander";
import { sourceFile } from "../../src/lab/build-paths.ts";
import { Lab } from "../../src/lab/lab.ts";
import type { SandboxProgram } from "../../src/lab/sandbox.ts";
import { DEMO } from "../../src/lab/topology.ts";
import type { SendResult } from "../../src/lab/workload-protocol.ts";
import { reportWithRefused, startExchanges } from "../../test/support/kept-exchanges.ts";
import { Random } from "../../test/support/random.ts";
import { limit, wholeNumber } from "../whole-number.ts";
import { changesOf } from "./changes.ts";
import { Processes } from "./processes.ts";

const LOSSY = { drop: 0.002, duplicate: 0.001, reorder: 0.005, delay: 0.002, delayMs: 5, short: 0.05 };
const FAILING = { error: 0.02, errnos: ["EAGAIN", "EINTR", "ENOBUFS"] };
const DATAGRAMS_PER_SECOND = 100;
/** Of a busy connection, between an answer and the next question. */
const EXCHANGE_PAUSE_MS = 5;
const TRANSFER_BYTES = 2 ** 20;
/** Until all nodes are known to answer again: probes and pauses of instances take some seconds. */
const REACHED_MS = 60_000;
const AGAIN_MS = 500;
/** Longer than a process in which modules are tried lives on. */
const SETTLE_MS = 5000;
/** Of the time, after which memory is compared with. */
const WARM_UP_SHARE = 0.3;
/** In fragments on its way into the TUN. */
const PING_BYTES = 4000;
/** Of the two families, to one instance. */
const ADDRESSES = ["10.30.0.3", "fdff::3"];

const { minutes, seed } = new Command("soak")
  .description("Has everything happen to a lab at once, and tells what was lost and what grew.")
  .option("--minutes <n>", "how long", limit, 10)
  .option("--seed <n>", "what happens, in its order", wholeNumber, 1 + (Date.now() % 1_000_000))
  .parse()
  .opts<{ readonly minutes: number; readonly seed: number }>();

const random = new Random(seed);
const nodes = DEMO.nodes.map(({ id }) => id);
/** One proxy lives from the end of the warm-up on: its memory is what an hour costs. */
const [immortal = ""] = nodes.slice(-1);
const faults = JSON.stringify({ seed, tun: FAILING, tunnel: { ...LOSSY, ...FAILING } });
const total = {
  changes: 0,
  answers: 0,
  broken: [] as string[],
  moved: 0,
  longestSilenceMs: 0,
  transfers: 0,
  refused: 0,
};
let latest = "the start";

process.stdout.write(`seed ${seed}, ${minutes} minutes\n`);
// Without its TUN a node would tell who opens a connection that the network is unreachable. Two workers share each flow
// table, however few processors there are.
const settings = { tun: { persist: true, queues: 2 } };
const lab = await Lab.open({ ...DEMO, settings, environment: { SAPWOOD_FAULTS: faults } });
try {
  await lab.startProxies();
  await soak();
} catch (error) {
  process.exitCode = 1;
  process.stderr.write(`${String(error)}\n`);
} finally {
  await lab.close();
}
if (process.exitCode === 1) process.stderr.write(`failed after ${latest}; npm run soak -- --seed ${seed} repeats it\n`);

async function soak(): Promise<void> {
  let isWarm = false;
  const exchanges = await startExchanges(lab, EXCHANGE_PAUSE_MS);
  const program = sourceFile("test/e2e/in-workload/numbered-datagrams.mjs");
  const numbered = lab.sandbox.start([process.execPath, program, String(DATAGRAMS_PER_SECOND), ...ADDRESSES], "a1");
  const pings = ADDRESSES.map((to) =>
    lab.sandbox.start(["ping", "-q", "-i", "0.1", "-s", String(PING_BYTES), to], "a1"),
  );
  const processes = new Map(nodes.map((node) => [node, new Processes(lab, node)]));
  const changes = await changesOf(
    lab,
    nodes,
    () => (isWarm ? nodes.filter((node) => node !== immortal) : nodes),
    random,
  );
  const look = (): Promise<unknown> => Promise.all([...processes.values()].map((one) => one.look()));
  await look();
  const beganMs = performance.now();
  while (performance.now() - beganMs < minutes * 60_000) {
    const address = random.pick(ADDRESSES);
    const meanwhile = isTransferred(address);
    meanwhile.catch(() => undefined); // is waited for below, unless the change fails
    latest = await random.pick(changes)();
    total.changes++;
    await noteExchanges(exchanges);
    // All nodes answer now, and a connection that was refused while one was away opens.
    for (let isDone = await meanwhile, givenUpMs = performance.now() + REACHED_MS; !isDone; ) {
      if (performance.now() > givenUpMs) throw new Error(`${address} cannot be reached for ${REACHED_MS} ms`);
      isDone = await isTransferred(address);
      if (!isDone) await pause(AGAIN_MS);
    }
    await look();
    if (!isWarm && performance.now() - beganMs > minutes * 60_000 * WARM_UP_SHARE) {
      processes.get(immortal)?.warm();
      isWarm = true;
    }
  }
  const datagrams = await datagramsOf(numbered);
  const echoes = await Promise.all(pings.map(echoesOf));
  await pause(SETTLE_MS);
  await look();
  print(processes, datagrams, echoes);
}

/** False: the connection did not open, because the client was told that the node is away. */
async function isTransferred(address: string): Promise<boolean> {
  let result: SendResult;
  try {
    result = await lab.ask<SendResult>("a1", { kind: "send", address, sizeBytes: TRANSFER_BYTES });
  } catch (error) {
    if (!/connect E(?:HOSTUNREACH|CONNREFUSED)/.test(String(error))) throw error;
    total.refused++;
    return false;
  }
  if (result.sent !== result.received) throw new Error(`a transfer to ${address} arrived otherwise than it was sent`);
  total.transfers++;
  return true;
}

async function noteExchanges(exchanges: SandboxProgram): Promise<void> {
  const { answers, broken, refused, moved, longestSilenceMs } = await reportWithRefused(exchanges);
  total.refused += refused.length;
  total.answers += answers;
  total.broken.push(...broken);
  total.moved += moved;
  total.longestSilenceMs = Math.max(total.longestSilenceMs, longestSilenceMs);
  if (broken.length > 0 || moved > 0) throw new Error(`lost: ${broken.join(", ") || "none"}; led elsewhere: ${moved}`);
}

interface Datagrams {
  readonly sent: number;
  readonly missing: number;
  readonly outOfOrder: number;
  readonly repeated: number;
}

async function datagramsOf(client: SandboxProgram): Promise<Datagrams> {
  const before = client.stdout.length;
  client.write("\n");
  await client.until("what came of the datagrams", ({ stdout }) => stdout.indexOf("}\n", before) >= 0);
  return JSON.parse(client.stdout.trim().split("\n").at(-1) ?? "") as Datagrams;
}

async function echoesOf(ping: SandboxProgram): Promise<string> {
  ping.kill("SIGINT");
  const { stdout } = await ping.ended;
  return /\d+ packets transmitted, \d+ received/.exec(stdout)?.[0] ?? "no echo";
}

function print(processes: ReadonlyMap<string, Processes>, datagrams: Datagrams, echoes: readonly string[]): void {
  const of = (read: (one: Processes) => number): number =>
    [...processes.values()].reduce((sum, one) => sum + read(one), 0);
  const { kib, kibPerHour } = processes.get(immortal)?.memory ?? { kib: 0, kibPerHour: 0 };
  const leaked = of(({ leaked }) => leaked);
  const lines = [
    `${total.changes} changes, the last one: ${latest}`,
    `connections and exchanges: ${total.answers} answers, ${total.broken.length} lost, ${total.moved} led elsewhere, longest silence ${total.longestSilenceMs} ms`,
    `transfers of 1 MiB: ${total.transfers}, all as they were sent`,
    `connections that did not open because the client was told that the node was away: ${total.refused}`,
    `numbered datagrams: ${datagrams.sent} sent, ${datagrams.missing} not answered, ${datagrams.outOfOrder} out of order, ${datagrams.repeated} twice`,
    `echoes of ${PING_BYTES} bytes: ${echoes.join("; ")}`,
    `leaked descriptors: ${leaked}`,
    `workers started again: ${of(({ workerRestarts }) => workerRestarts)}`,
    `memory of ${immortal}, which lived on: ${mib(kib)} MiB, in the last ${100 * (1 - WARM_UP_SHARE)} % of the time ${mib(kibPerHour)} MiB more an hour`,
  ];
  process.stdout.write(`${lines.join("\n")}\n`);
  if (leaked > 0) throw new Error(`${leaked} descriptors were leaked`);
}

function mib(kib: number): number {
  return Math.round(kib / 1024);
}
