// What the headline of the live page says of a node.

import { expect, test } from "vitest";
import { type Condition, headlineOf } from "../../../../src/control/page/headline.ts";
import { TableIndex } from "../../../../src/control/page/table-index.ts";
import type { ErrorBody, NodeReport, StatusReport } from "../../../../src/model/reports.ts";
import { PageWorld, pageService } from "../../../support/page-world.ts";

const world = await PageWorld.open([pageService("b", 1)]);
const { source } = world;

function condition(changes: Partial<Condition> = {}): Condition {
  return {
    status: world.status,
    nodes: world.nodes,
    policies: source.policies(),
    engine: source.engine(),
    workerCpuMs: [1, 1],
    services: new TableIndex(world.store.snapshot(), world.store).services,
    unhealthy: [],
    drops: { perSecond: 0, ratio: 0, reason: undefined },
    ...changes,
  };
}

function withStates(...states: NodeReport["state"][]): readonly NodeReport[] {
  return world.nodes.map((node, i) => (i === 0 ? node : { ...node, state: states[i - 1] ?? "reachable" }));
}

function draining(): Condition["services"] {
  return condition().services.map((one) => ({
    ...one,
    service: { ...one.service, instances: one.service.instances.map((each) => ({ ...each, draining: true })) },
  }));
}

const status = (changes: Partial<StatusReport>): StatusReport => ({ ...world.status, ...changes });
const network = world.status.network;
const error: ErrorBody = {
  code: "tables-invalid",
  message: "services: expected a list, found 5\nand more",
  details: [],
};
const faulty = source.policies().map((policy) => ({
  ...policy,
  state: "faulty" as const,
  lastError: { at: "2026-01-02T03:04:05.000Z", message: "unreachable" },
}));

test("all is well when nothing is wrong, also when a node of another make answers no probes", () => {
  expect(headlineOf(condition())).toEqual({ mood: "well", reasons: [] });
  expect(headlineOf(condition({ nodes: withStates("unknown", "reachable") })).mood).toBe("well");
});

test.each<[string, Partial<Condition>, string, RegExp]>([
  ["a worker is missing", { workerCpuMs: [1, undefined] }, "bad", /^Only 1 of 2 workers run/],
  ["the TUN is down", { status: status({ network: { ...network, isUp: false } }) }, "bad", /sapwood0 is down/],
  ["a route is gone", { status: status({ network: { ...network, problems: ["a route"] } }) }, "bad", /^a route\.$/],
  ["one node is lost", { nodes: withStates("lost", "reachable") }, "warning", /^Node node-b does not answer\.$/],
  ["no node is left", { nodes: withStates("lost", "lost") }, "bad", /^Service b has no instance that can be reached/],
  ["all instances drain", { services: draining() }, "bad", /^Service b has no instance/],
  [
    "an instance fails its checks",
    { unhealthy: [{ service: "b", number: 1, reason: "nobody listens" }] },
    "warning",
    /^Instance b 1 is unhealthy: nobody listens\.$/,
  ],
  ["a policy failed", { policies: faulty.slice(0, 1) }, "warning", /failed: unreachable\.$/],
  [
    "a change was refused",
    { status: status({ config: { file: "/n.yaml", isFollowed: true, refused: error } }) },
    "warning",
    /stay: services: expected a list, found 5\.$/,
  ],
  [
    "flows fill their table",
    { status: status({ flows: { used: 95, limit: 100 } }) },
    "warning",
    /flows is nearly full: 95/,
  ],
  ["no flow finds room", { status: status({ flows: { used: 100, limit: 100 } }) }, "bad", /100 of 100/],
  [
    "many packets are dropped",
    { drops: { perSecond: 120, ratio: 0.25, reason: "noInstance" } },
    "warning",
    /^120 packets a second are dropped \(25\.0 %\), mostly as noInstance\.$/,
  ],
])("when %s", (_what, changes, mood, text) => {
  const headline = headlineOf(condition(changes));
  expect(headline.mood).toBe(mood);
  expect(headline.reasons.map((reason) => reason.text)).toEqual(expect.arrayContaining([expect.stringMatching(text)]));
});

test("a few drops, as of scans, are no reason", () => {
  expect(headlineOf(condition({ drops: { perSecond: 4, ratio: 0.5, reason: "portZero" } })).mood).toBe("well");
  expect(headlineOf(condition({ drops: { perSecond: 500, ratio: 0.001, reason: "portZero" } })).mood).toBe("well");
});

test("the worst reason is the first", () => {
  const { reasons } = headlineOf(condition({ nodes: withStates("lost"), workerCpuMs: [undefined] }));
  expect(reasons.map(({ mood }) => mood)).toEqual(["bad", "warning"]);
});
