// A worker node from its registration on: the recorded sequence of the interface's description, and registrations that fail
// at any step, in the ways that the caller chooses. One node; the sequence comes first, because it has the cluster's first
// subnet.
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { eventually } from "../../../src/lab/lab.ts";
import { configure } from "../../../src/lab/netns.ts";
import { UNDERLAY_NAMESPACE } from "../../../src/lab/topology.ts";
import { containerName, type HttpAnswer, netmanagerFile, OakestraCluster } from "./cluster.ts";
import { describeCluster } from "./describe-cluster.ts";
import { type Fault, FaultyTools } from "./faulty-tools.ts";

const NODE = "node-a";
/** As they were recorded. */
const [WORKER, CLUSTER, HOST, JOB] = ["65a0", "192.0.2.9", "10.100.0.1", "x.d.x1.d"];
const UPDATES = `jobs/${JOB}/updates_available`;

export function describeRegistration(faults: readonly Fault[]): void {
  describeCluster("a worker node from its registration on", () => story(faults));
}

function story(faults: readonly Fault[]): void {
  let cluster: OakestraCluster;
  let tools: FaultyTools;
  let blank: string;
  let workers = 0;

  beforeAll(async () => {
    cluster = await OakestraCluster.open(1);
    await configure(cluster.lab.sandbox, UNDERLAY_NAMESPACE, [`addr add ${CLUSTER}/24 dev br0`]);
    tools = await FaultyTools.make(cluster.lab.sandbox, NODE, "nftables", "made");
    await cluster.startNode(NODE, { NodePublicAddress: HOST }, [await tools.path()]);
    blank = await network();
  });
  afterEach(async () => {
    tools?.repair();
    await cluster?.order("behave", { answers: "now", delayMs: 0, gives: "subnet" });
  });
  afterAll(() => cluster?.close());

  test("the recorded sequence, byte for byte in topics and messages [behaviour 2, behaviour 3, behaviour 4, behaviour 5, behaviour 6, behaviour 8, behaviour 12, behaviour 14]", async () => {
    await cluster.order("service", { job: JOB, addresses: [] });
    await cluster.order("instance", { job: JOB, number: 0, ip: "10.30.0.2", ipv6: "fdff::2" });
    const prefix = `nodes/${WORKER}/net`;
    const registration = `{"client_id":"${WORKER}","cluster_address":"${CLUSTER}"}`;
    expect(await cluster.post(NODE, "/register", registration)).toEqual({ status: 200, body: "" });
    const atStart = [
      "CONNECT",
      ...["tablequery", "subnetwork"].map((what) => `SUBSCRIBE ${prefix}/${what}/result (QoS 1)`),
      `PUBLISH ${prefix}/subnet`,
    ];
    expect(cluster.brokerHeard(WORKER)).toEqual(atStart);
    expect(said()).toEqual(['subnet {"METHOD":"GET"}']);
    expect(await cluster.lab.sandbox.expect(["ip", "-br", "address", "show", "goProxyBridge"], NODE)).toMatch(
      / 10\.18\.0\.65\/26 .*fc00::101\/120/,
    );
    expect(await cluster.post(NODE, "/register", registration)).toEqual({ status: 200, body: "" });

    const pid = await cluster.startContainer(containerName(JOB, 0), "the first");
    const order = `{"pid":${pid},"serviceName":"${JOB}","instanceNumber":0,"portMappings":"8080:80;53:53/udp"}`;
    const deployed = await cluster.post(NODE, "/container/deploy", order);
    expect(deployed.status).toBe(200);
    expect(JSON.parse(deployed.body)).toEqual({
      ...{ serviceName: JOB, nsAddress: "10.18.0.66", nsAddressv6: "fc00::102" },
      nsAddressV6: "fc00::102", // the key of later releases
    });
    for (const address of ["10.18.0.66", "fc00::102"]) {
      expect(await rules()).toContain(`8080 : ${address} . 80`);
      expect(await rules()).toContain(`53 : ${address} . 53`);
    }
    const query = `tablequery/request {"sname":"${JOB}","sip":""}`;
    const told = [
      'subnet {"METHOD":"GET"}',
      `service/deployed {"appname":"${JOB}","status":"DEPLOYED","instance_number":0,"nsip":"10.18.0.66","nsipv6":"fc00::102","host_port":"50103","host_ip":"${HOST}"}`,
      query,
    ];
    expect(said().slice(0, 3)).toEqual(told);
    // The cluster tells of the deployment, and is asked once more.
    await eventually("the update to be asked for", async () => said().length === 4);
    expect(said()).toEqual([...told, query]);

    const undeploy = `{"pid":-1,"serviceName":"${JOB}","instanceNumber":0,"portMappings":""}`;
    expect(await cluster.post(NODE, "/container/undeploy", undeploy)).toEqual({ status: 200, body: "" });
    expect(said()).toHaveLength(4);
    expect(await rules()).not.toContain("elements");
    expect(await cluster.lab.sandbox.expect(["ip", "-br", "link"], NODE)).not.toContain("veth00");
    await eventually("the interest to end", async () => (await cluster.interests()).length === 0, 100_000);
    // A query proves the interest first.
    expect(said().slice(4)).toEqual([query, `interest/remove {"appname":"${JOB}"}`]);
    await eventually("the subscription to end", async () => heardLast() === `UNSUBSCRIBE ${UPDATES}`);
    const heard = cluster.brokerHeard(WORKER);
    expect(heard.slice(0, 4)).toEqual(atStart);
    expect(heard.filter((line) => line.includes(UPDATES))).toEqual([
      `SUBSCRIBE ${UPDATES} (QoS 1)`,
      `UNSUBSCRIBE ${UPDATES}`,
    ]);
    expect(heard.at(-2)).toBe(`PUBLISH ${prefix}/interest/remove`);
  });

  test.each(faults)(
    "a registration that fails at any step of the node's network (%s) is refused and leaves nothing, and the next one works [defect 19, defect 22, remedy 10]",
    async (fault) => {
      const steps = await stepsOfRegistration();
      expect(steps).toBeGreaterThanOrEqual(4);
      for (let step = 1; step <= steps; step++) {
        await failAt(step, fault);
        if (fault !== "lasting") expect(await network(), `step ${step}`).toBe(blank);
        else if (step === steps) await eventually("all to be removed by and by", isBlank, 100_000);
        expect(await register()).toEqual({ status: 200, body: "" });
      }
      await expectWorking();
    },
  );

  test("a registration that cannot be saved is refused and leaves nothing, and the next one works [defect 19, remedy 10]", async () => {
    const file = netmanagerFile(NODE, "state/netmanager.json");
    await cluster.lab.sandbox.expect(["sh", "-c", `rm -f ${file}; mkdir ${file}`]);
    const id = nextWorker();
    const refused = await cluster.register(NODE, id);
    expect(refused.status).toBe(500);
    expect(await network()).toBe(blank);
    expect((await cluster.deploy(NODE, { job: JOB, number: 0 })).status).toBe(400);
    await cluster.lab.sandbox.expect(["rmdir", file]);
    expect(await cluster.register(NODE, id)).toEqual({ status: 200, body: "" });
    await expectWorking();
  });

  test("a registration that a command holds up is answered in time all the same, and may be asked for again [behaviour 1, remedy 10]", async () => {
    const id = nextWorker();
    const release = tools.hang();
    const answer = await cluster.register(NODE, id);
    expect(answer).toEqual({ status: 500, body: expect.stringContaining("has not ended after 9500 ms") });
    release();
    expect(await cluster.register(NODE, id)).toEqual({ status: 200, body: "" });
    await expectWorking();
  });

  test("several deploys at once are answered in time while the cluster is silent, and none waits for another [measured 4]", async () => {
    await cluster.order("behave", { answers: "silent" });
    const numbers = [1, 2, 3, 4, 5, 6];
    for (const number of numbers) {
      await cluster.order("instance", { job: JOB, number, ip: `10.30.0.${10 + number}`, ipv6: `fdff::${10 + number}` });
    }
    const pids = await cluster.startNamespaces(numbers.length);
    const orders = numbers.map((instanceNumber, i) => ({ pid: pids[i], serviceName: JOB, instanceNumber }));
    // One after the other they would take 4 s each.
    const answers = await Promise.all(orders.map((order) => cluster.post(NODE, "/container/deploy", order)));
    expect(answers.map(({ status }) => status)).toEqual(numbers.map(() => 200));
    const undeployed = numbers.map((number) => cluster.undeploy(NODE, JOB, number));
    expect((await Promise.all(undeployed)).map(({ status }) => status)).toEqual(numbers.map(() => 200));
  });

  test("a deploy whose caller hangs up is undone at once, wherever it is [measured 4]", async () => {
    await cluster.order("behave", { answers: "silent" });
    const log = () => cluster.daemon(NODE).stderr;
    const [pid] = await cluster.startNamespaces(1);
    const order = { pid, serviceName: JOB, instanceNumber: 7 };
    for (const number of [7, 8]) {
      await cluster.order("instance", { job: JOB, number, ip: `10.30.0.1${number}`, ipv6: `fdff::1${number}` });
    }
    const before = await network();
    const warned = log().split("has not confirmed").length;
    const caller = new AbortController();
    const deployed = cluster.post(NODE, "/container/deploy", order, caller.signal);
    const told = () =>
      said(worker()).filter((line) => line.startsWith("service/deployed") && line.includes('r":7,')).length;
    await eventually("the deploy to be told", async () => told() === 1);
    caller.abort();
    expect((await deployed).status).toBe(0);
    await eventually("the deploy to be undone", async () => (await network()) === before);
    // It did not wait for the cluster, which takes longer than that.
    expect(log().split("has not confirmed").length).toBe(warned);
    const gone = new AbortController();
    const both = [order, { ...order, instanceNumber: 8 }].map((one) => {
      return cluster.post(NODE, "/container/deploy", one, gone.signal);
    });
    gone.abort();
    expect((await Promise.all(both)).map(({ status }) => status)).toEqual([0, 0]);
    await cluster.order("behave", { answers: "now" });
    expect((await cluster.post(NODE, "/container/deploy", order)).status).toBe(200);
    expect((await cluster.undeploy(NODE, JOB, 7)).status).toBe(200);
    await eventually("all to be undone", async () => (await network()) === before);
  });

  test("nothing that the node said broke the rules", () => {
    expect(cluster.violations()).toEqual([]);
  });

  function said(id = WORKER): string[] {
    return cluster.messages(id).map(({ what, payload }) => `${what} ${payload}`);
  }

  function heardLast(): string | undefined {
    return cluster.brokerHeard(WORKER).at(-1);
  }

  /** Of the registration that was tried last. */
  function worker(): string {
    return `65a0${workers}`;
  }

  function nextWorker(): string {
    workers += 1;
    return worker();
  }

  /** As another worker each time, so that the one before goes. */
  function register(): Promise<HttpAnswer> {
    return cluster.register(NODE, nextWorker());
  }

  async function stepsOfRegistration(): Promise<number> {
    tools.watch();
    expect(await register()).toEqual({ status: 200, body: "" });
    const count = tools.count();
    tools.repair();
    return count;
  }

  async function failAt(step: number, fault: Fault): Promise<void> {
    tools.failAt(step, fault);
    const refused = await register();
    tools.repair();
    expect(refused).toEqual({ status: 500, body: expect.stringContaining("a fault of the test") });
  }

  async function expectWorking(): Promise<void> {
    expect(await cluster.deploy(NODE, { job: JOB, number: 0 })).toMatchObject({ status: 200 });
    expect(await cluster.interests()).toContain(`${worker()} ${JOB}`);
    expect((await cluster.undeploy(NODE, JOB, 0)).status).toBe(200);
  }

  function rules(): Promise<string> {
    return cluster.lab.sandbox.expect(["nft", "list", "table", "inet", "sapwood_netmanager"], NODE);
  }

  async function isBlank(): Promise<boolean> {
    return (await network()) === blank;
  }

  /** Links, their addresses, and tables of rules. */
  async function network(): Promise<string> {
    const show = "ip -br link; ip -br address; nft --stateless list ruleset";
    const text = await cluster.lab.sandbox.expect(["sh", "-c", show], NODE);
    return text
      .replaceAll(/ fe80::\S+/g, "") // the kernel makes them, some time after an interface is up
      .replaceAll(/\b(?:UNKNOWN|DOWN|UP) +|NO-CARRIER,|,LOWER_UP/g, "")
      .replaceAll(/ +/g, " ")
      .replaceAll(/ $/gm, "");
  }
}
