// When a proxy is alive and when it is ready.

import { expect, test } from "vitest";
import { type HealthSource, livenessOf, readinessOf } from "../../../../src/control/observe/health.ts";
import type { NodeReport, NodeStateName, ReadyPeers, StatusReport } from "../../../../src/model/reports.ts";
import { FakeSource } from "../../../support/control-source.ts";
import { STATUS } from "../../../support/sample-reports.ts";

const UP = { ...STATUS, network: { ...STATUS.network, problems: [] } };

function proxy(
  states: readonly NodeStateName[],
  status: StatusReport = UP,
  workers: readonly (number | undefined)[] = [1],
) {
  const [example] = new FakeSource().nodes();
  if (example === undefined) throw new Error("no node");
  const own: NodeReport = { ...example, id: "node-a", isLocal: true, state: "reachable" };
  const others = states.map((state, i): NodeReport => ({ ...example, id: `node-${i}`, isLocal: false, state }));
  return { status: () => status, nodes: () => [own, ...others], workerCpuMs: () => workers } satisfies HealthSource;
}

function failing(source: HealthSource, peers: ReadyPeers = "any"): string[] {
  return readinessOf(source, peers).checks.flatMap(({ name, ok }) => (ok ? [] : [name]));
}

test("it is alive while all workers run", () => {
  expect(livenessOf(proxy(["lost"])).ok).toBe(true);
  expect(livenessOf(proxy([], UP, [1, undefined])).ok).toBe(false);
});

test.each<[readonly NodeStateName[], ReadyPeers, readonly string[]]>([
  [[], "any", []],
  [[], "all", []],
  [["unknown"], "all", []],
  [["reachable", "lost"], "any", []],
  [["reachable", "lost"], "all", ["peers"]],
  [["lost", "lost"], "any", ["peers"]],
  [["lost", "unknown"], "any", ["peers"]],
  [["lost"], "none", []],
])("with nodes %j and readyPeers %s these fail: %j", (states, peers, expected) => {
  expect(failing(proxy(states), peers)).toEqual(expected);
});

test("it is not ready without its TUN, its workers or its tables", () => {
  expect(failing(proxy([], { ...UP, network: { ...UP.network, isUp: false } }))).toEqual(["tun"]);
  expect(failing(proxy([], STATUS))).toEqual(["tun"]);
  expect(failing(proxy([], { ...UP, generation: 0 }))).toEqual(["tables"]);
  expect(failing(proxy([], UP, [undefined]))).toEqual(["workers"]);
});

test("a failing check says why", () => {
  const message = readinessOf(proxy(["lost"]), "any").checks.find(({ name }) => name === "peers")?.message;
  expect(message).toBe("1 of 1 are lost: node-0");
});
