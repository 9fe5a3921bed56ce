// A client that keeps connections over the proxies of a lab while they are killed, and what came of them.
import { sourceFile } from "../../src/lab/build-paths.ts";
import type { Lab } from "../../src/lab/lab.ts";
import type { SandboxProgram } from "../../src/lab/sandbox.ts";
import type { Topology } from "../../src/lab/topology.ts";

const CLIENT = sourceFile("test/e2e/in-workload/kept-exchanges.mjs");
/** Round robin over three instances: a flow that is forgotten goes to another one two times of three. Closest, and one. */
const ADDRESSES = ["10.30.0.2", "fdff:2000::1", "10.30.0.1", "fdff:1000::1", "10.30.0.3"];
const BUSY = 2;
/** Of each busy one between an answer and the next question: the traffic of a test is not to fill a processor. */
const PAUSE_MS = 20;
const IDLE = 3;

/** What the client prints of the time since its last report. */
interface KeptExchanges {
  readonly answers: number;
  /** Also those that did not open, unless `refused` has them. */
  readonly broken: readonly string[];
  /** Connections that did not open because the client was told that the node, or who listens there, is away. */
  readonly refused: readonly string[];
  readonly moved: number;
  readonly longestSilenceMs: number;
}

/** Starts a client in workload a1 that keeps connections to balanced addresses and asks over them. */
export async function startExchanges(lab: Lab, pauseMs = PAUSE_MS): Promise<SandboxProgram> {
  const argv = [process.execPath, CLIENT, ...[BUSY, IDLE, pauseMs].map(String), ...ADDRESSES];
  const client = lab.sandbox.start(argv, "a1");
  await client.until("the client to ask", ({ stdout }) => stdout.includes("asking\n"));
  await report(client);
  return client;
}

/** Resolves when the next process is ready. */
export async function killAndRestart(lab: Lab, node: string, settings: Topology["settings"]): Promise<SandboxProgram> {
  const proxy = lab.proxy(node);
  proxy.kill("SIGKILL");
  await proxy.ended;
  return await lab.startProxy(node, undefined, settings);
}

/** What came of all since the last time; connections that were refused count as broken. */
export async function report(client: SandboxProgram): Promise<KeptExchanges> {
  const { broken, refused, ...rest } = await reportWithRefused(client);
  return { ...rest, broken: [...broken, ...refused], refused: [] };
}

/** The same, where nodes may be away. */
export async function reportWithRefused(client: SandboxProgram): Promise<KeptExchanges> {
  const before = client.stdout.split("\n").length;
  client.write("\n");
  await client.until("the client's report", ({ stdout }) => stdout.split("\n").length > before);
  return JSON.parse(client.stdout.trim().split("\n").at(-1) ?? "") as KeptExchanges;
}
