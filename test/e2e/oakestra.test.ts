// A cluster of Oakestra whose nodes run `sapwood netmanager`: a real broker, a cluster manager that holds every byte to the
// interface, and containers that are deployed as a NodeEngine does it. One cluster; the tests are steps of one story.
import { afterAll, beforeAll, expect, test } from "vitest";
import { builtFile } from "../../src/lab/build-paths.ts";
import { eventually } from "../../src/lab/lab.ts";
import { UNDERLAY_NAMESPACE } from "../../src/lab/topology.ts";
import type { CallResult } from "../../src/lab/workload-protocol.ts";
import type { ServiceAddressReport } from "../../src/model/reports.ts";
import { Arrivals } from "../support/oakestra/arrivals.ts";
import { BROKER, containerName, netmanagerFile, OakestraCluster } from "../support/oakestra/cluster.ts";
import { describeCluster } from "../support/oakestra/describe-cluster.ts";
import { Load } from "../support/oakestra/load.ts";

const A = "65a000000000000000000001";
const WORKERS = { "node-a": A, "node-b": "65a000000000000000000002", "node-c": "65a000000000000000000003" } as const;
const CLIENT = "c.d.client.d";
const SERVER = "x.d.server.d";
const OTHER = "y.d.other.d";
const SERVICE = { v4: "10.30.0.10", v6: "fdff:2000::10" };
/** What a client sees of an instance that goes: a reset, nobody there, or no answer to what had arrived there. */
const NOTICED = /ECONNRESET|ECONNREFUSED|socket hang up|AbortError/;
const ALL = Object.values(SERVICE);
/** Instance addresses of the server by number. */
const SERVERS = [0, 1, 2].map((number) => ({ number, ip: `10.30.0.2${number}`, ipv6: `fdff::2${number}` }));

