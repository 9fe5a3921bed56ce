// Instances come, drain and go while clients keep calling: no request to an instance that stays fails, and connections
// to a draining one go on. One lab, one load; the tests are the steps of one story and run in this order.
import { afterAll, beforeAll, expect, test } from "vitest";
import { configFile, eventually, type Lab } from "../../src/lab/lab.ts";
import { nodeConfig, tablesOf, tablesText } from "../../src/lab/node-config.ts";
import type { SandboxProgram } from "../../src/lab/sandbox.ts";
import type { CallResult, ConnectionsResult, LoadReport } from "../../src/lab/workload-protocol.ts";
import type { InstanceReport, StatusReport } from "../../src/model/reports.ts";
import type { Instance, Tables } from "../../src/model/tables.ts";
import { given } from "../support/given.ts";
import { describeLab, openLab } from "../support/lab.ts";
import { ONE_SERVER } from "../support/topologies.ts";

/** What a client sees of an instance that goes while it calls. */
const NOTICED = /ECONNRESET|socket hang up/;
const NODE = "node-a";
const V4 = "10.30.0.2";
const V6 = "fdff:2000::1";
const HELD = [V4, V6, V4, V6, V4, V6, V4, V6]; // four per family: the rotation gives each instance one or more
const REQUESTS_PER_STEP = 200;
const SERVICE_B = given(ONE_SERVER.services.find(({ name }) => name === "B"));

/** The lab's tables with some of B's instances. */
function tablesWith(...instances: readonly Instance[]): Tables {
  const tables = tablesOf(ONE_SERVER);
  return { ...tables, services: [...tables.services.filter(({ name }) => name !== "B"), { ...SERVICE_B, instances }] };
}

const [B1, B2, B3] = SERVICE_B.instances as [Instance, Instance, Instance];
const DRAINING_B2: Instance = { ...B2, draining: true };

