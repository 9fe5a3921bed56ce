// A running lab: the network of a topology in a sandbox, a server in every workload, and a real `sapwood run` per node.
import { request } from "node:http";
import { SapwoodError } from "../base/errors.ts";
import type { Tables } from "../model/tables.ts";
import { builtFile } from "./build-paths.ts";
import { hasKey, nodeConfig, type PublicKeys, tablesOf, wireguardDevice } from "./node-config.ts";
import { type Ended, Sandbox, type SandboxProgram } from "./sandbox.ts";
import { build, type Topology, UNDERLAY_NAMESPACE } from "./topology.ts";
import type { Job } from "./workload-protocol.ts";

const POLL_INTERVAL_MS = 100;
const POLL_TIMEOUT_MS = 60_000; // ten times what a busy machine needs
const JOB_TIMEOUT_MS = 150_000;
const ANSWER_TIMEOUT_MS = 30_000;
const PROXY_RIGHTS = "-all,+net_admin,+net_bind_service,+sys_nice";
/** Starts a proxy with the rights that contrib/systemd/sapwood.service gives it: one with more begins twice. */
export const WITH_PROXY_RIGHTS: readonly string[] = [
  "setpriv",
  "--no-new-privs",
  "--inh-caps",
  PROXY_RIGHTS,
  "--bounding-set",
  PROXY_RIGHTS,
];

export class Lab {
  readonly sandbox: Sandbox;
  readonly topology: Topology;
  readonly #proxies = new Map<string, SandboxProgram>();
  readonly #everStarted: SandboxProgram[] = []; // proxies
  readonly #beforeClose: (() => Promise<void>)[] = [];
  #keys: PublicKeys = new Map();

  private constructor(sandbox: Sandbox, topology: Topology) {
    this.sandbox = sandbox;
    this.topology = topology;
  }