describeCluster("a cluster of Oakestra", () => {
  let cluster: OakestraCluster;
  let arrivals: Arrivals;

  beforeAll(async () => {
    cluster = await OakestraCluster.open(3);
    arrivals = new Arrivals(cluster.lab.sandbox);
    await cluster.order("service", { job: CLIENT, addresses: [] });
    const address = { IpType: "RR", Address: SERVICE.v4, Address_v6: SERVICE.v6 };
    await cluster.order("service", { job: SERVER, addresses: [address] });
    for (const node of cluster.nodes) {
      // What a distribution may have set: the kernel drops packets that come from where it would not send to.
      await cluster.lab.sandbox.expect(["sysctl", "-qw", "net.ipv4.conf.all.rp_filter=1"], node);
    }
    const variables = (node: string) => (node === "node-c" ? ["TUN_MTU_SIZE=1400"] : []);
    await Promise.all(cluster.nodes.map((node) => cluster.startNode(node, {}, variables(node))));
  });
  afterAll(() => cluster?.close());

  test("a worker is registered once its cluster has answered, and nothing works before [behaviour 2, behaviour 15, defect 22, defect 39, measured 13]", async () => {
    const [deploy, undeploy] = await Promise.all(
      ["/container/deploy", "/container/undeploy"].map((route) =>
        cluster.post("node-a", route, { serviceName: SERVER }),
      ),
    );
    expect([deploy?.status, undeploy?.status]).toEqual([400, 400]);
    expect(cluster.daemon("node-a").stderr).not.toContain("STARTUP_CONFIG");
    const socket = ["stat", "-c", "%a %F", netmanagerFile("node-a", "netmanager.sock")];
    expect(await cluster.lab.sandbox.expect(socket)).toBe("660 socket\n");
    for (const [node, worker] of Object.entries(WORKERS)) {
      expect(await cluster.register(node, worker)).toEqual({ status: 200, body: "" });
    }
    expect(await cluster.register("node-a", A)).toEqual({ status: 200, body: "" });
    expect(said(A)).toEqual([["subnet", { METHOD: "GET" }]]);
    const line = "STARTUP_CONFIG: Node=192.0.2.11:50103 | Cluster=192.0.2.1:10003";
    expect(cluster.daemon("node-a").stderr).toContain(line);
  });

  test("a deploy says in order what the cluster expects, and answers with the addresses of the container [behaviour 5, defect 34, remedy 11]", async () => {
    await cluster.order("instance", { job: CLIENT, number: 0, ip: "10.30.0.12", ipv6: "fdff::12" });
    const before = said(A).length;
    const { status, body } = await cluster.deploy("node-a", { job: CLIENT, number: 0 });
    expect(status).toBe(200);
    expect(body).toBe(
      '{"serviceName":"c.d.client.d","nsAddress":"10.18.0.66","nsAddressv6":"fc00::102","nsAddressV6":"fc00::102"}',
    );
    await eventually("the update to be asked for", async () => said(A).length >= before + 3);
    const query = ["tablequery/request", { sname: CLIENT, sip: "" }];
    const deployed = {
      ...{ appname: CLIENT, status: "DEPLOYED", instance_number: 0, nsip: "10.18.0.66", nsipv6: "fc00::102" },
      ...{ host_port: "50103", host_ip: "192.0.2.11" },
    };
    expect(said(A).slice(before)).toEqual([["service/deployed", deployed], query, query]);
    expect(await cluster.interests()).toEqual([`${A} ${CLIENT}`]);
  });

  test("a container has its addresses and default routes at once, and MTU 1450 [behaviour 12, behaviour 13]", async () => {
    const tentative = ["ip", "-6", "address", "show", "scope", "global", "tentative"];
    expect(await cluster.lab.sandbox.expect(tentative, containerName(CLIENT, 0))).toBe("");
    expect(await mtusOf("node-a", containerName(CLIENT, 0))).toEqual([1450, 1450, 1450]);
    const show = "ip -br address show scope global; ip route show default; ip -6 route show default";
    const seen = await cluster.lab.sandbox.expect(["sh", "-c", show], containerName(CLIENT, 0));
    expect(seen).toMatch(/veth01\w+@\w+ +UP +10\.18\.0\.66\/26 fc00::102\/120/);
    expect(seen).toContain("default via 10.18.0.65");
    expect(seen).toContain("default via fc00::101");
    const links = await cluster.lab.sandbox.expect(["ip", "-br", "address"], "node-a");
    expect(links).toMatch(/^goProxyTun /m);
    expect(links).toMatch(/^goProxyBridge .* 10\.18\.0\.65\/26 .*fc00::101\/120/m);
  });

  test("a service of another node answers by its addresses, and sees the client's instance address [behaviour 10, defect 24, defect 37]", async () => {
    await deployServer("node-b", 0);
    for (const [i, result] of (await call(ALL)).entries()) {
      expect(result).toMatchObject({ failures: [], instances: [`${SERVER} 0`], answeredFrom: [ALL[i]] });
      expect(result.sources[0]).toMatch(i === 0 ? /^10\.30\.0\.12 / : /^fdff::12 /);
    }
    // An instance by its own address, and the service from its own instance.
    expect((await call(["10.30.0.20", "fdff::20"])).map(({ instances }) => instances)).toEqual([
      [`${SERVER} 0`],
      [`${SERVER} 0`],
    ]);
    const [own] = await call([SERVICE.v4], containerName(SERVER, 0));
    expect(own?.failures).toEqual([]);
    // To each other node from the port that is listened to, and by no other socket.
    const sockets = await cluster.lab.sandbox.expect(["ss", "-Hanu"], "node-a");
    expect(sockets.trim().split("\n")).toEqual([expect.stringMatching(/ (\[::\]|\*):50103 /)]);
  });

  test("a service scales from one instance to three and back, and only connections to removed ones notice", async () => {
    const load = new Load(
      cluster.lab.startClient(containerName(CLIENT, 0), { kind: "load", addresses: ALL, held: ALL }),
    );
    const answering = (...numbers: number[]) => load.answeredBy(...numbers.map((number) => `${SERVER} ${number}`));
    await answering(0);
    await deployServer("node-c", 1);
    expect(await mtusOf("node-c", containerName(SERVER, 1))).toEqual([1400, 1400, 1400]); // as TUN_MTU_SIZE says
    await deployServer("node-a", 2);
    await answering(0, 1, 2);
    expect(load.failures).toEqual([]);
    await removeServer("node-c", 1);
    await answering(0, 2);
    expectOnlyTo(load, 2 * ALL.length, [`${SERVER} 1`]);
    await removeServer("node-a", 2);
    await answering(0);
    expectOnlyTo(load, 2 * 2 * ALL.length, [`${SERVER} 1`, `${SERVER} 2`]);
    expect(load.heldFailures.flat()).toEqual([]); // those of the one that stays
    await load.end();
  });

  test("an instance that moves to another node under load keeps its instance address, and only connections to where it was notice", async () => {
    const addresses = [...ALL, "10.30.0.20", "fdff::20"];
    await deployServer("node-c", 1);
    const client = { kind: "load", addresses, held: [...ALL, ...ALL] } as const;
    const load = new Load(cluster.lab.startClient(containerName(CLIENT, 0), client));
    await load.answeredBy(`${SERVER} 0`, `${SERVER} 1`);
    await load.holding();
    const holders = load.holders;
    expect(new Set(holders)).toEqual(new Set([`${SERVER} 0`, `${SERVER} 1`]));
    expect(load.failures).toEqual([]);
    // It is there before it is gone where it was, as far as the cluster tells.
    const pid = await cluster.startContainer("moved", `${SERVER} 0 moved`);
    await arrivals.watch(`${SERVER} 0 moved`, "moved");
    const order = { pid, serviceName: SERVER, instanceNumber: 0, portMappings: "" };
    expect(await cluster.post("node-c", "/container/deploy", order)).toMatchObject({ status: 200 });
    await load.answeredBy(`${SERVER} 0 moved`, `${SERVER} 1`);
    expect((await cluster.undeploy("node-b", SERVER, 0)).status).toBe(200);
    await cluster.endContainer(containerName(SERVER, 0));
    await load.answeredBy(`${SERVER} 0 moved`, `${SERVER} 1`);
    await load.failing(`${SERVER} 0`, holders); // one that waited for an answer notices when it sends again
    expectOnlyTo(load, 2 * addresses.length, [`${SERVER} 0`]);
    load.heldFailures.forEach((failures, i) => {
      if (holders[i] === `${SERVER} 0`) expect(failures[0]).toMatch(NOTICED);
      else expect(failures).toEqual([]);
    });
    await load.end();
    expect((await call(["10.30.0.20"]))[0]?.instances).toEqual([`${SERVER} 0 moved`]);
    await removeServer("node-c", 1);
  });

  test("a newer record with the namespace address of an older one takes its place, and connections to the older one notice [behaviour 7, measured 8]", async () => {
    const client = { kind: "load", addresses: [], held: ALL } as const;
    const load = new Load(cluster.lab.startClient(containerName(CLIENT, 0), client));
    await load.holding();
    await deployServer("node-b", 1);
    const addressOf = (job: string) =>
      cluster.messages(WORKERS["node-c"]).findLast(({ message }) => message?.appname === job)?.message?.nsip;
    // The cluster does not hear of an undeploy, so that its record is as it was.
    expect((await cluster.undeploy("node-c", SERVER, 0)).status).toBe(200);
    await cluster.order("service", { job: OTHER, addresses: [] });
    // Addresses are given out in the order in which they came back.
    let number = -1;
    do {
      number += 1;
      await cluster.order("instance", { job: OTHER, number, ip: `10.30.0.3${number}`, ipv6: `fdff::3${number}` });
      expect(await cluster.deploy("node-c", { job: OTHER, number })).toMatchObject({ status: 200 });
    } while (addressOf(OTHER) !== addressOf(SERVER) && number < 9);
    expect(addressOf(OTHER)).toBe(addressOf(SERVER));
    const [answer] = await call([`10.30.0.3${number}`]);
    expect(answer).toMatchObject({ failures: [], instances: [`${OTHER} ${number}`] });
    const lines = cluster
      .daemon("node-a")
      .stderr.split("\n")
      .filter((line) => line.includes("withdrawn"));
    expect(lines).toEqual([
      expect.stringContaining(`withdrawn from ${SERVER}, because ${OTHER} has it now: instance 0`),
    ]);
    await load.failing();
    // Until node-a has heard of it, connections that are opened anew may be led to the old record as well.
    for (const failure of load.failures) expect(failure).toMatch(NOTICED);
    await load.end();
    await removeServer("node-b", 1);
    await cluster.order("removeInstance", { job: SERVER, number: 0 });
    for (; number >= 0; number--) {
      await cluster.order("removeInstance", { job: OTHER, number });
      expect((await cluster.undeploy("node-c", OTHER, number)).status).toBe(200);
    }
    await deployServer("node-c", 0);
    await eventually("the instance to answer again", async () =>
      (await call(ALL)).every((one) => one.failures.length === 0),
    );
  });

  test("the file of policies counts as soon as it changes, and one with a mistake changes nothing [defect 43]", async () => {
    const file = netmanagerFile("node-a", "policies.yaml");
    const log = () => cluster.daemon("node-a").stderr;
    const bound = (policy: string) =>
      eventually(`the service to be ${policy}`, async () => {
        await call(ALL); // the node knows a job as long as it is called
        const argv = [process.execPath, ...cluster.sapwoodArguments("node-a", "services", "--json")];
        const reports: readonly ServiceAddressReport[] = JSON.parse(await cluster.lab.sandbox.expect(argv, "node-a"));
        const policies = reports.filter(({ address }) => ALL.includes(address)).map((report) => report.policy);
        return JSON.stringify(policies) === JSON.stringify([policy, policy]);
      });
    await bound("round-robin");
    cluster.lab.sandbox.writeFile(file, `services: { ${SERVER}: closest }`);
    await bound("closest");
    cluster.lab.sandbox.writeFile(file, "services: { x: closest }");
    await eventually("the mistake to be told", async () => log().includes("the policies stay as they were"));
    expect(log()).toContain("services.x: expected a service's full name");
    await bound("closest");
    cluster.lab.sandbox.writeFile(file, "{}");
    await bound("round-robin");
    const applied = () => log().split("policies applied").length;
    const before = applied();
    cluster.daemon("node-a").kill("SIGHUP");
    await eventually("the file to be read again", async () => applied() > before);
    expect((await call(ALL)).flatMap(({ failures }) => failures)).toEqual([]);
  });

  test("mapped ports lead to the container from outside and from the node, and nothing else to them [behaviour 14, defect 27, defect 28, remedy 12]", async () => {
    await cluster.order("instance", { job: SERVER, ...SERVERS[1] });
    const mapped = { job: SERVER, number: 1, portMappings: "8080:80, 8081:80/udp;" };
    expect(await cluster.deploy("node-b", mapped)).toMatchObject({ status: 200 });
    for (const url of ["http://192.0.2.12:8080", "http://[2001:db8::12]:8080"]) {
      expect(await fetchFrom("node-a", url)).toContain(`"${SERVER} 1"`);
    }
    expect(await fetchFrom("node-b", "http://192.0.2.12:8080")).toContain(`"${SERVER} 1"`);
    // The same port of a service is the service's, whose servers do not listen there.
    for (const host of [SERVICE.v4, `[${SERVICE.v6}]`]) {
      const argv = ["curl", "-sS", "-m", "10", `http://${host}:8080`];
      const { code, stderr } = await cluster.lab.sandbox.run(argv, containerName(SERVER, 1));
      expect([code, stderr]).toEqual([7, expect.stringMatching(/refused|Couldn't connect|Could not connect/)]);
    }
    const again = await cluster.deploy("node-b", { job: SERVER, number: 2, portMappings: "8080:80" });
    expect(again.status).toBe(500);
    for (const portMappings of ["80:80-80", "hello", " 80:", "0"]) {
      expect((await cluster.deploy("node-b", { job: SERVER, number: 3, portMappings })).status).toBe(500);
    }
    expect((await cluster.undeploy("node-b", SERVER, 1)).status).toBe(200);
    expect(await rulesOf("node-b")).not.toContain("elements");
    await cluster.order("removeInstance", { job: SERVER, number: 1 });
  });

  test("a container reaches the outside with the node's address", async () => {
    const argv = [process.execPath, builtFile("src/lab/workload-server.js"), "outside"];
    const server = cluster.lab.sandbox.start(argv, UNDERLAY_NAMESPACE);
    await server.until("a server outside", ({ stdout }) => stdout.includes("ready\n"));
    const answer = JSON.parse(await fetchFrom(containerName(CLIENT, 0), `http://${BROKER}`));
    expect(answer).toMatchObject({ instance: "outside", source: "192.0.2.11" });
    await server.stop();
  });

  test("names and processes that cannot be are refused, and unknown instances are undeployed already [behaviour 14, defect 21, measured 5]", async () => {
    const post = (fields: object) =>
      cluster.post("node-a", "/container/deploy", { pid: 1, serviceName: SERVER, ...fields });
    for (const serviceName of ["a.b.c", "a.b.c.d.e", "a.b.c.x-y", "", `${"x".repeat(31)}.d.s.d`]) {
      expect((await post({ serviceName })).status).toBe(500);
    }
    expect((await post({ pid: 2_000_000_000 })).status).toBe(500);
    expect((await post({ pid: "7" })).status).toBe(400);
    expect(await cluster.undeploy("node-a", "no.d.such.d", 5)).toEqual({ status: 200, body: "" });
  });

  test("an undeploy says nothing, and leaves neither interface nor interest, also when the cluster began anew [behaviour 8, defect 29, measured 1, remedy 15]", async () => {
    // An interest that it does not know would end it.
    await cluster.order("forget", { worker: WORKERS["node-c"], job: SERVER });
    const before = said(WORKERS["node-c"]).length;
    expect(await cluster.undeploy("node-c", SERVER, 0)).toEqual({ status: 200, body: "" });
    const links = await cluster.lab.sandbox.expect(["ip", "-br", "link"], "node-c");
    expect(links).not.toContain("veth00");
    const isGivenUp = async () =>
      said(WORKERS["node-c"])
        .slice(before)
        .some(([what]) => what === "interest/remove");
    await eventually("the interest to be given up", isGivenUp, 60_000);
    const topics = said(WORKERS["node-c"])
      .slice(before)
      .map(([what]) => what);
    expect(new Set(topics)).toEqual(new Set(["tablequery/request", "interest/remove"]));
    expect(topics.at(-1)).toBe("interest/remove");
  });

  test("a daemon that is started again while the broker is away still knows the services, until the cluster says otherwise [measured 3]", async () => {
    await deployServer("node-b", 0);
    expect((await call(ALL)).flatMap(({ failures }) => failures)).toEqual([]);
    const file = netmanagerFile("node-a", "state/jobs.json");
    await eventually("the job to be saved as it is now", async () => {
      await call(ALL); // a job that nobody uses is forgotten after ten seconds
      const text = (await cluster.lab.sandbox.run(["cat", file])).stdout;
      return /"instance_number":0,[^{}]*"host_ip":"192\.0\.2\.12"/.test(text); // on node-b
    });
    expect(await cluster.lab.sandbox.expect(["stat", "-c", "%a %F", file])).toBe("600 regular file\n");
    await cluster.killBroker();
    cluster.daemon("node-a").kill("SIGKILL");
    await cluster.daemon("node-a").ended;
    await cluster.startNode("node-a");
    for (const result of await call([...ALL, "10.30.0.20", "fdff::20"])) {
      expect(result).toMatchObject({ failures: [], instances: [`${SERVER} 0`] });
    }
    // What the cluster says when it is back is newer.
    await cluster.order("removeInstance", { job: SERVER, number: 0 });
    await deployServer("node-c", 1);
    await cluster.startBroker();
    const isReplaced = async () => {
      const results = await call(ALL);
      return results.every(({ failures, instances }) => failures.length === 0 && instances[0] === `${SERVER} 1`);
    };
    await eventually("the answers of the cluster to be in force", isReplaced, 120_000);
    await eventually("the interests to be taken up again", async () => {
      const held = await cluster.interests();
      return [CLIENT, SERVER].every((job) => held.includes(`${A} ${job}`));
    });
    const [gone] = await call(["10.30.0.20"]);
    expect(gone?.failures).toHaveLength(1);
    // What nobody uses any more is given up as ever, and forgotten.
    await eventually(
      "the job to be given up",
      async () => !(await cluster.lab.sandbox.expect(["cat", file])).includes(SERVER),
      120_000,
    );
    expect(await cluster.lab.sandbox.expect(["cat", file])).toContain(CLIENT);
  });

  test("nothing that any node said broke the rules", () => {
    expect(cluster.violations()).toEqual([]);
  });

  /** Nothing has failed but calls that were underway, and had arrived at one of the instances that were removed. */
  function expectOnlyTo({ freshFailures }: Load, most: number, removed: readonly string[]): void {
    expect(freshFailures.length).toBeLessThanOrEqual(most);
    for (const failure of freshFailures) expect(failure).toMatch(NOTICED);
    // One that ended before it was open has no port by which to find it. One that was not answered in time may have
    // been led to another instance as well.
    const found = arrivals.instancesOf(freshFailures.filter((failure) => !failure.includes("from port none")));
    const others = found.filter((instances) => !instances.split(",").some((one) => removed.includes(one)));
    expect(others, freshFailures.join("\n")).toEqual([]);
    process.stdout.write(`${freshFailures.length} calls failed, all to ${removed.join(" or ")}\n`);
  }

  function said(worker: string): [string | undefined, unknown][] {
    return cluster.messages(worker).map(({ what, message }) => [what, message]);
  }

  async function deployServer(node: string, number: number): Promise<void> {
    await cluster.order("instance", { job: SERVER, ...SERVERS[number] });
    const pid = await cluster.startContainer(containerName(SERVER, number), `${SERVER} ${number}`);
    await arrivals.watch(`${SERVER} ${number}`, containerName(SERVER, number));
    const order = { pid, serviceName: SERVER, instanceNumber: number, portMappings: "" };
    expect(await cluster.post(node, "/container/deploy", order)).toMatchObject({ status: 200 });
  }

  /** As an orchestrator does it: the cluster forgets it first, and its container is gone a moment later. */
  async function removeServer(node: string, number: number): Promise<void> {
    await cluster.order("removeInstance", { job: SERVER, number });
    if (node === "node-a") expect((await cluster.undeploy(node, SERVER, number)).status).toBe(200);
    await eventually("the client's node to have heard", async () => {
      const { stdout } = await cluster.lab.sandbox.run(
        [process.execPath, ...cluster.sapwoodArguments("node-a", "instances", "--json")],
        "node-a",
      );
      return !stdout.includes(`"10.30.0.2${number}"`);
    });
    expect((await cluster.undeploy(node, SERVER, number)).status).toBe(200);
  }

  async function call(addresses: readonly string[], from = containerName(CLIENT, 0)): Promise<CallResult[]> {
    const calls = addresses.map((address) => ({ protocol: "http", address }) as const);
    return cluster.lab.ask(from, { kind: "together", calls, rounds: 1 });
  }

  /** MTU of the bridge and of both ends of the only container's interface. */
  async function mtusOf(node: string, container: string): Promise<number[]> {
    const ends = [
      ["show", "goProxyBridge", node],
      ["show", "type", "veth", node],
      ["show", "type", "veth", container],
    ];
    const texts = await Promise.all(
      ends.map((words) => cluster.lab.sandbox.expect(["ip", "link", ...words.slice(0, -1)], words.at(-1))),
    );
    return texts.flatMap((text) =>
      [...text.matchAll(/: (?:goProxyBridge|veth0[01]\w*).* mtu (\d+)/g)].map(([, mtu]) => Number(mtu)),
    );
  }

  function fetchFrom(namespace: string, url: string): Promise<string> {
    return cluster.lab.sandbox.expect(["curl", "-sS", "-m", "10", url], namespace);
  }

  function rulesOf(node: string): Promise<string> {
    return cluster.lab.sandbox.expect(["nft", "list", "table", "inet", "sapwood_netmanager"], node);
  }
});
