// A cluster of Oakestra in a lab: a real Mosquitto and a scripted cluster manager on the underlay, `sapwood netmanager`
// on each node, and the NodeEngine's part: HTTP on its unix socket, containers in network namespaces of their own.
import { existsSync, readFileSync } from "node:fs";
import { request } from "node:http";
import { builtFile } from "../../../src/lab/build-paths.ts";
import { Lab } from "../../../src/lab/lab.ts";
import { addNamespaces, configure } from "../../../src/lab/netns.ts";
import type { SandboxProgram } from "../../../src/lab/sandbox.ts";
import { DEMO, type Topology, UNDERLAY_NAMESPACE } from "../../../src/lab/topology.ts";
import type { ProviderReport } from "../../../src/model/reports.ts";
import { expectNoSecret } from "../secrets.ts";

export const BROKER = "192.0.2.1";
export const BROKER_PORT = 10003;
/** The NodeEngine gives up after 10 s, before which the daemon answers; a busy machine stretches that. */
const PATIENCE_MS = 120_000;
const MANAGER = builtFile("../test/support/oakestra/cluster-manager.mjs");

/** What the cluster manager prints, one a line. */
interface ManagerEvent {
  readonly event: "ready" | "message" | "violation" | "done" | "interests";
  readonly worker?: string;
  readonly what?: string;
  readonly message?: Readonly<Record<string, unknown>>;
  readonly payload?: string; // of the message, as it came
  readonly interests?: readonly string[];
}

export interface HttpAnswer {
  readonly status: number; // 0 = the connection was cut, or nothing came within the NodeEngine's 10 s
  readonly body: string;
}

interface Deployment {
  readonly job: string;
  readonly number: number;
  readonly portMappings?: string;
}

/** Fields of netcfg.json. */
type Netcfg = Readonly<Record<string, unknown>> & { readonly MqttKey?: string };

/** Files of a node's NetManager, as on a machine of its own. */
export function netmanagerFile(node: string, name: string): string {
  return `/run/netmanager/${node}/${name}`;
}

export class OakestraCluster {
  readonly lab: Lab;
  #broker: SandboxProgram | undefined;
  #manager: SandboxProgram | undefined;
  readonly #containers = new Map<string, SandboxProgram>();
  readonly #daemons = new Map<string, SandboxProgram>();
  /** Of all daemons that ever ran. */
  readonly #logs: SandboxProgram[] = [];
  readonly #keyFiles = new Set<string>();

  private constructor(lab: Lab) {
    this.lab = lab;
  }

  /** `broker` are settings of Mosquitto beside the usual ones. */
  static async open(nodeCount: number, broker?: string): Promise<OakestraCluster> {
    const topology: Topology = { ...DEMO, nodes: DEMO.nodes.slice(0, nodeCount), workloads: [], services: [] };
    const cluster = new OakestraCluster(await Lab.open(topology));
    try {
      await configure(cluster.lab.sandbox, UNDERLAY_NAMESPACE, [`addr add ${BROKER}/24 dev br0`]);
      await cluster.startBroker(broker);
      await cluster.startManager();
      return cluster;
    } catch (error) {
      await cluster.close();
      throw error;
    }
  }

  get nodes(): readonly string[] {
    return this.lab.topology.nodes.map(({ id }) => id);
  }

  async startBroker(settings = `listener ${BROKER_PORT}\nallow_anonymous true`): Promise<void> {
    const file = "/run/mosquitto.conf";
    this.lab.sandbox.writeFile(file, `user root\npersistence false\n${settings}\n`);
    const broker = this.lab.sandbox.start(["mosquitto", "-v", "-c", file], UNDERLAY_NAMESPACE);
    await broker.until("the broker to run", ({ stderr, stdout }) =>
      /mosquitto version .* running/.test(stderr + stdout),
    );
    this.#broker = broker;
  }

  /** What the broker has said since it was started. */
  get brokerLog(): string {
    const { stdout, stderr } = this.#required(this.#broker);
    return stdout + stderr;
  }

