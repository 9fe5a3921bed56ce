// What the live page is told of services, flows and traffic.

import { describe, expect, test } from "vitest";
import { FlowState } from "../../../../assembly/shared/layout/flow.ts";
import { type FlowList, type FlowSurvey, FlowSurveyor, keyOf } from "../../../../src/control/page/flow-survey.ts";
import { PageViews } from "../../../../src/control/page/page-views.ts";
import { TableIndex } from "../../../../src/control/page/table-index.ts";
import { Throughput } from "../../../../src/control/page/throughput.ts";
import type { PageQuery, PageView, PageViewReport } from "../../../../src/model/page-reports.ts";
import { PageWorld, pageService } from "../../../support/page-world.ts";

const ALL: PageQuery = { view: "services", filter: "", offset: 0, order: "name" };

async function surveyed(world: PageWorld, lists: readonly FlowList[] = []): Promise<FlowSurvey> {
  const index = new TableIndex(world.store.snapshot(), world.store);
  return await new Promise((resolve, reject) => new FlowSurveyor(world.source, resolve, reject).want(index, lists));
}

function fail(error: unknown): never {
  throw error;
}

async function viewsOf(world: PageWorld, lists: readonly FlowList[] = []): Promise<PageViews> {
  const { source } = world;
  return new PageViews({
    nodes: world.nodes,
    policies: source.policies(),
    drops: [],
    events: source.events(),
    index: new TableIndex(world.store.snapshot(), world.store),
    survey: await surveyed(world, lists),
    probeLoss: () => 0,
    healthOf: source.healthOf,
  });
}

function report<View extends PageView>(views: PageViews, query: PageQuery & { readonly view: View }) {
  return views.report(query) as Extract<PageViewReport, { view: View }>;
}

describe("services", () => {
  test("show the share of each instance, and flows that are over by themselves", async () => {
    const world = await PageWorld.open([pageService("b", 1)]);
    world.addFlow("b", 0, "10.30.0.1");
    world.addFlow("b", 0, "10.30.0.1");
    world.addFlow("b", 1, "10.30.0.1", 10, FlowState.tcpClosed);
    world.unhealthy = ["b 2"];
    const { rows } = report(await viewsOf(world), { ...ALL, view: "services" });
    expect(rows).toMatchObject([
      {
        name: "b",
        flows: 2,
        ended: 1,
        instances: [
          { number: 1, node: "node-b", flows: 2, ended: 0, state: "reachable" },
          { number: 2, node: "node-c", flows: 0, ended: 1, health: "unhealthy", healthReason: "nobody listens" },
        ],
      },
    ]);
  });

  test("ten thousand are told a page at a time, filtered, and the busiest first if so wanted", async () => {
    const names = Array.from({ length: 10_000 }, (_, i) => `service-${String(i).padStart(5, "0")}`);
    const world = await PageWorld.open(names.map((name, i) => pageService(name, i + 1, 1)));
    world.addFlow("service-07777", 0, "10.30.30.98");
    const views = await viewsOf(world);
    const first = report(views, { ...ALL, view: "services" });
    expect(first.matching).toBe(10_000);
    expect(first.rows).toHaveLength(50);
    const last = report(views, { ...ALL, view: "services", offset: 9990 });
    expect(last.rows.map(({ name }) => name)).toEqual(names.slice(9990));
    const found = report(views, { ...ALL, view: "services", filter: "E-0123" });
    expect(found.matching).toBe(10);
    const busiest = report(views, { ...ALL, view: "services", order: "flows" });
    expect(busiest.rows.slice(0, 2).map(({ name, flows }) => [name, flows])).toEqual([
      ["service-07777", 1],
      ["service-00000", 0],
    ]);
    expect(report(views, { ...ALL, view: "services", order: "flows", filter: "service-00" }).matching).toBe(1000);
  });

  test("a service with hundreds of instances names those with most flows and counts the others", async () => {
    const world = await PageWorld.open([pageService("b", 1, 100)]);
    world.addFlow("b", 99, "10.30.0.1");
    const [service] = report(await viewsOf(world), { ...ALL, view: "services" }).rows;
    expect(service?.instances).toHaveLength(32);
    expect(service?.others).toBe(68);
    expect(service?.instances.at(-1)).toMatchObject({ number: 100, flows: 1 });
  });
});

