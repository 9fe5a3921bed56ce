// Program: `workload-client.js JOB` (a Job as JSON) is a real client in a workload; prints its result as one JSON line.
// "load" runs until its input ends, and prints a LoadReport for each line that it reads.
import { createInterface } from "node:readline";
import { setTimeout as pause } from "node:timers/promises";
import { KeyStream } from "./key-stream.ts";
import { Call, HttpTransport, openCalls } from "./workload-call.ts";
import type { CallPlan, CallResult, ConnectionsResult, Job, LoadReport, SendResult } from "./workload-protocol.ts";

const SEND_CHUNK_SIZE = 1024 * 1024;
const LOAD_LOOPS_PER_ADDRESS = 2;
const LOAD_PAUSE_MS = 60;
/** A connection that is reset hears of it when it sends again, which a busy machine's TCP does ever more rarely. */
const KEPT_TIMEOUT_MS = 40_000;

/** Every call asks `rounds` times, all of them at the same time. */
async function askTogether(plans: readonly CallPlan[], rounds: number): Promise<CallResult[]> {
  const calls = await openCalls(plans);
  await Promise.all(
    calls.map(async (call) => {
      for (let round = 0; round < rounds && !call.isHopeless; round++) await call.ask();
    }),
  );
  for (const call of calls) call.close();
  return calls.map((call) => call.report());
}

async function openConnections(address: string, count: number, concurrency: number): Promise<ConnectionsResult> {
  const call = new Call(new HttpTransport(address, false));
  let left = count;
  const loop = async () => {
    while (left-- > 0 && !call.isHopeless) await call.ask();
  };
  await Promise.all(Array.from({ length: concurrency }, loop));
  return tally([call.report()]);
}

function tally(results: readonly CallResult[]): ConnectionsResult {
  const byInstance: Record<string, number> = {};
  for (const name of results.flatMap(({ instances }) => instances)) byInstance[name] = (byInstance[name] ?? 0) + 1;
  return { byInstance, failures: results.flatMap(({ failures }) => failures) };
}

async function send(address: string, sizeBytes: number): Promise<SendResult> {
  const startedMs = performance.now();
  const zeros = Buffer.alloc(SEND_CHUNK_SIZE);
  const stream = await KeyStream.open(address);
  for (let left = sizeBytes; left > 0; left -= SEND_CHUNK_SIZE) await stream.send(zeros.subarray(0, left));
  return { ...(await stream.end()), durationMs: performance.now() - startedMs };
}

/** New connections to `addresses`, one after the other, and kept connections to `held`. */
async function load(addresses: readonly string[], held: readonly string[], pauseMs: number): Promise<void> {
  const fresh = addresses.map((address) => new Call(new HttpTransport(address, false)));
  const kept = await openCalls(held.map((address) => ({ protocol: "http", address, timeoutMs: KEPT_TIMEOUT_MS })));
  let isRunning = true;
  const loop = async (call: Call) => {
    while (isRunning) {
      await call.ask();
      await pause(pauseMs);
    }
  };
  const loops = [...fresh.flatMap((call) => Array(LOAD_LOOPS_PER_ADDRESS).fill(call)), ...kept].map(loop);
  for await (const _ of createInterface({ input: process.stdin })) {
    const report: LoadReport = {
      ...tally(fresh.map((call) => call.report())),
      held: kept.map((call) => call.report()),
    };
    print(report);
  }
  isRunning = false;
  await Promise.all(loops);
  for (const call of [...fresh, ...kept]) call.close();
}

function print(result: unknown): void {
  process.stdout.write(`${JSON.stringify(result)}\n`);
}

const job: Job = JSON.parse(process.argv[2] ?? "");
switch (job.kind) {
  case "together":
    print(await askTogether(job.calls, job.rounds));
    break;
  case "connections":
    print(await openConnections(job.address, job.count, job.concurrency));
    break;
  case "send":
    print(await send(job.address, job.sizeBytes));
    break;
  case "load":
    await load(job.addresses, job.held, job.pauseMs ?? LOAD_PAUSE_MS);
}
