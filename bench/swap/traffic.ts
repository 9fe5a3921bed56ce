// The traffic under which modules are swapped: a numbered UDP stream, bulk TCP streams and kept HTTP connections, all
// from one workload to service addresses, and what came of it.
import { builtFile } from "../../src/lab/build-paths.ts";
import { controlSocket, type Lab } from "../../src/lab/lab.ts";
import type { SandboxProgram } from "../../src/lab/sandbox.ts";
import type { LoadReport } from "../../src/lab/workload-protocol.ts";
import { LISTENING } from "../path/tool-protocol.ts";
import type { BulkResult, StreamReceived, StreamSent, SwapResult } from "./protocol.ts";

const CLIENT = "a1";
const SERVERS = ["b1", "b2", "b3"];
const NODE = "node-a";
const V4 = "10.30.0.2";
const V6 = "fdff:2000::1";
/** Each connection asks so often. */
const HTTP_PAUSE_MS = 1000;

export interface TrafficOutcome {
  readonly stream: StreamSent;
  readonly received: readonly StreamReceived[]; // by receiver
  readonly bulk: readonly BulkResult[];
  /** Per kept connection: the instances that answered before and meanwhile, and what failed. */
  readonly connections: readonly { readonly instances: readonly string[]; readonly failures: readonly string[] }[];
}

interface TrafficOptions {
  readonly connections: number;
  /** Of the stream; 20 by default. */
  readonly datagramsPerMs?: number;
  /** Of a bulk stream, between two parts of 256 KiB: so that the others get their share of the machine. */
  readonly bulkPauseMs?: number;
}

export class Traffic {
  readonly #receivers: readonly SandboxProgram[];
  readonly #sender: SandboxProgram;
  readonly #bulk: readonly SandboxProgram[];
  readonly #http: SandboxProgram;
  readonly #before: LoadReport;

  private constructor(
    receivers: readonly SandboxProgram[],
    sender: SandboxProgram,
    bulk: readonly SandboxProgram[],
    http: SandboxProgram,
    before: LoadReport,
  ) {
    this.#receivers = receivers;
    this.#sender = sender;
    this.#bulk = bulk;
    this.#http = http;
    this.#before = before;
  }

  /** Resolves when all of it flows. */
  static async start(lab: Lab, options: TrafficOptions): Promise<Traffic> {
    const { connections, datagramsPerMs = 20, bulkPauseMs = 5 } = options;
    const held = Array.from({ length: connections }, (_, i) => (i % 2 === 0 ? V4 : V6));
    const http = lab.startClient(CLIENT, { kind: "load", addresses: [], held, pauseMs: HTTP_PAUSE_MS });
    const before = await loadReport(http);
    const receivers = await Promise.all(SERVERS.map((server) => startReceiver(lab, server)));
    const sender = startTool(lab, CLIENT, "stream-sender", V4, String(datagramsPerMs));
    const bulk = [V4, V6].map((address) => startTool(lab, CLIENT, "bulk", address, String(bulkPauseMs)));
    return new Traffic(receivers, sender, bulk, http, before);
  }

  /** Ends all of it and tells what came of it. */
  async stop(): Promise<TrafficOutcome> {
    const after = await loadReport(this.#http);
    this.#http.endInput();
    const stream: StreamSent = await resultOf(this.#sender);
    const received: StreamReceived[] = await Promise.all(this.#receivers.map(resultOf<StreamReceived>));
    const bulk: BulkResult[] = await Promise.all(this.#bulk.map(resultOf<BulkResult>));
    await this.#http.ended;
    const connections = this.#before.held.map(({ instances, failures }, i) => ({
      instances: [...new Set([...instances, ...(after.held[i]?.instances ?? [])])],
      failures: [...failures, ...(after.held[i]?.failures ?? ["no report"])],
    }));
    return { stream, received, bulk, connections };
  }
}

/** Swaps policies and engines of the client's node, `count` of each. */
export async function swapModules(lab: Lab, count: number): Promise<SwapResult[]> {
  const argv = [process.execPath, builtFile("bench/swap/swapper.js"), controlSocket(NODE), String(count)];
  const { code, stdout, stderr } = await lab.sandbox.start(argv, NODE).ended;
  if (code !== 0) throw new Error(`The swaps ended with ${code}: ${stderr}`);
  return stdout
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
}

async function startReceiver(lab: Lab, server: string): Promise<SandboxProgram> {
  const receiver = startTool(lab, server, "stream-receiver");
  await receiver.until("a receiver to listen", ({ stdout }) => stdout.startsWith(LISTENING));
  return receiver;
}

function startTool(lab: Lab, workload: string, tool: string, ...args: readonly string[]): SandboxProgram {
  return lab.sandbox.start([process.execPath, builtFile(`bench/swap/${tool}.js`), ...args], workload);
}

async function resultOf<Result>(program: SandboxProgram): Promise<Result> {
  program.endInput();
  const { code, stdout, stderr } = await program.ended;
  if (code !== 0) throw new Error(`A program of the traffic ended with ${code}: ${stderr}`);
  return JSON.parse(stdout.trim().split("\n").at(-1) ?? "");
}

/** What the connections of a "load" client did since the last report. */
export async function loadReport(program: SandboxProgram): Promise<LoadReport> {
  const lines = program.stdout.split("\n").length;
  program.write("\n");
  await program.until("a report of the connections", ({ stdout }) => stdout.split("\n").length > lines);
  return JSON.parse(program.stdout.split("\n").at(-2) ?? "");
}