describe("flows", () => {
  const list = (filter: string, offset = 0): FlowList => ({ filter, offset, limit: 50 });

  test.each([
    ["", 3],
    ["tcp :80", 3],
    ["B#1", 2],
    ["b#1 node-b", 2],
    ["node-c", 1],
    ["tcpClosed", 1],
    ["10.30.0.1:80 40001", 1],
    ["udp", 0],
    ["b#1 node-c", 0],
  ])("%j selects %i", async (filter, matching) => {
    const world = await PageWorld.open([pageService("b", 1)]);
    world.addFlow("b", 0, "10.30.0.1");
    world.addFlow("b", 0, "10.30.0.1");
    world.addFlow("b", 1, "10.30.0.1", 1, FlowState.tcpClosed);
    const { lists } = await surveyed(world, [list(filter)]);
    expect(lists.get(keyOf(list(filter)))?.matching).toBe(matching);
  });

  test("the more clients look for others, the more often the event loop has its turn", async () => {
    const world = await PageWorld.open([pageService("b", 1)]);
    for (let i = 0; i < 1000; i++) world.addFlow("b", i % 2, "10.30.0.1");
    const lists = Array.from({ length: 48 }, (_, i) => list(`${i} ${"b ".repeat(90)}`));
    let turns = 0;
    const count = (): void => {
      turns += 1;
      timer = setImmediate(count);
    };
    let timer = setImmediate(count);
    const survey = await surveyed(world, lists);
    clearImmediate(timer);
    expect(survey.lists.size).toBe(48);
    expect(turns).toBeGreaterThan(1000 / 16);
  });

  test("an error in a walk is told, and the next one finds all", async () => {
    const world = await PageWorld.open([pageService("b", 1)]);
    world.addFlow("b", 0, "10.30.0.1");
    const index = new TableIndex(world.store.snapshot(), world.store);
    const failures: unknown[] = [];
    const surveys: FlowSurvey[] = [];
    let isBroken = true;
    const nowMs = (): number => {
      if (isBroken) throw new Error("broken");
      return 1;
    };
    const surveyor = new FlowSurveyor(
      { ...world.source, nowMs },
      (survey) => surveys.push(survey),
      (error) => failures.push(error),
    );
    surveyor.want(index, [list("")]);
    await expect.poll(() => failures).toHaveLength(1);
    isBroken = false;
    await expect
      .poll(() => {
        surveyor.want(index, [list("")]);
        return surveys.length;
      })
      .toBe(1);
    expect(surveys[0]?.lists.get(keyOf(list("")))?.matching).toBe(1);
  });

  test("of many, one page is told", async () => {
    const world = await PageWorld.open([pageService("b", 1)]);
    for (let i = 0; i < 10_000; i++) world.addFlow("b", i % 2, "10.30.0.1");
    const query = { ...ALL, view: "flows" as const, offset: 9980 };
    const { rows, matching } = report(await viewsOf(world, [list("", 9980)]), query);
    expect(matching).toBe(10_000);
    expect(rows.map(({ clientPort }) => clientPort)).toEqual(Array.from({ length: 20 }, (_, i) => 49_981 + i));
  });

  test("their packets since the walk before are the traffic of the nodes", async () => {
    const world = await PageWorld.open([pageService("b", 1)]);
    const flow = world.addFlow("b", 0, "10.30.0.1", 100);
    const index = new TableIndex(world.store.snapshot(), world.store);
    const surveys: FlowSurvey[] = [];
    const surveyor = new FlowSurveyor(world.source, (survey) => surveys.push(survey), fail);
    surveyor.want(index, []);
    await expect.poll(() => surveys.length).toBe(1);
    expect(surveys[0]?.nodes.get("node-b")).toEqual({ flows: 1, packets: null });
    world.setPackets(flow, 400);
    world.epochMs += 2000;
    await expect
      .poll(() => {
        surveyor.want(index, []);
        return surveys.length;
      })
      .toBe(2);
    expect(surveys[1]?.nodes.get("node-b")).toEqual({ flows: 1, packets: 150 });
  });

  test("a policy's spread is that of the address that was called", async () => {
    const world = await PageWorld.open([pageService("b", 1)]);
    world.addFlow("b", 1, "10.30.0.1");
    world.addFlow("b", 0, "10.100.0.1"); // an instance address: no policy chose
    expect([...(await surveyed(world)).addresses]).toEqual([["10.30.0.1", new Map([[2, 1]])]]);
  });
});

describe("throughput", () => {
  const counted = (packets: number, drops: number) => ({
    counters: { egressPackets: packets, egressBytes: 100 * packets },
    drops: { egress: { noInstance: drops, portZero: 0 }, ingress: {} },
    kernel: { tunDrops: 0 },
  });

  test("is what counters grew by in a second", () => {
    const throughput = new Throughput();
    expect(throughput.take(counted(10, 0), 1, 1000).rates).toBeNull();
    const { rates } = throughput.take(counted(30, 6), 1, 3000);
    expect(rates).toMatchObject({ egressPackets: 10, egressBytes: 1000, ingressBytes: 0, drops: 3 });
    expect(throughput.drops).toMatchObject([
      { reason: "noInstance", direction: "egress", packets: 6, perSecond: 3, advice: expect.stringMatching(/\w/) },
    ]);
    expect(throughput.recentDrops(10)).toEqual({ perSecond: 3, ratio: 3 / 13 });
  });

  test("is not known after a time in which nobody looked, nor after a clock that was set back", () => {
    const throughput = new Throughput();
    throughput.take(counted(10, 0), 1, 1000);
    expect(throughput.take(counted(1000, 0), 1, 60_000).rates).toBeNull();
    expect(throughput.take(counted(1001, 0), 1, 50_000).rates).toBeNull();
  });

  test("is kept for ten minutes", () => {
    const throughput = new Throughput();
    for (let second = 1; second <= 700; second++) throughput.take(counted(second, 0), 1, 1000 * second);
    expect(throughput.since(0)).toHaveLength(600);
    expect(throughput.since(699_000)).toHaveLength(1);
  });
});
