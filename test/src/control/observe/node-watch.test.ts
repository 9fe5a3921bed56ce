import { expect, test } from "vitest";
import * as HeaderLayout from "../../../../assembly/shared/layout/header.ts";
import { Region } from "../../../../assembly/shared/layout/header.ts";
import * as NodeMetricsLayout from "../../../../assembly/shared/layout/node-metrics.ts";
import { NodeHealth } from "../../../../assembly/shared/layout/node-metrics.ts";
import type { Logger } from "../../../../src/base/log.ts";
import { NodeWatch } from "../../../../src/control/observe/node-watch.ts";
import { createSharedMemory } from "../../../../src/memory/shared-memory.ts";
import type { Node } from "../../../../src/model/tables.ts";

const NODES: readonly Node[] = ["b", "c"].map((name, i) => ({
  id: `node-${name}`,
  underlay: { address: `192.0.2.${i + 2}`, port: 50103 },
}));

function watched() {
  const capacities = { flows: 10, addresses: 8, instances: 8, workloads: 8, nodes: 4, workers: 1 };
  const shared = createSharedMemory({ capacities });
  const told: string[] = [];
  const tell = (level: string) => (_fields: object, sentence: string) => void told.push(`${level}: ${sentence}`);
  const store = { nodes: NODES, nodeIndex: (id: string) => NODES.findIndex((node) => node.id === id) + 1 };
  let nowMs = 10_000;
  const watch = new NodeWatch({
    shared,
    store,
    nowMs: () => nowMs,
    log: { warn: tell("warn"), info: tell("info") } as unknown as Logger,
  });
  const change = (index: number, health: NodeHealth): void => {
    const at = shared.at(Region.nodeMetrics) + index * NodeMetricsLayout.SIZE;
    shared.u32[(at + NodeMetricsLayout.HEALTH) >>> 2] = health;
    shared.f64[(at + NodeMetricsLayout.HEARD_US) >>> 3] = (nowMs - 3100) * 1000;
    Atomics.add(shared.i32, (HeaderLayout.AT + HeaderLayout.HEALTH_EPOCH) >>> 2, 1);
  };
  return {
    watch,
    lose: (index: number) => change(index, NodeHealth.lost),
    look(index: number, health: NodeHealth): string[] {
      change(index, health);
      nowMs += 1000;
      watch.look(); // nobody has woken the watch
      return told.splice(0);
    },
    told,
    wake: () => Atomics.notify(shared.i32, (HeaderLayout.AT + HeaderLayout.HEALTH_EPOCH) >>> 2),
    remove(): void {
      store.nodes = NODES.slice(1);
    },
  };
}

test("a loss and a return are told once each, and what a node begins with is not", () => {
  const { look } = watched();
  expect(look(1, NodeHealth.reachable)).toEqual([]);
  expect(look(1, NodeHealth.lost)).toEqual(["warn: node node-b is lost: it does not answer any more"]);
  expect(look(2, NodeHealth.reachable)).toEqual([]);
  expect(look(1, NodeHealth.reachable)).toEqual(["info: node node-b has returned: it answers again"]);
});

test("a lost node that leaves the tables does not return when it comes back", () => {
  const { look, remove } = watched();
  look(1, NodeHealth.lost);
  remove();
  expect(look(2, NodeHealth.reachable)).toEqual([]);
});

test("a change wakes the watch", async () => {
  const { watch, told, lose, wake } = watched();
  lose(1);
  expect(told).toEqual([]);
  expect(wake()).toBe(1);
  await expect.poll(() => told).toEqual(["warn: node node-b is lost: it does not answer any more"]);
  watch.close();
});
