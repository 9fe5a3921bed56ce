// A cluster of Oakestra in which things fail: brokers, cluster managers and daemons. One cluster; each test leaves it whole.
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { eventually } from "../../src/lab/lab.ts";
import { configure } from "../../src/lab/netns.ts";
import type { SandboxProgram } from "../../src/lab/sandbox.ts";
import type { CallResult, LoadReport } from "../../src/lab/workload-protocol.ts";
import { RESTART_MS } from "../../src/node/netmanager-installation.ts";
import { report as keptExchanges } from "../support/kept-exchanges.ts";
import { BROKER, containerName, netmanagerFile, OakestraCluster } from "../support/oakestra/cluster.ts";
import { describeCluster } from "../support/oakestra/describe-cluster.ts";

const [A, B] = ["65a000000000000000000001", "65a000000000000000000002"];
/** Another text for the broker's address. */
const BROKER_NAME = "broker.example";
const KEPT_EXCHANGES = fileURLToPath(new URL("in-workload/kept-exchanges.mjs", import.meta.url));
const OTHER_SERVERS = [3, 4];
const CLIENT = "c.d.client.d";
const SERVER = "x.d.server.d";
const SERVICE = ["10.30.0.10", "fdff:2000::10"];

describeCluster("a cluster of Oakestra in which things fail", () => {
  let cluster: OakestraCluster;
  let services = 0;

  beforeAll(async () => {
    cluster = await OakestraCluster.open(2);
    await cluster.order("service", { job: CLIENT, addresses: [] });
    await cluster.order("instance", { job: CLIENT, number: 0, ip: "10.30.0.12", ipv6: "fdff::12" });
    cluster.lab.sandbox.writeFile("/run/hosts", `127.0.0.1 localhost\n${BROKER} ${BROKER_NAME}\n`);
    await cluster.lab.sandbox.expect(["mount", "--bind", "/run/hosts", "/etc/hosts"]);
    await Promise.all(cluster.nodes.map((node) => cluster.startNode(node)));
  });
  afterEach(() => cluster.order("behave", { answers: "now", delayMs: 0, gives: "subnet" }));
  afterAll(() => cluster?.close());

  test("a registration that cannot succeed is refused in time, and may be tried again [defect 19, defect 20, measured 5, remedy 10]", async () => {
    expect((await cluster.post("node-a", "/register", "{")).status).toBe(400);
    expect((await cluster.register("node-a", "no/id")).status).toBe(400);
    const nobody = await cluster.register("node-a", A, "192.0.2.77");
    expect(nobody).toMatchObject({ status: 500, body: expect.stringContaining("192.0.2.77") });
    for (const gives of ["nothing", "garbage"]) {
      await cluster.order("behave", { gives });
      const refused = await cluster.register("node-a", A);
      expect(refused).toMatchObject({ status: 500, body: expect.stringContaining("The cluster gives no subnet") });
      expect((await cluster.post("node-a", "/container/deploy", { serviceName: CLIENT })).status).toBe(400);
      expect(await cluster.lab.sandbox.expect(["ip", "-br", "link"], "node-a")).not.toContain("goProxyBridge");
    }
    await cluster.order("behave", { gives: "subnet", delayMs: 4000 }); // slow, and in time
    const registered = cluster.nodes.map((node, i) => cluster.register(node, [A, B][i] ?? ""));
    for (const answer of await Promise.all(registered)) expect(answer).toEqual({ status: 200, body: "" });
    await cluster.order("behave", { delayMs: 0 });
    expect(cluster.daemon("node-a").isRunning).toBe(true);
    expect(await cluster.deploy("node-a", { job: CLIENT, number: 0 })).toMatchObject({ status: 200 });
    await addServer();
  });

  test("a worker that registers again keeps its containers, whatever it calls its cluster [behaviour 2]", async () => {
    const load = await startLoad(SERVICE);
    const before = await networkOf("node-a");
    const subnets = () => cluster.messages(A ?? "").filter(({ what }) => what === "subnet").length;
    const asked = subnets();
    for (const name of ["", BROKER_NAME, BROKER_NAME, BROKER]) {
      expect(await cluster.register("node-a", A ?? "", name)).toEqual({ status: 200, body: "" });
    }
    expect([await networkOf("node-a"), subnets()]).toEqual([before, asked]);
    // One session for each name, the older one at its end before the next begins.
    expect(cluster.brokerLog).not.toContain(`Client ${A} already connected`);
    const address = await newService();
    expect((await call([address]))[0]?.failures).toEqual([]);
    expect((await tally(load)).failures).toEqual([]);
    load.endInput();
    await load.ended;
  });

  test("a broker that is killed under traffic costs no connection, and is caught up with when it is back [defect 40, remedy 15]", async () => {
    const load = await startLoad(SERVICE);
    await cluster.killBroker();
    // What is deployed meanwhile is told as soon as it can be.
    await cluster.order("instance", { job: SERVER, number: 1, ip: "10.30.0.21", ipv6: "fdff::21" });
    const deployed = await cluster.deploy("node-b", { job: SERVER, number: 1 });
    expect(deployed.status).toBe(200);
    expect(await tally(load)).toEqual({ failures: [], instances: [`${SERVER} 0`] });
    await cluster.startBroker();
    await eventually(
      "the new instance to answer",
      async () => {
        const { failures, instances } = await tally(load);
        expect(failures).toEqual([]);
        return instances.includes(`${SERVER} 1`);
      },
      120_000,
    );
    expect((await cluster.undeploy("node-b", SERVER, 1)).status).toBe(200);
    await cluster.order("removeInstance", { job: SERVER, number: 1 });
    load.endInput();
    await load.ended;
  });

  test.each([
    ["slow", { delayMs: 4000 }],
    ["answering twice", { answers: "twice" }],
  ])("a cluster manager that is %s is waited for", async (_what, behaviour) => {
    const address = await newService();
    await call(SERVICE); // the server's node knows the client
    await cluster.order("behave", behaviour);
    const [result] = await call([address]);
    expect(result?.failures).toEqual([]);
  });

  test.each(["silent", "garbage"])(
    "a cluster manager that is %s holds up no deploy, and nothing that is known [defect 5, measured 4]",
    async (answers) => {
      const address = await newService();
      const load = await startLoad(SERVICE); // a job that nobody uses may be given up meanwhile
      await cluster.order("behave", { answers });
      const asked = call([address]);
      expect((await call(SERVICE)).flatMap(({ failures }) => failures)).toEqual([]);
      await cluster.order("instance", { job: SERVER, number: 2, ip: "10.30.0.22", ipv6: "fdff::22" });
      const deployed = await cluster.deploy("node-b", { job: SERVER, number: 2 });
      expect(deployed.status).toBe(200);
      await asked;
      await cluster.order("behave", { answers: "now" });
      await eventually(
        "the address to be found in the end",
        async () => {
          const [result] = await call([address]);
          return result?.failures.length === 0;
        },
        60_000,
      );
      expect((await tally(load)).failures).toEqual([]);
      load.endInput();
      await load.ended;
      expect((await cluster.undeploy("node-b", SERVER, 2)).status).toBe(200);
      await cluster.order("removeInstance", { job: SERVER, number: 2 });
    },
  );

  test("an odd instance in a result takes nothing from the others [measured 8]", async () => {
    const load = await startLoad(SERVICE); // the node hears of a job as long as it is called
    await cluster.order("oddInstance", { job: SERVER, number: 7, record: { instance_number: "x", host_ip: 3 } });
    await cluster.order("update", { job: SERVER });
    await eventually("it to be counted", async () => (await cluster.provider("node-a")).oddRecords > 0);
    expect(cluster.daemon("node-a").stderr).toContain("left out of a table query's result");
    expect((await tally(load)).failures).toEqual([]);
    load.endInput();
    await load.ended;
    await cluster.order("removeInstance", { job: SERVER, number: 7 });
  });

  test("garbage in every topic that a worker hears ends nothing", async () => {
    const told = () => cluster.daemon("node-a").stderr.split("a table query's result cannot be used").length;
    const before = told();
    for (const topic of ["tablequery/result", "subnetwork/result"].map((one) => `nodes/${A}/net/${one}`)) {
      for (const payload of ["", "{", "[]", "null", '{"instance_list":7}', '{"query_key":"x","app_name":[]}']) {
        await cluster.order("say", { topic, payload });
      }
    }
    for (const payload of ["", "{", '{"type":null}']) {
      await cluster.order("say", { topic: `jobs/${SERVER}/updates_available`, payload });
    }
    await eventually("the garbage to be told", () => Promise.resolve(told() > before));
    expect((await cluster.provider("node-a")).oddMessages).toBeGreaterThan(0);
    expect((await call(SERVICE)).flatMap(({ failures }) => failures)).toEqual([]);
    expect(cluster.daemon("node-a").isRunning).toBe(true);
  });

  test("a bridge that somebody removes is made anew with its containers, and connections go on", async () => {
    const load = await startLoad(SERVICE);
    const before = await networkOf("node-a");
    await cluster.lab.sandbox.expect(["ip", "link", "delete", "goProxyBridge"], "node-a");
    await eventually("it to be told", async () => cluster.daemon("node-a").stderr.includes("it was put back"));
    expect(await networkOf("node-a")).toBe(before);
    expect((await tally(load)).failures).toEqual([]);
    expect((await call(SERVICE)).flatMap(({ failures }) => failures)).toEqual([]);
    load.endInput();
    await load.ended;
  });

  test("a daemon that is killed is back with its three containers, and idle and busy connections go on [defect 25, defect 31, measured 3, remedy 14]", async () => {
    for (const number of [1, 2]) {
      const addresses = { ip: `10.30.0.${12 + number}`, ipv6: `fdff::${12 + number}` };
      await cluster.order("instance", { job: CLIENT, number, ...addresses });
      const portMappings = `${8079 + number}:80`;
      expect(await cluster.deploy("node-a", { job: CLIENT, number, portMappings })).toMatchObject({ status: 200 });
    }
    // A connection whose flow is forgotten goes to another instance two times of three.
    for (const number of OTHER_SERVERS) {
      await cluster.order("instance", {
        job: SERVER,
        number,
        ip: `10.30.0.${20 + number}`,
        ipv6: `fdff::${20 + number}`,
      });
      expect(await cluster.deploy("node-b", { job: SERVER, number })).toMatchObject({ status: 200 });
    }
    const containers = [0, 1, 2].map((number) => containerName(CLIENT, number));
    const before = await networkOf("node-a");
    const rules = await rulesOf("node-a");
    const clients = await Promise.all(containers.map(keepConnections));
    const asked = cluster.messages(A ?? "").filter(({ what }) => what === "subnet").length;
    const killedMs = performance.now();
    cluster.daemon("node-a").kill("SIGKILL");
    await cluster.daemon("node-a").ended;
    await pause(RESTART_MS); // the unit's rule
    await cluster.startNode("node-a");
    await eventually("new connections of all containers", async () => {
      const results = await Promise.all(containers.map((container) => call(SERVICE, container)));
      return results.flat().every(({ failures }) => failures.length === 0);
    });
    const lastedMs = Math.round(performance.now() - killedMs);
    const found = await Promise.all(clients.map(keptExchanges));
    for (const { broken, moved, answers } of found) {
      expect({ broken, moved }).toEqual({ broken: [], moved: 0 });
      expect(answers).toBeGreaterThan(0);
    }
    const silences = found.map(({ longestSilenceMs }) => longestSilenceMs).join(", ");
    process.stdout.write(`new connections ${lastedMs} ms after the kill; silences of open ones: ${silences} ms\n`);
    expect(await networkOf("node-a")).toEqual(before);
    expect(await rulesOf("node-a")).toEqual(rules);
    expect(await cluster.register("node-a", A ?? "")).toEqual({ status: 200, body: "" });
    expect(cluster.messages(A ?? "").filter(({ what }) => what === "subnet")).toHaveLength(asked);
    for (const client of clients) client.endInput();
    await Promise.all(clients.map((client) => client.ended));
    for (const number of OTHER_SERVERS) {
      expect((await cluster.undeploy("node-b", SERVER, number)).status).toBe(200);
      await cluster.order("removeInstance", { job: SERVER, number });
    }
  });

  test("a worker with a new id takes the place of the one before, whose containers and interests go [measured 2]", async () => {
    const held = async () => (await cluster.interests()).filter((one) => one.startsWith(`${A} `));
    expect(await held()).not.toEqual([]);
    expect(await cluster.register("node-a", `${A}f`)).toEqual({ status: 200, body: "" });
    await eventually("the old worker's interests to end", async () => (await held()).length === 0);
    const links = await cluster.lab.sandbox.expect(["ip", "-br", "link"], "node-a");
    expect(links).not.toContain("veth00");
    expect(await cluster.deploy("node-a", { job: CLIENT, number: 0 })).toMatchObject({ status: 200 });
    expect((await call(SERVICE)).flatMap(({ failures }) => failures)).toEqual([]);
  });

  test("a node that gets another address says so for each of its containers [defect 23, remedy 13]", async () => {
    cluster.daemon("node-a").kill("SIGTERM");
    await cluster.daemon("node-a").ended;
    await configure(cluster.lab.sandbox, "node-a", ["route add default via 192.0.2.1"]);
    await cluster.startNode("node-a", { NodePublicAddress: "0.0.0.0" });
    await configure(cluster.lab.sandbox, "node-a", [
      "addr add 192.0.2.111/24 dev eth0",
      "route replace default via 192.0.2.1 src 192.0.2.111",
    ]);
    const changed = () => cluster.messages(`${A}f`).filter(({ what }) => what === "service/address-changed");
    await eventually("the change to be told", async () => changed().length > 0, 50_000); // tenfold of 5 s
    expect(changed().map(({ message }) => message)).toEqual([
      {
        ...{ appname: CLIENT, status: "", instance_number: 0, nsip: "", nsipv6: "" },
        ...{ host_port: "50103", host_ip: "192.0.2.111" },
      },
    ]);
  });

  test("a node whose address changed while its daemon was down says so when it is back [defect 23, remedy 13]", async () => {
    await stop("node-a");
    await configure(cluster.lab.sandbox, "node-a", ["route replace default via 192.0.2.1 src 192.0.2.11"]);
    await cluster.startNode("node-a", { NodePublicAddress: "0.0.0.0" });
    await eventually("the change to be told", async () => {
      const changes = cluster.messages(`${A}f`).filter(({ what }) => what === "service/address-changed");
      return changes.at(-1)?.message?.host_ip === "192.0.2.11";
    });
  });

  test("a restart by systemd keeps what containers need", async () => {
    await stop("node-a");
    const systemctl = "/run/systemd-stand-in/systemctl";
    cluster.lab.sandbox.writeProgram(systemctl, "#!/bin/sh\necho ' 7 netmanager.service restart running'\n");
    const path = `PATH=/run/systemd-stand-in:${(await cluster.lab.sandbox.expect(["sh", "-c", "printf %s $PATH"])).trim()}`;
    await cluster.startNode("node-a", {}, [path, "INVOCATION_ID=7"]);
    const before = await networkOf("node-a");
    await stop("node-a");
    expect(await networkOf("node-a")).toBe(before);
  });

  test("a stop removes what is not a container's own, and the next start gives its network back to it", async () => {
    await cluster.startNode("node-a");
    const before = await networkOf("node-a");
    await stop("node-a");
    const stopped = await networkOf("node-a");
    expect(stopped).not.toContain("goProxyBridge");
    expect(stopped).toContain("veth00");
    expect(await cluster.lab.sandbox.expect(["nft", "list", "ruleset"], "node-a")).toBe("");
    await cluster.startNode("node-a");
    expect(await networkOf("node-a")).toBe(before);
    await eventually("the service to answer", async () => {
      return (await call(SERVICE)).every(({ failures }) => failures.length === 0);
    });
  });

  test.each(["SIGKILL", "SIGTERM"] as const)(
    "a bridge that is made or taken over after %s tells containers its hardware address, whatever they knew",
    async (signal) => {
      const own = await macOfBridge();
      const foreign = "02:00:5e:00:53:01";
      await configure(cluster.lab.sandbox, "node-a", [`link set dev goProxyBridge address ${foreign} mtu 1400`]);
      await eventually(
        "the container to know another address",
        async () => (await macsKnown()) === `${foreign} ${foreign}`,
      );
      cluster.daemon("node-a").kill(signal);
      await cluster.daemon("node-a").ended;
      await cluster.startNode("node-a");
      expect(await macOfBridge()).toBe(own);
      // The container sends nothing meanwhile, so that it has no reason to ask.
      await eventually(
        "the container to know the bridge's address",
        async () => (await macsKnown()) === `${own} ${own}`,
      );
      const link = await cluster.lab.sandbox.expect(["ip", "link", "show", "goProxyBridge"], "node-a");
      expect(link).toContain("mtu 1450");
      await eventually("the service to answer", async () => {
        return (await call(SERVICE)).every(({ failures }) => failures.length === 0);
      });
    },
  );

  test("a container that ended while no daemon ran leaves nothing, and neither does a stop without containers [defect 30, remedy 14]", async () => {
    cluster.daemon("node-a").kill("SIGKILL");
    await cluster.daemon("node-a").ended;
    await cluster.endContainer(containerName(CLIENT, 0));
    await cluster.startNode("node-a");
    const links = await cluster.lab.sandbox.expect(["ip", "-br", "link"], "node-a");
    expect(links).not.toContain("veth00");
    const state = await cluster.lab.sandbox.expect(["cat", netmanagerFile("node-a", "state/netmanager.json")]);
    expect(JSON.parse(state)).toMatchObject({ containers: [], leaving: [] });
    await stop("node-a");
    expect(await networkOf("node-a")).not.toContain("goProxyBridge");
    expect(await cluster.lab.sandbox.expect(["nft", "list", "ruleset"], "node-a")).toBe("");
  });

  async function macOfBridge(): Promise<string | undefined> {
    const link = await cluster.lab.sandbox.expect(["ip", "link", "show", "goProxyBridge"], "node-a");
    return /link\/ether (\S+)/.exec(link)?.[1];
  }

  /** Hardware addresses that the client's container has of its gateways, IPv4 and IPv6. */
  async function macsKnown(): Promise<string> {
    const show = "for family in -4 -6; do ip $family route show default; ip $family neigh; done";
    const text = await cluster.lab.sandbox.expect(["sh", "-c", show], containerName(CLIENT, 0));
    const gateways = [...text.matchAll(/default via (\S+)/g)].map(([, gateway]) => gateway);
    const entries = text.split("\n").map((line) => line.split(" "));
    return gateways.map((gateway) => entries.find(([address]) => address === gateway)?.[4]).join(" ");
  }

  async function stop(node: string): Promise<void> {
    cluster.daemon(node).kill("SIGTERM");
    expect((await cluster.daemon(node).ended).code).toBe(0);
  }

  async function addServer(): Promise<void> {
    const [v4, v6] = SERVICE;
    await cluster.order("service", { job: SERVER, addresses: [{ IpType: "RR", Address: v4, Address_v6: v6 }] });
    await cluster.order("instance", { job: SERVER, number: 0, ip: "10.30.0.20", ipv6: "fdff::20" });
    expect(await cluster.deploy("node-b", { job: SERVER, number: 0 })).toMatchObject({ status: 200 });
    expect((await call(SERVICE)).flatMap(({ failures }) => failures)).toEqual([]);
  }

  /** Another service, which the server of the first one answers for. */
  async function newService(): Promise<string> {
    const number = ++services;
    const [job, address] = [`s${number}.d.s.d`, `10.30.1.${number}`];
    await cluster.order("service", {
      job,
      addresses: [{ IpType: "RR", Address: address, Address_v6: `fdff:2000::1:${number}` }],
    });
    const own = { ip: `10.30.2.${number}`, ipv6: `fdff::2:${number}` };
    await cluster.order("instance", { job, number: 0, ...own });
    const { status } = await cluster.deploy("node-b", { job, number: 0 });
    expect(status).toBe(200);
    return address;
  }

  async function call(addresses: readonly string[], from = containerName(CLIENT, 0)): Promise<CallResult[]> {
    const calls = addresses.map((address) => ({ protocol: "http", address }) as const);
    return cluster.lab.ask(from, { kind: "together", calls, rounds: 1 });
  }

  /** A client in a container that keeps busy and idle TCP connections and UDP exchanges with the service. */
  async function keepConnections(container: string): Promise<SandboxProgram> {
    const client = cluster.lab.sandbox.start([process.execPath, KEPT_EXCHANGES, "1", "1", "20", ...SERVICE], container);
    await client.until("the client to ask", ({ stdout }) => stdout.includes("asking\n"));
    await keptExchanges(client);
    return client;
  }

  async function startLoad(addresses: readonly string[]): Promise<SandboxProgram> {
    const load = cluster.lab.startClient(containerName(CLIENT, 0), { kind: "load", addresses, held: addresses });
    await eventually("the load to be answered", async () => (await tally(load)).instances.length > 0);
    return load;
  }

  async function report(load: SandboxProgram): Promise<LoadReport> {
    const seen = load.stdout.length;
    load.write("\n");
    await load.until("a report", ({ stdout }) => stdout.length > seen && stdout.endsWith("\n"));
    return JSON.parse(load.stdout.slice(seen));
  }

  async function tally(load: SandboxProgram): Promise<{ failures: readonly string[]; instances: readonly string[] }> {
    const { failures, byInstance, held } = await report(load);
    return {
      failures: [...failures, ...held.flatMap((one) => one.failures)],
      instances: Object.keys(byInstance).sort(),
    };
  }

  /** TUN devices and routing rules, which are there once while a daemon runs. */
  async function rulesOf(node: string): Promise<string> {
    const show = "ip -br link show type tun; ip rule; ip -6 rule";
    return (await cluster.lab.sandbox.run(["sh", "-c", show], node)).stdout;
  }

  /** Bridge, interfaces of containers and rules, without counters and numbers of interfaces. */
  async function networkOf(node: string): Promise<string> {
    const show =
      "ip -br link show type bridge; ip -br link show type veth; ip -br address show goProxyBridge; nft list table inet sapwood_netmanager";
    const text = (await cluster.lab.sandbox.run(["sh", "-c", show], node)).stdout;
    return text.replaceAll(/@\S+/g, "");
  }
});