  /**
   * What the broker got of a client, in its order: "CONNECT", "SUBSCRIBE TOPIC (QoS 1)", "UNSUBSCRIBE TOPIC", "PUBLISH
   * TOPIC".
   */
  brokerHeard(clientId: string): string[] {
    const heard: string[] = [];
    let list: string | undefined; // of topics, which follow one a line
    for (const line of this.brokerLog.split("\n").map((one) => one.replace(/^\d+: /, ""))) {
      const [, kind] = new RegExp(`^Received (SUBSCRIBE|UNSUBSCRIBE) from ${clientId}$`).exec(line) ?? [];
      const [, topic] = new RegExp(`^Received PUBLISH from ${clientId} .*'([^']+)'`).exec(line) ?? [];
      if (kind === undefined && list !== undefined && line.startsWith("\t")) heard.push(`${list} ${line.trim()}`);
      else if (/^(?:Received|Sending) /.test(line)) list = kind;
      if (topic !== undefined) heard.push(`PUBLISH ${topic}`);
      if (new RegExp(`^New client connected from \\S+ as ${clientId} `).test(line)) heard.push("CONNECT");
    }
    return heard;
  }

  async killBroker(): Promise<void> {
    this.#broker?.kill("SIGKILL");
    await this.#broker?.ended;
  }

  async startManager(): Promise<void> {
    const argv = [process.execPath, MANAGER, String(BROKER_PORT)];
    const manager = this.lab.sandbox.start(argv, UNDERLAY_NAMESPACE);
    await manager.until("the cluster manager", ({ stdout }) => stdout.includes('"ready"'));
    this.#manager = manager;
  }

  /** Gives the cluster manager an order, and waits until it is done. */
  async order(order: string, fields: object = {}): Promise<void> {
    const manager = this.#required(this.#manager);
    const count = () => this.events().filter(({ event }) => event === "done").length;
    const before = count();
    manager.write(`${JSON.stringify({ order, ...fields })}\n`);
    await manager.until(`the order ${order}`, () => count() > before);
  }

  /** All that the cluster manager has seen. */
  events(): ManagerEvent[] {
    const lines = this.#required(this.#manager).stdout.split("\n");
    return lines.slice(0, -1).map((line) => JSON.parse(line) as ManagerEvent);
  }

  violations(): ManagerEvent[] {
    return this.events().filter(({ event }) => event === "violation");
  }

  /** Messages of a worker, as "subnet", "tablequery/request NAME", ... */
  messages(worker: string): ManagerEvent[] {
    return this.events().filter((one) => one.event === "message" && one.worker === worker);
  }

  async interests(): Promise<readonly string[]> {
    await this.order("interests");
    return this.events().findLast(({ event }) => event === "interests")?.interests ?? [];
  }

  /** Starts NetManager's daemon on a node; `environment` are variables of it. */
  async startNode(node: string, netcfg: Netcfg = {}, environment: readonly string[] = []): Promise<SandboxProgram> {
    const { sandbox } = this.lab;
    const underlay = this.lab.topology.nodes.find(({ id }) => id === node)?.underlay.v4;
    const content: Netcfg = {
      ...{ NodePublicAddress: underlay, NodePublicPort: "50103", ClusterUrl: "0.0.0.0", ClusterMqttPort: BROKER_PORT },
      ...netcfg,
    };
    sandbox.writeFile(netmanagerFile(node, "netcfg.json"), JSON.stringify(content));
    const argv = sapwoodCommand(
      "netmanager",
      ...["--netcfg", netmanagerFile(node, "netcfg.json"), "--tuncfg", netmanagerFile(node, "tuncfg.json")],
      ...["--listen", netmanagerFile(node, "netmanager.sock"), "--state", netmanagerFile(node, "state")],
      ...["--policies", netmanagerFile(node, "policies.yaml")],
      ...["--socket", netmanagerFile(node, "sapwood.sock"), "--log-level", "info"],
    );
    const daemon = sandbox.start(["env", ...environment, ...argv], node);
    this.#logs.push(daemon);
    if (content.MqttKey !== undefined) this.#keyFiles.add(content.MqttKey);
    await daemon.until(`NetManager of ${node}`, ({ stdout }) => stdout.includes("sapwood netmanager ready"));
    this.#daemons.set(node, daemon);
    return daemon;
  }

  daemon(node: string): SandboxProgram {
    return this.#required(this.#daemons.get(node));
  }

  register(node: string, worker: string, cluster: string = BROKER): Promise<HttpAnswer> {
    return this.post(node, "/register", { client_id: worker, cluster_address: cluster });
  }

  /** A container with a server, deployed as the NodeEngine does it. */
  async deploy(node: string, { job, number, portMappings = "" }: Deployment): Promise<HttpAnswer> {
    const pid = await this.startContainer(containerName(job, number), `${job} ${number}`);
    return this.post(node, "/container/deploy", { pid, serviceName: job, instanceNumber: number, portMappings });
  }

  undeploy(node: string, job: string, number: number): Promise<HttpAnswer> {
    const order = { pid: -1, serviceName: job, instanceNumber: number, portMappings: "" };
    return this.post(node, "/container/undeploy", order);
  }

