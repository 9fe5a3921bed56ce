// Another process takes over from a worker node's daemon: its registration, containers and tables go on.
import { afterAll, beforeAll, expect, test } from "vitest";
import type { StatusReport } from "../../src/model/reports.ts";
import { OakestraCluster } from "../support/oakestra/cluster.ts";
import { describeCluster } from "../support/oakestra/describe-cluster.ts";

const NODE = "node-a";
const WORKER = "65a000000000000000000001";
const JOB = "x.d.server.d";

describeCluster("a worker node's daemon that another process takes over from", () => {
  let cluster: OakestraCluster;

  beforeAll(async () => {
    cluster = await OakestraCluster.open(1);
    await cluster.startNode(NODE);
    expect((await cluster.register(NODE, WORKER)).status).toBe(200);
    await cluster.order("service", { job: JOB, addresses: [] });
    await cluster.order("instance", { job: JOB, number: 0, ip: "10.30.0.7", ipv6: "fdff::7" });
    expect((await cluster.deploy(NODE, { job: JOB, number: 0 })).status).toBe(200);
  });
  afterAll(() => cluster?.close());

  test("knows its containers afterwards, and answers the NodeEngine", async () => {
    const before = await pid();
    expect(await sapwood("tables")).toContain(JOB);
    expect(await sapwood("upgrade")).toContain("has taken over");
    const isReady = (stdout: string) => stdout.split("sapwood netmanager ready").length > 2;
    await cluster.daemon(NODE).until("the next daemon", ({ stdout }) => isReady(stdout));
    expect(await pid()).not.toBe(before);
    expect(await sapwood("tables")).toContain(JOB);
    expect((await cluster.undeploy(NODE, JOB, 0)).status).toBe(200);
  });

  async function pid(): Promise<number> {
    return (JSON.parse(await sapwood("status", "--json")) as StatusReport).pid;
  }

  async function sapwood(...args: string[]): Promise<string> {
    const argv = [process.execPath, ...cluster.sapwoodArguments(NODE, ...args)];
    return await cluster.lab.sandbox.expect(argv, NODE);
  }
});
