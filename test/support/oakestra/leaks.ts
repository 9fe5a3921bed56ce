// Deploys that are refused, given up or done many at once leave nothing behind on a worker node. One node; each test
// leaves it as it was. Whether its subnet is filled as well, the caller chooses.
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { eventually } from "../../../src/lab/lab.ts";
import { type HttpAnswer, OakestraCluster } from "./cluster.ts";
import { describeCluster } from "./describe-cluster.ts";
import { FaultyTools } from "./faulty-tools.ts";
import { nodeState } from "./node-state.ts";

const NODE = "node-a";
const WORKER = "65a000000000000000000001";
const JOB = "x.d.server.d";
/** Addresses of a /26 without those of network, bridge and broadcast. */
const CAPACITY = 61;
const FEW = 4;
const NOBODY = 2_000_000_000; // larger than any process id

export function describeLeaks(subnet: "few" | "full"): void {
  describeCluster("deploys on a worker node", () => story(subnet === "full"));
}

function story(isFilled: boolean): void {
  const containers = isFilled ? CAPACITY + 1 : FEW;
  let cluster: OakestraCluster;
  let tools: FaultyTools;
  let pids: readonly number[];
  let before: string;

  beforeAll(async () => {
    cluster = await OakestraCluster.open(1);
    tools = await FaultyTools.make(cluster.lab.sandbox, NODE, "nftables");
    await cluster.startNode(NODE, {}, [await tools.path()]);
    expect((await cluster.register(NODE, WORKER)).status).toBe(200);
    await cluster.order("service", { job: JOB, addresses: [] });
    for (let number = 0; number < containers; number++) {
      await cluster.order("instance", { job: JOB, number, ip: `10.30.0.${number}`, ipv6: `fdff::${number}` });
    }
    pids = await cluster.startNamespaces(containers);
    // A bridge that had a port once has a link-local address, and no carrier without one.
    expect((await deploy(0)).status).toBe(200);
    expect((await undeploy(0)).status).toBe(200);
    before = await everything();
  });
  afterEach(async () => {
    tools.repair();
    await eventually("all to be as before", async () => (await everything()) === before, 20_000).catch(() => undefined);
    expect(await everything()).toBe(before);
  });
  afterAll(() => cluster?.close());

  test("what could not be removed is removed later by itself", async () => {
    expect((await deploy(0)).status).toBe(200);
    tools.failAt(1, "lasting");
    expect((await undeploy(0)).status).toBe(500);
    expect(await everything()).not.toBe(before);
  });

  if (isFilled)
    test("each address of the subnet can be had, and one container more is refused", async () => {
      const numbers = Array.from({ length: CAPACITY }, (_, number) => number);
      await inTurns(numbers, async (number) => expect((await deploy(number)).status).toBe(200));
      const full = lasting(await everything());
      const refused = await deploy(CAPACITY);
      expect(refused).toEqual({ status: 500, body: expect.stringContaining("All 61 addresses") });
      expect(lasting(await everything())).toBe(full);
      await inTurns(numbers, async (number) => expect((await undeploy(number)).status).toBe(200));
    });

  test("the same instance twice, and a port twice, are refused while the first one runs", async () => {
    expect((await deploy(0)).status).toBe(200);
    const one = lasting(await everything());
    for (const pid of [pids[0], pids[1]]) {
      expect(await deploy(0, { pid })).toEqual({ status: 500, body: expect.stringContaining("is deployed already") });
    }
    const refused = await deploy(1, { portMappings: "81;8000" });
    expect(refused).toEqual({ status: 500, body: expect.stringContaining(`8000/tcp leads to ${JOB}, instance 0`) });
    // The namespace has a default route already.
    expect(await deploy(1, { pid: pids[0] })).toEqual({ status: 500, body: expect.stringContaining("File exists") });
    expect(lasting(await everything())).toBe(one);
    expect((await undeploy(0)).status).toBe(200);
    expect((await undeploy(0)).status).toBe(200);
  });

  test("a container that ended by itself is replaced, and may be undeployed", async () => {
    for (let round = 0; round < 2; round++) {
      const [pid = 0] = await cluster.startNamespaces(1);
      expect((await deploy(0, { pid })).status).toBe(200);
      process.kill(pid);
      await eventually("its interface to go", async () => !/^veth00/m.test(await everything()));
    }
    expect((await undeploy(0)).status).toBe(200);
  });

  test("deploys and undeploys of one name at once are done one after the other", async () => {
    tools.watch();
    expect((await deploy(0)).status).toBe(200);
    expect((await undeploy(0)).status).toBe(200);
    const round = stepsTaken();
    expect(round).not.toBe("");
    tools.watch();
    const calls = Array.from({ length: 12 }, (_, i) => (i % 3 === 2 ? undeploy(0) : deploy(0)));
    for (const { status } of await Promise.all(calls)) expect([200, 500]).toContain(status);
    expect((await undeploy(0)).status).toBe(200);
    // What is refused takes no step. All others took theirs in turn, whichever came first.
    const steps = stepsTaken();
    expect(steps).toBe(round.repeat(Math.max(1, Math.round(steps.length / round.length))));
  });

  test("a deploy whose caller hangs up is undone", async () => {
    await cluster.order("behave", { answers: "silent" });
    const caller = new AbortController();
    const deployed = deploy(0, {}, caller.signal);
    await eventually("the deploy to be underway", async () => (await everything()) !== before);
    caller.abort();
    expect((await deployed).status).toBe(0);
    await eventually("the deploy to be undone", async () => (await everything()) === before);
    await cluster.order("behave", { answers: "now" });
  });

  test("many deploys and undeploys at once leave nothing", async () => {
    const loop = async (number: number): Promise<void> => {
      for (let round = 0; round < (isFilled ? 5 : 2); round++) {
        expect((await deploy(number)).status).toBe(200);
        expect((await undeploy(number)).status).toBe(200);
      }
    };
    await Promise.all([0, 1, 2, 3].map(loop));
  });

  // These need no interest, so that it ends meanwhile.
  test.each([
    ["names that are none", { serviceName: "x.d.$(reboot).d" }, "serviceName must have four parts"],
    ["names with a line break", { serviceName: "x.d.s\nlink del eth0.d" }, "serviceName must have four parts"],
    ["names of three parts", { serviceName: "x.d.s" }, "serviceName must have four parts"],
    ["a process that does not exist", { pid: NOBODY }, "There is no process 2000000000"],
    ["no process", { pid: 0 }, "There is no process 0"],
    ["a negative process id", { pid: -1 }, "There is no process -1"],
    ["the machine's namespace", { pid: 1 }, "etwork namespace"],
    ["mappings that are none", { portMappings: "80:80;81-82" }, "portMappings"],
    ["a port twice", { portMappings: "80:80;80:81" }, "found 80/tcp twice"],
    ["the tunnel's port", { portMappings: "50103:80/udp" }, "50103/udp is the tunnel's"],
  ])("%s are refused", async (_what, fields, reason) => {
    expect(await deploy(0, fields)).toEqual({ status: 500, body: expect.stringContaining(reason) });
    expect(await everything()).toBe(before);
  });

  test("a process in the node's own namespace is refused", async () => {
    const pid = await cluster.pidIn(NODE);
    expect(await deploy(0, { pid })).toEqual({
      status: 500,
      body: expect.stringContaining("of its own; found the node's"),
    });
  });

  test("no interest is left", async () => {
    await eventually("the interest to end", async () => (await cluster.interests()).length === 0, 120_000);
    expect(cluster.violations()).toEqual([]);
  });

  /** Without addresses and numbers of descriptors, which are others each time. */
  function stepsTaken(): string {
    return tools.steps().replace(/\S*\d\S*/g, "N");
  }

  /** Four at a time. */
  async function inTurns(numbers: readonly number[], work: (number: number) => Promise<void>): Promise<void> {
    const left = [...numbers];
    const workOff = async (): Promise<void> => {
      for (let next = left.shift(); next !== undefined; next = left.shift()) await work(next);
    };
    await Promise.all([workOff(), workOff(), workOff(), workOff()]);
  }

  function deploy(number: number, fields: object = {}, signal?: AbortSignal): Promise<HttpAnswer> {
    const portMappings = `${8000 + number}:80;${8000 + number}:80/udp`;
    const order = { pid: pids[number], serviceName: JOB, instanceNumber: number, portMappings, ...fields };
    return cluster.post(NODE, "/container/deploy", order, signal);
  }

  function undeploy(number: number): Promise<HttpAnswer> {
    return cluster.undeploy(NODE, JOB, number);
  }

  /** Without whom the node has asked for while containers are there, and without addresses that no container was given. */
  function lasting(text: string): string {
    return text
      .replaceAll(/^.* lladdr .*\n|^.* (?:FAILED|INCOMPLETE)\n/gm, "")
      .replaceAll(/^local fe80::.*\n|^ inet6 fe80::.*\n.*\n/gm, ""); // the kernel makes them, some time after an interface is up
  }

  function everything(): Promise<string> {
    return nodeState(cluster, NODE, JOB, pids[0]);
  }
}