describeLab("a live update under load", () => {
  let lab: Lab;
  let load: SandboxProgram;
  let holders: string[]; // instance of each held connection, as it was after the start

  beforeAll(async () => {
    lab = await openLab(ONE_SERVER);
    await change(() => lab.writeConfig(NODE, tablesWith(B1, B2)));
    load = lab.startClient("a1", { kind: "load", addresses: [V4, V6], held: HELD });
    const { held } = await loadReport();
    holders = held.map(({ instances }) => instances[0] ?? "");
    expect(new Set(holders)).toEqual(new Set(["B 1", "B 2"]));
  });

  afterAll(async () => {
    await lab?.close();
  });

  test("an added instance gets new flows at once, and nobody notices", async () => {
    await change(() => lab.writeConfig(NODE, tablesWith(B1, B2, B3)));
    expect(await answering()).toEqual(["B 1", "B 2", "B 3"]);
    expectUndisturbed(await loadReport(), holders);
  });

  test("a draining instance gets no new flows and keeps its connections", async () => {
    await change(() => lab.writeConfig(NODE, tablesWith(B1, DRAINING_B2, B3)));
    expect(await answering()).toEqual(["B 1", "B 3"]);
    expectUndisturbed(await loadReport(), holders);
    expect(holders).toContain("B 2");
  });

  test("a bad file is refused with file, line and field, and the running tables stay", async () => {
    const before = await status();
    const good = nodeConfig(ONE_SERVER, NODE, tablesWith(B1));
    const bad = good.replace("policy: round-robin", "policy: 17");
    const line = bad.split("\n").findIndex((text) => text.includes("policy: 17")) + 1;
    lab.sandbox.writeFile(configFile(NODE), bad);
    await eventually("the file to be refused", async () => (await status()).lastReload?.ok === false);

    const { lastReload, generation } = await status();
    const message = lastReload?.error?.message ?? "";
    expect(message).toContain(`${configFile(NODE)}:${line}`);
    expect(message).toContain("policy");
    expect(message).toContain("17");
    expect(generation).toBe(before.generation);
    expect(await instancesOfB()).toEqual(["B 1", "B 2 draining", "B 3"]);
    expect(await answering()).toEqual(["B 1", "B 3"]);
    expectUndisturbed(await loadReport(), holders);
  });

  test("`sapwood apply` removes the drained instance without a failure on those that stay", async () => {
    await change(() => apply(tablesWith(B1, B3)));
    expect(await instancesOfB()).toEqual(["B 1", "B 3"]);
    const report = await loadReport();
    expect(report.failures).toEqual([]);
    for (const [index, holder] of holders.entries()) if (holder !== "B 2") expectHolder(report.held[index], holder);
    expect((await status()).config.refused?.message).toContain("17"); // the file is as it was
    await restHeld();
  });

  test("`sapwood apply` adds it again, `sapwood drain` drains it, and a file that says the same as before takes it away", async () => {
    await change(() => apply(tablesWith(B1, B2, B3)));
    expect(await answering()).toEqual(["B 1", "B 2", "B 3"]);
    await change(() => order("drain", "B", "2"));
    expect(await instancesOfB()).toEqual(["B 1", "B 2 draining", "B 3"]);
    await eventually("the load to leave B 2", async () => (await loadReport()).byInstance["B 2"] === undefined);
    await change(() => order("undrain", "B", "2"));
    expect(await answering()).toEqual(["B 1", "B 2", "B 3"]);
    await change(() => lab.writeConfig(NODE, tablesWith(B1, B3)));
    expect((await status()).config.refused).toBeUndefined();
    expect(await answering()).toEqual(["B 1", "B 3"]);
    for (const failure of (await loadReport()).failures) expect(failure).toMatch(NOTICED); // to B 2, underway then
  });

  test("`sapwood apply --merge` changes the one service that it names", async () => {
    const onlyB = (...instances: readonly Instance[]): Tables => ({
      nodes: [],
      services: [{ ...SERVICE_B, instances }],
    });
    await change(() => apply(onlyB(B1, B2, B3), "--merge"));
    expect(await answering()).toEqual(["B 1", "B 2", "B 3"]); // the client is a workload of another service
    await change(() => apply(onlyB(B1, DRAINING_B2, B3), "--merge"));
    await eventually("the load to leave B 2", async () => (await loadReport()).byInstance["B 2"] === undefined);
    await change(() => lab.writeConfig(NODE, tablesWith(B1, B3)));
    expect((await loadReport()).failures).toEqual([]);
  });

  test("`sapwood apply --merge` of a record with the namespace address of an older one takes its place, and connections to that notice", async () => {
    load.endInput();
    await load.ended;
    await change(() => apply(tablesWith(B1, B2, B3)));
    load = lab.startClient("a1", { kind: "load", addresses: [V4, V6], held: HELD });
    const { held } = await loadReport();
    holders = held.map(({ instances }) => instances[0] ?? "");
    expect(holders).toContain("B 2");
    const newer = { ...B2, number: 7, instanceAddresses: ["10.30.7.7", "fdff::7:7"] };
    await change(() => apply({ nodes: [], services: [{ name: "C", addresses: [], instances: [newer] }] }, "--merge"));
    expect(await instancesOfB()).toEqual(["B 1", "B 3"]);
    expect(await answering()).toEqual(["B 1", "B 3"]);
    const report = await loadReport();
    for (const failure of report.failures) expect(failure).toMatch(NOTICED); // to B 2, underway then
    for (const [index, holder] of holders.entries()) if (holder !== "B 2") expectHolder(report.held[index], holder);
    // A connection that is reset between two requests is opened anew without a failure.
    const toB2 = holders.flatMap((holder, index) => (holder === "B 2" ? [index] : []));
    await eventually("connections to B 2 to notice", async () => {
      const { held } = await loadReport();
      return toB2.every((index) => ["B 1", "B 3"].includes(held[index]?.instances.at(-1) ?? ""));
    });
    const told = lab
      .proxy(NODE)
      .stderr.split("\n")
      .filter((line) => line.includes("is withdrawn"));
    expect(told).toEqual([expect.stringContaining("instance 2 of B is withdrawn: C has its namespace address")]);
    await change(() => lab.writeConfig(NODE, tablesWith(B1, B3)));
    await loadReport();
  });

  test("`sapwood apply` of a bad file says what is wrong, and changes nothing", async () => {
    const before = await status();
    const bad = tablesText(NODE, tablesWith({ ...B1, namespaceAddresses: ["10.18.3.999"] }));
    const { code, stderr } = await applyText(bad);
    expect(code).not.toBe(0);
    expect(stderr).toContain("10.18.3.999");
    expect((await status()).generation).toBe(before.generation);
    expect((await loadReport()).failures).toEqual([]);
  });

  async function status(): Promise<StatusReport> {
    return await lab.report<StatusReport>(NODE, "status");
  }

  /** Makes a change and waits until its generation is in force. */
  async function change(make: () => void | Promise<void>): Promise<void> {
    const { generation } = await status();
    await make();
    await eventually("the change to be in force", async () => (await status()).generation > generation);
  }

  async function apply(tables: Tables, ...options: readonly string[]): Promise<void> {
    const { code, stderr } = await applyText(tablesText(NODE, tables), ...options);
    expect(code, stderr).toBe(0);
  }

  async function order(...line: readonly string[]): Promise<void> {
    const { code, stderr } = await lab.sapwood(NODE, line);
    expect(code, stderr).toBe(0);
  }

  async function applyText(text: string, ...options: readonly string[]) {
    lab.sandbox.writeFile("/run/sapwood/apply.yaml", text);
    return await lab.sapwood(NODE, ["apply", ...options, "/run/sapwood/apply.yaml"]);
  }

  async function instancesOfB(): Promise<string[]> {
    const instances = await lab.report<readonly InstanceReport[]>(NODE, "instances");
    return instances
      .filter(({ service }) => service === "B")
      .map(({ number, draining }) => `B ${number}${draining ? " draining" : ""}`)
      .sort();
  }

  /** Who answers new connections now, in both families. */
  async function answering(): Promise<string[]> {
    const results = await Promise.all(
      [V4, V6].map((address) =>
        lab.ask<ConnectionsResult>("a1", { kind: "connections", address, count: 30, concurrency: 4 }),
      ),
    );
    expect(results.flatMap(({ failures }) => failures)).toEqual([]);
    return [...new Set(results.flatMap(({ byInstance }) => Object.keys(byInstance)))].sort();
  }

  /** What the load did since the last report, and until it has made enough requests to tell. */
  async function loadReport(): Promise<LoadReport> {
    let total: LoadReport | undefined;
    await eventually("the load to make requests", async () => {
      const lineCount = load.stdout.split("\n").length;
      load.write("\n");
      await load.until("a report of the load", ({ stdout }) => stdout.split("\n").length > lineCount);
      const next: LoadReport = JSON.parse(load.stdout.split("\n").at(-2) ?? "");
      total = total === undefined ? next : joined(total, next);
      const requestCount = Object.values(total.byInstance).reduce((sum, count) => sum + count, 0);
      return (
        requestCount >= REQUESTS_PER_STEP &&
        total.held.every(({ instances, failures }) => instances.length + failures.length > 2)
      );
    });
    if (total === undefined) throw new Error("The load gave no report.");
    return total;
  }

  /** Waits until connections whose instance was removed have found another one. */
  async function restHeld(): Promise<void> {
    await eventually("all held connections to be served again", async () => {
      return (await loadReport()).held.every(({ failures }) => failures.length === 0);
    });
  }
});

/** No failure at all, and each held connection still at its instance. */
function expectUndisturbed(report: LoadReport, holders: readonly string[]): void {
  expect(report.failures).toEqual([]);
  for (const [index, holder] of holders.entries()) expectHolder(report.held[index], holder);
}

function expectHolder(held: CallResult | undefined, holder: string): void {
  expect(held?.failures).toEqual([]);
  expect([...new Set(held?.instances)]).toEqual([holder]);
}

function joined(one: LoadReport, other: LoadReport): LoadReport {
  const byInstance: Record<string, number> = { ...one.byInstance };
  for (const [name, count] of Object.entries(other.byInstance)) byInstance[name] = (byInstance[name] ?? 0) + count;
  const held = one.held.map((call, index) => {
    const next = other.held[index];
    if (next === undefined) return call;
    return {
      ...next,
      instances: [...call.instances, ...next.instances],
      failures: [...call.failures, ...next.failures],
    };
  });
  return { byInstance, failures: [...one.failures, ...other.failures], held };
}