  /** A server in a new network namespace without any link; its process id. One of the same name ends first. */
  async startContainer(name: string, instance: string): Promise<number> {
    const { sandbox } = this.lab;
    await this.endContainer(name);
    await addNamespaces(sandbox, [name]);
    const server = sandbox.start([process.execPath, builtFile("src/lab/workload-server.js"), instance], name);
    this.#containers.set(name, server);
    await server.until(`the server in ${name}`, ({ stdout }) => stdout.includes("ready\n"));
    return this.pidIn(name);
  }

  /** Ends a container and its namespace, if there is one of that name. */
  async endContainer(name: string): Promise<void> {
    const container = this.#containers.get(name);
    if (container === undefined) return;
    this.#containers.delete(name);
    await container.stop();
    await this.lab.sandbox.expect(["ip", "netns", "del", name]);
  }

  /** Process ids of `count` network namespaces without a name or any link, as containers have them. */
  async startNamespaces(count: number): Promise<number[]> {
    const one = "read pid rest < /proc/self/stat; echo $pid; exec sleep infinity";
    const all = `for i in $(seq ${count}); do unshare --net sh -c '${one}' & done; wait`;
    const program = this.lab.sandbox.start(["sh", "-c", all]);
    const lines = () => program.stdout.split("\n").slice(0, -1);
    await program.until(`${count} namespaces`, () => lines().length === count);
    return lines().map(Number);
  }

  async pidIn(name: string): Promise<number> {
    return Number((await this.lab.sandbox.expect(["ip", "netns", "pids", name])).split("\n")[0]);
  }

  /** As the NodeEngine asks: one connection for each request. */
  async post(node: string, route: string, body: unknown, signal?: AbortSignal): Promise<HttpAnswer> {
    const socketPath = this.lab.sandbox.pathFromOutside(netmanagerFile(node, "netmanager.sock"));
    return postTo(socketPath, route, typeof body === "string" ? body : JSON.stringify(body), signal);
  }

  /** `sapwood ARGS` on the control socket of a node, without the program that runs it. */
  sapwoodArguments(node: string, ...args: string[]): string[] {
    return sapwoodCommand(...args, "--socket", netmanagerFile(node, "sapwood.sock")).slice(1);
  }

  /** What the daemon of a node says of its cluster. */
  async provider(node: string): Promise<ProviderReport> {
    const argv = [process.execPath, ...this.sapwoodArguments(node, "status", "--json")];
    return JSON.parse(await this.lab.sandbox.expect(argv, node)).provider;
  }

  /** No daemon's log, nor any of the `texts`, has anything of a key that was configured. */
  expectNoSecret(...texts: readonly string[]): void {
    const keys = [...this.#keyFiles].filter((file) => existsSync(file)).map((file) => readFileSync(file, "utf8"));
    expectNoSecret([...texts, ...this.#logs.flatMap(({ stdout, stderr }) => [stdout, stderr])], keys);
  }

  /** Throws when a node said what breaks the rules of the interface, or a secret. */
  async close(): Promise<void> {
    const violations = this.#manager === undefined ? [] : this.violations();
    await this.lab.close();
    this.expectNoSecret();
    if (violations.length > 0) throw new Error(`The cluster manager met violations: ${JSON.stringify(violations)}`);
  }

  #required<T>(value: T | undefined): T {
    if (value === undefined) throw new Error("It was not started.");
    return value;
  }
}

function sapwoodCommand(...args: string[]): string[] {
  return [process.execPath, builtFile("src/main.js"), ...args];
}

/** The status is 0 when the connection was cut, or nothing came in time. */
function postTo(socketPath: string, path: string, body: string, signal?: AbortSignal): Promise<HttpAnswer> {
  return new Promise((resolve) => {
    const fail = (error: Error) => resolve({ status: 0, body: error.message });
    const headers = { "Content-Type": "application/json", "Host": "localhost:0" };
    const call = request({ socketPath, path, method: "POST", headers, agent: false, signal }, (answer) => {
      let text = "";
      answer.setEncoding("utf8").on("data", (part: string) => {
        text += part;
      });
      answer.on("error", fail).on("end", () => resolve({ status: answer.statusCode ?? 0, body: text }));
    });
    call.on("error", fail).setTimeout(PATIENCE_MS, () => call.destroy(new Error("no answer in time")));
    call.end(body);
  });
}

/** Network namespace of an instance's container. */
export function containerName(job: string, number: number): string {
  return `${job.replaceAll(".", "-")}-${number}`;
}