  /** Makes the network and starts the servers; `startProxies` does the rest. */
  static async open(topology: Topology, signal?: AbortSignal): Promise<Lab> {
    const sandbox = await Sandbox.open(signal);
    const close = () => void sandbox.close();
    signal?.addEventListener("abort", close, { once: true });
    if (signal?.aborted) close();
    try {
      await build(sandbox, topology);
      const lab = new Lab(sandbox, topology);
      await Promise.all(topology.workloads.map(({ name }) => lab.#startServer(name)));
      return lab;
    } catch (error) {
      await sandbox.close();
      throw signal?.aborted ? signal.reason : error;
    }
  }

  /** Starts the proxies of all nodes and waits until they are ready. */
  async startProxies(): Promise<void> {
    if (this.topology.encryption !== undefined) this.#keys = await this.#makeKeys();
    await Promise.all(this.topology.nodes.map(({ id }) => this.startProxy(id)));
  }

  /** Starts a node's proxy with the topology's tables and settings, or with others. */
  async startProxy(
    node: string,
    tables: Tables = tablesOf(this.topology),
    settings: Topology["settings"] = this.topology.settings,
  ): Promise<SandboxProgram> {
    this.writeConfig(node, tables, settings);
    const variables = Object.entries(this.topology.environment ?? {}).map(([name, value]) => `${name}=${value}`);
    const { program: entry } = this.topology;
    const command = this.sapwoodCommand(["run", "--config", configFile(node), "--socket", controlSocket(node)], entry);
    const program = this.sandbox.start([...WITH_PROXY_RIGHTS, "env", ...variables, ...command], node);
    this.#proxies.set(node, program);
    this.#everStarted.push(program);
    await program.until(`the proxy of ${node} to be ready`, ({ stdout }) => stdout.includes("sapwood ready"));
    return program;
  }

  /** What proxies have said, also those that have ended. */
  get logs(): readonly string[] {
    return this.#everStarted.map(({ stdout, stderr }) => stdout + stderr);
  }

  /** The proxy that was last started on a node. */
  proxy(node: string): SandboxProgram {
    const program = this.#proxies.get(node);
    if (program === undefined) throw new SapwoodError("lab-failed", `No proxy was started on ${node}.`);
    return program;
  }

  /** Writes a node's config file; a running proxy takes the change up. */
  writeConfig(node: string, tables: Tables, settings: Topology["settings"] = this.topology.settings): void {
    this.sandbox.writeFile(configFile(node), nodeConfig({ ...this.topology, settings }, node, tables, this.#keys));
  }

  /** The command line `sapwood ARGS`. */
  sapwoodCommand(args: readonly string[], entry = builtFile("src/main.js")): string[] {
    return [process.execPath, entry, ...args];
  }

  /** Starts the command line `sapwood ARGS` in a node. */
  startSapwood(node: string, args: readonly string[]): SandboxProgram {
    return this.sandbox.start(this.sapwoodCommand(args), node);
  }

  /** Runs `sapwood ARGS` against the control socket of a node's proxy. */
  async sapwood(node: string, args: readonly string[]): Promise<Ended> {
    const program = this.startSapwood(node, [...args, "--socket", controlSocket(node)]);
    program.endInput();
    return await program.ended;
  }

  /**
   * What a node's proxy answers to `GET /v1/ROUTE`. Asked from here: to start a program takes a hundred times as long.
   */
  async report<Report>(node: string, route: string): Promise<Report> {
    const socketPath = this.sandbox.pathFromOutside(controlSocket(node));
    const { status, body } = await get(socketPath, `/v1/${route}`);
    if (status === 200) return JSON.parse(body);
    throw new SapwoodError(
      "lab-failed",
      `The proxy of ${node} answered GET /v1/${route} with ${status}: ${body.trim()}`,
    );
  }

  /** Runs a client in a workload and returns its result. */
  async ask<Result>(workload: string, job: Job): Promise<Result> {
    return JSON.parse(await this.sandbox.expect(clientCommand(job), workload, "", JOB_TIMEOUT_MS));
  }

  /** Starts a client that runs on. */
  startClient(workload: string, job: Job): SandboxProgram {
    return this.sandbox.start(clientCommand(job), workload);
  }

  /** Captures the inner packets that a node exchanges over the underlay; one JSON line each in its output. */
  async capture(node: string, tunnelPort: number): Promise<SandboxProgram> {
    return await this.#capture(UNDERLAY_NAMESPACE, node, tunnelPort);
  }

  /** Ends a capture; what it printed, with every packet that the interface had seen by now. */
  static async endCapture(capture: SandboxProgram): Promise<string> {
    capture.endInput();
    return (await capture.ended).stdout;
  }

  /** The same inside WireGuard, where a node of an encrypted underlay sends them in clear. */
  async captureInside(node: string, tunnelPort: number): Promise<SandboxProgram> {
    return await this.#capture(node, wireguardDevice(node), tunnelPort);
  }

  /** Public keys of the nodes, once an encrypted lab has started its proxies. */
  get keys(): PublicKeys {
    return this.#keys;
  }

  /** Each node makes its key, and says the public one. */
  async #makeKeys(): Promise<PublicKeys> {
    const nodes = this.topology.nodes.filter(({ id }) => hasKey(this.topology, id));
    const keys = nodes.map(async ({ id }) => {
      this.writeConfig(id, { nodes: [], services: [] });
      const program = this.startSapwood(id, ["key", "show", "--config", configFile(id), "--json"]);
      const { code, stdout, stderr } = await program.ended;
      if (code !== 0) throw new SapwoodError("lab-failed", `${id} made no key: ${stderr.trim()}`);
      return [id, (JSON.parse(stdout) as { publicKey: string }).publicKey] as const;
    });
    return new Map(await Promise.all(keys));
  }

  async #capture(namespace: string, device: string, tunnelPort: number): Promise<SandboxProgram> {
    const argv = [process.execPath, builtFile("src/lab/capture.js"), device, String(tunnelPort)];
    const program = this.sandbox.start(argv, namespace);
    await program.until("the capture to begin", ({ stdout }) => stdout.startsWith("ready\n"));
    return program;
  }

  /** Has `close` do this first, while everything still runs. */
  beforeClose(task: () => Promise<void>): void {
    this.#beforeClose.push(task);
  }

  /** Ends everything; when this settles nothing of the lab is left, even if it rejects with the error of a task. */
  async close(): Promise<void> {
    try {
      for (const task of this.#beforeClose.splice(0)) await task();
    } finally {
      await this.sandbox.close();
    }
  }

  async #startServer(workload: string): Promise<void> {
    const argv = [process.execPath, builtFile("src/lab/workload-server.js"), instanceName(this.topology, workload)];
    const server = this.sandbox.start(argv, workload);
    await server.until(`the server in ${workload}`, ({ stdout }) => stdout.includes("ready\n"));
  }
}

/** Asks until the answer is true; fails with what was waited for. */
export async function eventually(
  what: string,
  isTrue: () => Promise<boolean>,
  timeoutMs: number = POLL_TIMEOUT_MS,
): Promise<void> {
  const giveUpAt = performance.now() + timeoutMs;
  while (!(await isTrue())) {
    if (performance.now() > giveUpAt)
      throw new SapwoodError("lab-failed", `Waited ${timeoutMs} ms in vain for ${what}.`);
    await new Promise((resolve) => setTimeout(resolve, POLL_INTERVAL_MS));
  }
}

/** What the server in a workload calls itself: "B 1" for instance 1 of B. */
export function instanceName({ services, workloads }: Topology, workload: string): string {
  const address = workloads.find(({ name }) => name === workload)?.addresses.v4 ?? "";
  for (const { name, instances } of services) {
    const found = instances.find(({ namespaceAddresses }) => namespaceAddresses.includes(address));
    if (found !== undefined) return `${name} ${found.number}`;
  }
  return workload;
}

/** Files of a node: in a folder of its own, as on a machine of its own, under the sandbox's private /run. */
export function configFile(node: string): string {
  return `/run/sapwood/${node}/node.yaml`;
}

export function controlSocket(node: string): string {
  return `/run/sapwood/${node}/sapwood.sock`;
}

function get(socketPath: string, path: string): Promise<{ readonly status: number; readonly body: string }> {
  return new Promise((resolve, reject) => {
    const asked = request({ socketPath, path, agent: false, timeout: ANSWER_TIMEOUT_MS }, (response) => {
      let body = "";
      response.setEncoding("utf8").on("data", (text: string) => {
        body += text;
      });
      response.on("end", () => resolve({ status: response.statusCode ?? 0, body }));
      response.on("error", fail);
    });
    const fail = (error: Error): void =>
      reject(new SapwoodError("lab-failed", `Nothing answered GET ${path} at ${socketPath}: ${error.message}`));
    asked.on("timeout", () => asked.destroy(new Error(`no answer within ${ANSWER_TIMEOUT_MS} ms`)));
    asked.on("error", fail).end();
  });
}

function clientCommand(job: Job): string[] {
  return [process.execPath, builtFile("src/lab/workload-client.js"), JSON.stringify(job)];
}
